//! The order in which rows are merged, and the merge of many sorted inputs.

use crate::{digest::KeyDigest, identity::RunId, lifetime::Row, time::WallMicros};
use std::cmp::Reverse;
use std::collections::BinaryHeap;

/// What rows are sorted by: run, key, then time.
///
/// Facts that ended before any sample showed them take no part in stitching; they come after the other rows of their
/// key, so that two rows that are one stand next to each other. The last two columns break ties, so that the order of
/// equal input does not matter.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Order {
    run: RunId,
    digest: KeyDigest,
    passed: bool,
    position: WallMicros,
    last_seen: Option<WallMicros>,
    ended: Option<WallMicros>,
}

/// Returns a row's place in the order.
#[must_use]
pub fn order(row: &Row) -> Order {
    Order {
        run: row.run,
        digest: row.digest,
        passed: row.life.first_seen.is_none() && row.life.ended.is_some(),
        position: row.life.position(),
        last_seen: row.life.last_seen,
        ended: row.life.ended,
    }
}

/// Merges inputs that are each in [`order`] into one that is; holds one row of each input in memory.
pub struct Merge<I> {
    inputs: Vec<I>,
    heads: BinaryHeap<Reverse<Head>>,
}

/// The next row of an input, compared by its order alone.
struct Head {
    row: Row,
    input: usize,
}

impl Head {
    fn rank(&self) -> (impl Ord, usize) {
        (order(&self.row), self.input)
    }
}
impl PartialEq for Head {
    fn eq(&self, other: &Self) -> bool {
        self.rank() == other.rank()
    }
}
impl Eq for Head {}
impl PartialOrd for Head {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}
impl Ord for Head {
    fn cmp(&self, other: &Self) -> std::cmp::Ordering {
        self.rank().cmp(&other.rank())
    }
}

impl<E, I: Iterator<Item = Result<Row, E>>> Merge<I> {
    /// Begins to merge.
    ///
    /// # Errors
    /// The first error of an input.
    pub fn new(inputs: Vec<I>) -> Result<Self, E> {
        let mut merge = Self { heads: BinaryHeap::with_capacity(inputs.len()), inputs };
        for input in 0..merge.inputs.len() {
            merge.pull(input)?;
        }
        Ok(merge)
    }

    fn pull(&mut self, input: usize) -> Result<(), E> {
        if let Some(row) = self.inputs[input].next().transpose()? {
            self.heads.push(Reverse(Head { row, input }));
        }
        Ok(())
    }
}

impl<E, I: Iterator<Item = Result<Row, E>>> Iterator for Merge<I> {
    type Item = Result<Row, E>;

    fn next(&mut self) -> Option<Self::Item> {
        let Reverse(Head { row, input }) = self.heads.pop()?;
        Some(self.pull(input).map(|()| row))
    }
}
