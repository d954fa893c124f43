//! Lifetimes: from when to when a fact held, and how well that is known.
//!
//! ```text
//! samples        s1        s2        s3        s4
//! shows it       no        yes       yes       no
//!            appeared_after first_seen last_seen gone_by
//! ```
//!
//! An exact time needs no bound: with `began` there is no need of `appeared_after`, which tells only
//! what the samples know; with `ended` there is no `gone_by`.

mod clip;
mod holders;
mod stream_error;
mod track;

pub use stream_error::StreamError;
pub use track::{Tracked, Tracker};

use crate::{
    digest::KeyDigest,
    fact::Fact,
    identity::RunId,
    time::{WallMicros, ZoneOffset},
};
use serde::Serialize;

/// From when to when a fact held. All times are on the clock of its run.
///
/// Where both are known: appeared_after ≤ began ≤ first_seen ≤ last_seen ≤ ended, and last_seen ≤ gone_by, up
/// to the span of one sample.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize)]
pub struct Lifetime {
    /// Stamp of the first sample that shows it; `None` for a fact known by events alone.
    pub first_seen: Option<WallMicros>,
    /// Stamp of the last sample that shows it, without a miss in between.
    pub last_seen: Option<WallMicros>,
    /// Stamp of the nearest sample before that does not show it; `None` while not known.
    pub appeared_after: Option<WallMicros>,
    /// Stamp of the nearest sample after that does not show it; `None` while not known, and where `ended` is.
    pub gone_by: Option<WallMicros>,
    /// When it began, told by an event.
    pub began: Option<WallMicros>,
    /// When it ended, told by an event.
    pub ended: Option<WallMicros>,
    /// The record begins here: it may have held before.
    pub cut_left: bool,
    /// The record ends here: it may have held on.
    pub cut_right: bool,
}

/// Whether a fact held at a moment, as far as its own lifetime tells.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Standing {
    /// It held.
    Certain,
    /// It held just before or just after, and no sample tells.
    Maybe,
    /// It did not hold, or nothing says that it did.
    No,
}

impl Lifetime {
    /// Tells whether the fact held at `t`.
    #[must_use]
    pub fn at(&self, t: WallMicros) -> Standing {
        let from = self.began.into_iter().chain(self.first_seen).min();
        let seen_until = |t| self.last_seen.is_some_and(|last| t <= last);
        let held_until = |t| self.ended.is_some_and(|end| t < end);
        match from {
            Some(from) if from <= t => {
                if seen_until(t) || held_until(t) {
                    return Standing::Certain;
                }
            }
            _ => {
                let after = self.appeared_after.is_some_and(|after| after < t);
                return if after
                    && self.began.is_none()
                    && self.gone_by.or(self.ended).or(self.last_seen).is_some_and(|end| t < end)
                {
                    Standing::Maybe
                } else {
                    Standing::No
                };
            }
        }
        if self.ended.is_none() && self.gone_by.is_some_and(|gone| t < gone) {
            Standing::Maybe
        } else {
            Standing::No
        }
    }

    /// Returns the stamp at the right-hand edge of the record up to which this lifetime is known:
    /// the last sample that shows it or, before any did, the last that did not.
    #[must_use]
    pub fn right_edge(&self) -> Option<WallMicros> {
        self.last_seen.or(self.appeared_after)
    }

    /// Returns the earliest known time, bounds included: whatever may have held at `t` has `earliest() <= t`.
    #[must_use]
    pub fn earliest(&self) -> WallMicros {
        let begin = [self.began, self.first_seen, self.appeared_after];
        begin.into_iter().flatten().min().or(self.ended).or(self.gone_by).unwrap_or_default()
    }

    /// Returns the latest known time, bounds included: whatever may have held at `t`, by what this row alone knows, has
    /// `reach() >= t`.
    #[must_use]
    pub fn reach(&self) -> WallMicros {
        let end = [self.last_seen, self.ended, self.gone_by];
        end.into_iter().flatten().max().or(self.began).unwrap_or_else(|| self.earliest())
    }

    /// Notes that the sample at `last` was the last to show it, if any did.
    fn seen_until(&mut self, last: Option<WallMicros>) {
        if self.first_seen.is_some() {
            self.last_seen = last;
        }
    }

    /// Tells whether the fact went on behind this row's end, which is the record's, or an edge in it.
    #[must_use]
    pub fn goes_on(&self) -> bool {
        self.cut_right && self.ended.is_none() && self.gone_by.is_none()
    }

    /// Tells whether the fact may have gone on here from before this row's begin, which is the record's, or an edge in it.
    #[must_use]
    pub fn comes_from_before(&self) -> bool {
        self.cut_left && self.first_seen.is_some() && self.appeared_after.is_none()
    }

    /// Returns the time by which rows of one fact are put in order: the earliest known.
    #[must_use]
    pub fn position(&self) -> WallMicros {
        let known = [self.began, self.first_seen, self.ended, self.appeared_after, self.gone_by];
        // A lifetime without any time does not exist; the start of time keeps the order total.
        self.began
            .into_iter()
            .chain(self.first_seen)
            .min()
            .or(known.into_iter().flatten().min())
            .unwrap_or_default()
    }
}

/// A fact with its lifetime: what a table stores.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Row {
    /// The run whose clock the times are on.
    pub run: RunId,
    /// The client's zone when the fact was first known.
    pub zone: ZoneOffset,
    /// The digest of the fact's key.
    pub digest: KeyDigest,
    /// From when to when it held.
    #[serde(flatten)]
    pub life: Lifetime,
    /// What held.
    pub fact: Fact,
}
