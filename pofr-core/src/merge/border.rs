//! One border between two neighbouring spans of a source: which rows are one, and what the others learn.

use crate::{
    coverage::{Border, Coverage, Neighbour},
    digest::KeyDigest,
    lifetime::{Lifetime, Row},
};
use hashbrown::HashMap;

impl Lifetime {
    /// Tells whether this lifetime is cut at the left-hand side of `border`.
    #[must_use]
    pub fn ends_at(&self, border: &Border) -> bool {
        self.cut_right && self.right_edge() == Some(border.left)
    }

    /// Tells whether this lifetime is cut at the right-hand side of `border`.
    #[must_use]
    pub fn begins_at(&self, border: &Border) -> bool {
        self.cut_left && self.first_seen == Some(border.right)
    }

    /// Makes one lifetime of two that are one.
    #[must_use]
    pub fn joined(&self, right: &Self) -> Self {
        Self {
            first_seen: self.first_seen.or(right.first_seen),
            last_seen: right.last_seen.or(self.last_seen),
            appeared_after: self.appeared_after,
            gone_by: right.gone_by,
            began: self.began,
            ended: right.ended,
            cut_left: self.cut_left,
            cut_right: right.cut_right,
        }
    }

    /// Notes what the other side of the border tells of a lifetime that ends here: whether the fact `goes_on` there.
    pub fn settle_right(&mut self, border: &Border, goes_on: bool) {
        self.gone_by = if goes_on { None } else { Some(border.right) };
        self.cut_right = goes_on || !border.joined;
    }

    /// Notes what the other side of the border tells of a lifetime that begins here: whether the fact `was_there`.
    pub fn settle_left(&mut self, border: &Border, was_there: bool) {
        self.appeared_after = if was_there { None } else { Some(border.left) };
        self.cut_left = was_there || !border.joined;
    }
}

/// What one border does to the rows on both sides.
#[derive(Debug, PartialEq, Eq)]
pub struct Settled {
    /// Pairs (left, right) of rows that are the same fact on both sides. Where the border is joined
    /// they are one row; where it is not they stay two.
    pub pairs: Vec<(usize, usize)>,
    /// The lifetimes on the left, settled.
    pub left: Vec<Lifetime>,
    /// The lifetimes on the right, settled.
    pub right: Vec<Lifetime>,
}

/// Settles one border. `left` are the rows that end at it, `right` those that begin at it (of one source in one run), each
/// with the digest of its key; the answer has them in the same order.
#[must_use]
pub fn settle(border: &Border, left: &[(KeyDigest, Lifetime)], right: &[(KeyDigest, Lifetime)]) -> Settled {
    let by_digest: HashMap<KeyDigest, usize> =
        right.iter().enumerate().map(|(i, (digest, _))| (*digest, i)).collect();
    let mut settled = Settled {
        pairs: Vec::new(),
        left: left.iter().map(|(_, life)| *life).collect(),
        right: right.iter().map(|(_, life)| *life).collect(),
    };
    let mut was_there = vec![false; right.len()];
    for (i, (digest, _)) in left.iter().enumerate() {
        let partner = by_digest.get(digest).copied();
        if let Some(j) = partner {
            was_there[j] = true;
            settled.pairs.push((i, j));
        }
        settled.left[i].settle_right(border, partner.is_some());
    }
    for (life, was_there) in settled.right.iter_mut().zip(was_there) {
        life.settle_left(border, was_there);
    }
    settled
}

/// Notes on `row`, which no row continues, what its right-hand neighbour tells; `next` is the next row of the same fact.
pub(super) fn settle_last(row: &mut Row, coverage: &Coverage, next: Option<Lifetime>) {
    let Some(edge) = row.life.right_edge().filter(|_| row.life.cut_right) else { return };
    match coverage.after(row.run, &row.fact.source(), edge) {
        Some(Neighbour::Border(border)) => {
            let goes_on = next.is_some_and(|next| next.begins_at(&border));
            row.life.settle_right(&border, goes_on);
        }
        Some(Neighbour::NewBoot(first)) => row.life.gone_by = Some(first).filter(|first| *first >= edge),
        Some(Neighbour::Nothing) => row.life.gone_by = None,
        Some(Neighbour::Outside) | None => {}
    }
}

/// Notes on `row`, which continues no row, what its left-hand neighbour tells; `before` is the row of the same fact before it.
pub(super) fn settle_first(row: &mut Row, coverage: &Coverage, before: Option<Lifetime>) {
    let Some(first) = row.life.first_seen.filter(|_| row.life.cut_left) else { return };
    if let Some(Neighbour::Border(border)) = coverage.before(row.run, &row.fact.source(), first) {
        let was_there = before.is_some_and(|before| before.ends_at(&border));
        row.life.settle_left(&border, was_there);
    }
}
