//! Routes of the main table.

use super::listing::{Layout, text};
use crate::output::table::Fit;
use pofr_core::fact::Fact;

/// How they are listed.
pub(super) const LAYOUT: Layout = Layout {
    columns: &[
        ("TO", Fit::Text),
        ("GATEWAY", Fit::Text),
        ("INTERFACE", Fit::Name(15)),
        ("METRIC", Fit::Number),
    ],
    cells: |fact| {
        let Fact::Route(r) = fact else { return None };
        let gateway = r.gateway.map_or_else(|| "-".to_owned(), |gateway| gateway.to_string());
        Some(vec![
            format!("{}/{}", r.destination, r.prefix),
            gateway,
            text(&r.interface),
            r.metric.to_string(),
        ])
    },
};
