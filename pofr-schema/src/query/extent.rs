//! From when to when something held, over all its rows, and how well that is known.

use pofr_core::{lifetime::Row, time::WallMicros};
use serde::Serialize;

/// How well an end of an [`Extent`] is known.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Bound {
    /// An event told the time.
    Exact,
    /// Samples on both sides tell: it happened between this time and the nearest sample outside.
    Sampled,
    /// The record begins or ends here, or has a gap: it may have held beyond.
    Open,
}

/// From when to when something held.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct Extent {
    /// The first time at which it is known to have held.
    pub from: WallMicros,
    /// How well that is known.
    pub began: Bound,
    /// The last time at which it is known to have held, or the exact end.
    pub until: WallMicros,
    /// How well that is known.
    pub ended: Bound,
}

impl Extent {
    /// Returns the extent of these rows, which are in the order of time.
    #[must_use]
    pub fn of(rows: &[Row]) -> Self {
        let Some((first, last)) = rows.first().zip(rows.last()) else {
            let t = WallMicros::default();
            return Self { from: t, began: Bound::Open, until: t, ended: Bound::Open };
        };
        let (a, b) = (&first.life, &last.life);
        let from = a.position();
        let began = if a.began.is_some() {
            Bound::Exact
        } else if a.appeared_after.is_some() && !a.cut_left {
            Bound::Sampled
        } else {
            Bound::Open
        };
        let until = b.ended.or(b.last_seen).or(b.began).unwrap_or_else(|| b.position());
        let ended = if b.ended.is_some() {
            Bound::Exact
        } else if b.gone_by.is_some() && !b.cut_right {
            Bound::Sampled
        } else {
            Bound::Open
        };
        Self { from, began, until: until.max(from), ended }
    }
}
