//! Kernel modules.

use super::listing::{Layout, text};
use crate::output::table::Fit;
use pofr_core::fact::Fact;

/// How they are listed.
pub(super) const LAYOUT: Layout = Layout {
    columns: &[("MODULE", Fit::Text), ("BYTES", Fit::Number), ("TAINT", Fit::Name(8))],
    cells: |fact| {
        let Fact::Module(m) = fact else { return None };
        Some(vec![text(&m.name), m.size.to_string(), text(&m.taint)])
    },
};
