//! The new rows, on their way into their tables or into rows that are stored.

use super::table;
use pofr_core::{
    coverage::PlacedSpan,
    digest::KeyDigest,
    fact::FactKind,
    lifetime::{Lifetime, Row},
    store::{RowUpdate, TableRef, TriadId},
};
use std::collections::{BTreeMap, HashMap};

/// Rows that are about to be stored, and those that turned out to be part of stored ones.
pub(super) struct Fresh {
    pub(super) rows: Vec<Row>,
    /// The places of those that are cut at either end, by kind: no others can be at a border.
    cut: BTreeMap<FactKind, Vec<usize>>,
    /// For a row that was joined to a stored one: where that is, and its lifetime now.
    pub(super) joined: HashMap<usize, RowUpdate>,
}

impl Fresh {
    pub(super) fn new(rows: Vec<Row>) -> Self {
        let mut cut: BTreeMap<FactKind, Vec<usize>> = BTreeMap::new();
        for (i, row) in rows.iter().enumerate().filter(|(_, row)| row.life.cut_left || row.life.cut_right) {
            cut.entry(row.fact.kind()).or_default().push(i);
        }
        Self { rows, cut, joined: HashMap::new() }
    }

    /// Returns the rows of one kind, run and source that are cut and whose lifetime `wanted` accepts: their places, digests and
    /// lifetimes.
    pub(super) fn at(
        &self,
        kind: FactKind,
        span: &PlacedSpan,
        wanted: impl Fn(&Lifetime) -> bool,
    ) -> Vec<(usize, KeyDigest, Lifetime)> {
        let cut = self.cut.get(&kind).into_iter().flatten();
        cut.map(|i| (*i, &self.rows[*i]))
            .filter(|(_, row)| {
                wanted(&row.life) && row.run == span.run && row.fact.source() == span.span.source
            })
            .map(|(i, row)| (i, row.digest, row.life))
            .collect()
    }

    pub(super) fn set(&mut self, i: usize, life: Lifetime) {
        self.rows[i].life = life;
    }

    pub(super) fn into_tables(self, triad: TriadId) -> Vec<(TableRef, Vec<Row>)> {
        let mut tables: BTreeMap<FactKind, Vec<Row>> = BTreeMap::new();
        for (i, row) in self.rows.into_iter().enumerate() {
            if !self.joined.contains_key(&i) {
                tables.entry(row.fact.kind()).or_default().push(row);
            }
        }
        tables.into_iter().map(|(kind, rows)| (table(triad, kind), rows)).collect()
    }
}
