//! Whether a triad's tables are in order by their primary keys, so that merging can read them as they lie.

use pofr_core::{
    fact::FactKind,
    lifetime::Row,
    merge::{Order, order},
    store::TriadId,
};
use std::collections::HashMap;

/// The last row that was added to each table since this writer was opened.
#[derive(Debug, Default)]
pub(super) struct Orders(HashMap<(TriadId, FactKind), Option<Order>>);

impl Orders {
    /// Takes note of a new triad, whose tables are empty.
    pub(super) fn begin(&mut self, triad: TriadId) {
        for kind in FactKind::TRIAD {
            self.0.insert((triad, kind), None);
        }
    }

    /// Takes note of rows that are added; tells whether all of them follow the rows before in the order of merging.
    /// A table whose last row is not known counts as out of order.
    pub(super) fn follow(&mut self, triad: TriadId, kind: FactKind, rows: &[Row]) -> bool {
        let Some(last) = self.0.get_mut(&(triad, kind)) else { return rows.is_empty() };
        let mut in_order = true;
        for row in rows {
            let this = Some(order(row));
            in_order &= *last <= this;
            *last = this;
        }
        in_order
    }
}
