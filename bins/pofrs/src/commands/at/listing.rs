//! Facts of a kind that need no explanation from others: one line each, in the order of what it says.

use super::{Page, Shown};
use crate::output::table::{Fit, Listing};
use pofr_core::fact::Fact;
use std::io::Write;

/// How facts of a kind are listed.
pub(super) struct Layout {
    /// The columns, after the one with the mark.
    pub(super) columns: &'static [(&'static str, Fit)],
    /// What a fact has in them; `None` for a fact of another kind.
    pub(super) cells: fn(&Fact) -> Option<Vec<String>>,
}

/// Prints the facts.
pub(super) fn print(
    layout: &Layout,
    page: &Page<'_>,
    shown: &[Shown<'_>],
    out: &mut dyn Write,
) -> anyhow::Result<()> {
    let columns: Vec<_> = [("", Fit::Whole)].iter().chain(layout.columns).copied().collect();
    let mut listing = Listing::new(page.screen, false, &columns);
    let cells = |shown: &Shown<'_>| Some(((layout.cells)(&shown.row.fact)?, shown.mark()));
    let mut rows: Vec<(Vec<String>, String)> = shown.iter().filter_map(cells).collect();
    rows.sort();
    for (cells, mark) in rows {
        listing.row([mark].into_iter().chain(cells));
    }
    listing.print(out)?;
    Ok(())
}

/// Writes a text, `-` for none.
pub(super) fn text(text: &pofr_core::raw::RawText) -> String {
    if text.as_bytes().is_empty() { "-".to_owned() } else { text.escaped() }
}
