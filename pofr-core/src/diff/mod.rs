//! Diff: from snapshots to the stream of what changed.
//!
//! The law is `apply(diff(a, b), a) == b`. [`Differ`] is the same thing for a recorder: it keeps what every source
//! shows, with the numbers that the bundle gave, and writes each new reading as a [`Sample`](crate::record::Sample).
//!
//! ```text
//! live            reading         sample
//! 0 sh            sh              removed [1]
//! 1 ls            vi              added   [vi]   (takes number 2)
//! ```

mod budget;
mod cut;
mod differ;
mod fill_in;
mod line;
mod touched;

pub use differ::{Differ, Shown};

use crate::{
    fact::{ByKey, Fact},
    source::Source,
    time::WallMicros,
};
use hashbrown::HashSet;
use serde::Serialize;

/// What can go wrong while writing a stream.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum DiffError {
    /// Time must go on within a source.
    #[error("sample of {source_name} at {stamp} is not later than the one before, at {before}")]
    NotLater {
        /// The source's name.
        source_name: String,
        /// The stamp.
        stamp: WallMicros,
        /// The stamp before.
        before: WallMicros,
    },
    /// A stamp before 1970 or after 4000.
    #[error("sample of {source_name} at {stamp} is of no time that can be recorded")]
    Time {
        /// The source's name.
        source_name: String,
        /// The stamp.
        stamp: WallMicros,
    },
    /// The bundle must be closed.
    #[error("more than 4294967295 facts in one bundle")]
    TooManyFacts,
    /// A reading of some subjects says nothing of the others.
    #[error(
        "reading of {source_name} at {stamp} tells what changed, but nothing is known of what was before"
    )]
    NothingBefore {
        /// The source's name.
        source_name: String,
        /// The stamp.
        stamp: WallMicros,
    },
}

/// All facts of one source at one stamp.
#[derive(Clone, Debug, Serialize)]
pub struct Snapshot {
    /// The source.
    pub source: Source,
    /// When.
    pub stamp: WallMicros,
    /// What held. A fact stands here once.
    pub facts: Vec<Fact>,
}

impl PartialEq for Snapshot {
    /// Equal where the same facts hold at the same time, in whatever order.
    fn eq(&self, other: &Self) -> bool {
        let keys = |s: &Self| s.facts.iter().cloned().map(ByKey).collect::<HashSet<_>>();
        self.source == other.source && self.stamp == other.stamp && keys(self) == keys(other)
    }
}

/// What must happen to one snapshot to make it another.
#[derive(Clone, Debug)]
pub struct Delta {
    /// The stamp that results.
    pub stamp: WallMicros,
    /// Facts that go.
    pub removed: Vec<Fact>,
    /// Facts that come.
    pub added: Vec<Fact>,
}

/// Returns the difference between two snapshots of one source.
#[must_use]
pub fn diff(a: &Snapshot, b: &Snapshot) -> Delta {
    let keys = |s: &Snapshot| s.facts.iter().cloned().map(ByKey).collect::<HashSet<_>>();
    let (before, after) = (keys(a), keys(b));
    let without = |facts: &[Fact], there: &HashSet<ByKey>| {
        facts.iter().filter(|f| !there.contains(&ByKey((*f).clone()))).cloned().collect()
    };
    Delta { stamp: b.stamp, removed: without(&a.facts, &after), added: without(&b.facts, &before) }
}

/// Returns the snapshot that `delta` makes of `a`.
#[must_use]
pub fn apply(delta: &Delta, a: &Snapshot) -> Snapshot {
    let gone: HashSet<ByKey> = delta.removed.iter().cloned().map(ByKey).collect();
    let stay = a.facts.iter().filter(|f| !gone.contains(&ByKey((*f).clone()))).cloned();
    Snapshot {
        source: a.source.clone(),
        stamp: delta.stamp,
        facts: stay.chain(delta.added.iter().cloned()).collect(),
    }
}
