//! Network interfaces and their addresses.

use super::listing::{Layout, text};
use crate::output::table::Fit;
use pofr_core::fact::Fact;

/// How they are listed.
pub(super) const LAYOUT: Layout = Layout {
    columns: &[("NAME", Fit::Name(15)), ("STATE", Fit::Whole), ("MAC", Fit::Text), ("ADDRESS", Fit::Text)],
    cells: |fact| {
        let Fact::Interface(i) = fact else { return None };
        let address = i.address.map_or_else(|| "-".to_owned(), |address| format!("{address}/{}", i.prefix));
        Some(vec![text(&i.name), if i.up { "up" } else { "down" }.to_owned(), text(&i.mac), address])
    },
};
