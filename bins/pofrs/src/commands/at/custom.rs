//! Facts of third parties' collectors.

use super::listing::{Layout, text};
use crate::output::table::Fit;
use pofr_core::fact::Fact;

/// How they are listed.
pub(super) const LAYOUT: Layout = Layout {
    columns: &[("SOURCE", Fit::Name(16)), ("NAME", Fit::Text), ("ATTRIBUTES", Fit::Text)],
    cells: |fact| {
        let Fact::Custom(c) = fact else { return None };
        let pairs = c.attributes.iter().map(|(name, value)| format!("{name}={}", value.escaped()));
        let attributes: Vec<String> = pairs.collect();
        Some(vec![c.source.name().to_owned(), text(&c.name), attributes.join(" ")])
    },
};
