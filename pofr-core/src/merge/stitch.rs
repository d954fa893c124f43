//! The stitcher: makes whole what slicing has cut, row by row, in memory that does not grow.

use super::border::{settle_first, settle_last};
use crate::{
    coverage::{Coverage, Neighbour},
    lifetime::Row,
    merge::order,
};

/// Stitches rows that come in [`order`]. Holds two rows at a time.
///
/// The coverage says where spans meet; rows of triads that are not being merged count as
/// [`Neighbour::Outside`], and what is known at such an edge stays as it is.
#[derive(Debug)]
pub struct Stitcher<'a> {
    coverage: &'a Coverage,
    held: Option<Row>,
}

impl<'a> Stitcher<'a> {
    /// Begins to stitch.
    #[must_use]
    pub const fn new(coverage: &'a Coverage) -> Self {
        Self { coverage, held: None }
    }

    /// Takes the next row; returns one that is finished.
    pub fn push(&mut self, mut row: Row) -> Option<Row> {
        let Some(mut held) = self.held.take() else {
            settle_first(&mut row, self.coverage, None);
            self.held = Some(row);
            return None;
        };
        let same = held.run == row.run && held.digest == row.digest && held.fact.same(&row.fact);
        if same && self.meet(&held, &row) {
            held.life = held.life.joined(&row.life);
            held.fact.learn(&row.fact);
            self.held = Some(held);
            return None;
        }
        let (before, next) = (same.then_some(held.life), same.then_some(row.life));
        settle_last(&mut held, self.coverage, next);
        settle_first(&mut row, self.coverage, before);
        self.held = Some(row);
        Some(held)
    }

    /// Ends the input; returns the last row.
    #[must_use]
    pub fn finish(mut self) -> Option<Row> {
        let mut held = self.held.take()?;
        settle_last(&mut held, self.coverage, None);
        Some(held)
    }

    /// Tells whether `right` goes on where `left` is cut, with nothing missing in between.
    fn meet(&self, left: &Row, right: &Row) -> bool {
        let Some(edge) = left.life.right_edge().filter(|_| left.life.cut_right) else { return false };
        match self.coverage.after(left.run, &left.fact.source(), edge) {
            Some(Neighbour::Border(border)) => border.joined && right.life.begins_at(&border),
            _ => false,
        }
    }
}

/// Stitches rows that fit in memory and come in any order; returns them in [`order`].
#[must_use]
pub fn stitch(mut rows: Vec<Row>, coverage: &Coverage) -> Vec<Row> {
    rows.sort_by_key(order);
    let mut stitcher = Stitcher::new(coverage);
    let mut out: Vec<Row> = rows.into_iter().filter_map(|row| stitcher.push(row)).collect();
    out.extend(stitcher.finish());
    out
}
