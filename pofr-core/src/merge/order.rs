//! The order in which rows are merged, and the merge of many sorted inputs.

use crate::{digest::KeyDigest, identity::RunId, lifetime::Row, time::WallMicros};
use std::cmp::Reverse;
use std::collections::{BinaryHeap, binary_heap::PeekMut};

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
    /// The next row of each input.
    next: Vec<Option<Row>>,
    /// Where the next row of each input that has one stands in the order.
    heads: BinaryHeap<Reverse<(Order, usize)>>,
}

impl<E, I: Iterator<Item = Result<Row, E>>> Merge<I> {
    /// Begins to merge.
    ///
    /// # Errors
    /// The first error of an input.
    pub fn new(mut inputs: Vec<I>) -> Result<Self, E> {
        let mut next = Vec::with_capacity(inputs.len());
        let mut heads = BinaryHeap::with_capacity(inputs.len());
        for (i, input) in inputs.iter_mut().enumerate() {
            let row = input.next().transpose()?;
            heads.extend(row.as_ref().map(|row| Reverse((order(row), i))));
            next.push(row);
        }
        Ok(Self { inputs, next, heads })
    }
}

impl<E, I: Iterator<Item = Result<Row, E>>> Iterator for Merge<I> {
    type Item = Result<Row, E>;

    fn next(&mut self) -> Option<Self::Item> {
        let mut head = self.heads.peek_mut()?;
        let Reverse((_, input)) = *head;
        let following = match self.inputs[input].next().transpose() {
            Ok(following) => following,
            Err(error) => return Some(Err(error)),
        };
        match &following {
            // The heap puts the changed head in its place when `head` goes.
            Some(row) => *head = Reverse((order(row), input)),
            None => drop(PeekMut::pop(head)),
        }
        std::mem::replace(&mut self.next[input], following).map(Ok)
    }
}
