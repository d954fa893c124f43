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
    pub(super) rows: Vec<Option<Row>>,
    /// For a row that was joined to a stored one: where that is, and its lifetime now.
    pub(super) joined: HashMap<usize, RowUpdate>,
}

impl Fresh {
    pub(super) fn new(rows: Vec<Row>) -> Self {
        Self { rows: rows.into_iter().map(Some).collect(), joined: HashMap::new() }
    }

    /// Returns the rows of one kind, run and source whose lifetime `wanted` accepts: their places, digests and lifetimes.
    pub(super) fn at(
        &self,
        kind: FactKind,
        span: &PlacedSpan,
        wanted: impl Fn(&Lifetime) -> bool,
    ) -> Vec<(usize, KeyDigest, Lifetime)> {
        let mine = |row: &Row| {
            row.fact.kind() == kind && row.run == span.run && row.fact.source() == span.span.source
        };
        self.rows
            .iter()
            .enumerate()
            .filter_map(|(i, row)| {
                row.as_ref().filter(|row| mine(row) && wanted(&row.life)).map(|row| (i, row.digest, row.life))
            })
            .collect()
    }

    pub(super) fn set(&mut self, i: usize, life: Lifetime) {
        if let Some(row) = &mut self.rows[i] {
            row.life = life;
        }
    }

    pub(super) fn into_tables(self, triad: TriadId) -> Vec<(TableRef, Vec<Row>)> {
        let mut tables: BTreeMap<TableRef, Vec<Row>> = BTreeMap::new();
        for (i, row) in self.rows.into_iter().enumerate() {
            if let Some(row) = row
                && !self.joined.contains_key(&i)
            {
                tables.entry(table(triad, row.fact.kind())).or_default().push(row);
            }
        }
        tables.into_iter().collect()
    }
}
