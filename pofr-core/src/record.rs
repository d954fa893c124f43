//! Records: the stream that a recorder writes and a server reads back.
//!
//! A bundle's stream is self-contained. For each source it begins with a keyframe (a [`Sample`] that adds every fact of
//! that source), and goes on with what changed. Facts are numbered from 0 in the order in which the
//! stream first adds or begins them; a number names one fact until the stream removes or ends it and is
//! never used again in that bundle.
//!
//! The order of the stream is the truth about what came before what. The recorder keeps these promises:
//! events are written before the sample that was read after them; a sample that `lost` facts never opens a
//! bundle; a blind [`Gap`] empties its source, so the next sample of it is a keyframe.

use crate::{fact::Fact, gap::Gap, source::Source, time::WallMicros};
use serde::Serialize;

/// A fact's number within its bundle.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize)]
#[serde(transparent)]
pub struct FactId(pub u32);

/// One entry of the stream.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(tag = "record", rename_all = "lowercase")]
pub enum Record {
    /// What one reading of a source showed.
    Sample(Sample),
    /// What the kernel told in between.
    Event(Event),
    /// What is not known.
    Gap(Gap),
}

/// What one reading of a source showed, as the difference to the reading before.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Sample {
    /// The source.
    pub source: Source,
    /// The time taken before reading started; later than the source's stamp before.
    pub stamp: WallMicros,
    /// How long reading took, µs.
    pub span_micros: u32,
    /// Whether this begins anew: every fact is added, none is carried over.
    pub keyframe: bool,
    /// Facts that this reading no longer showed.
    pub removed: Vec<FactId>,
    /// Facts of which this reading could not tell: unknown, not gone.
    pub lost: Vec<FactId>,
    /// What this reading told of facts that are live already.
    pub learned: Vec<Learned>,
    /// Facts that this reading showed for the first time.
    pub added: Vec<Added>,
}

/// A fact that a sample shows for the first time.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Added {
    /// The fact.
    pub fact: Fact,
    /// Whether the reading before could not tell: then nobody knows that it was not there.
    pub unsure: bool,
    /// The last stamp at which it is known not to have been there, where that is not the sample before: what it is about
    /// had not been read again since.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub since: Option<WallMicros>,
}

impl From<Fact> for Added {
    fn from(fact: Fact) -> Self {
        Self { fact, unsure: false, since: None }
    }
}

/// What the kernel told between samples, or what was learned of a known fact.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(tag = "event", rename_all = "lowercase")]
pub enum Event {
    /// A fact began, and has not been seen to end.
    Began {
        /// The fact, which takes the next number.
        fact: Fact,
        /// When.
        at: WallMicros,
    },
    /// A fact ended.
    Ended {
        /// The fact.
        id: FactId,
        /// When.
        at: WallMicros,
    },
    /// A fact that no sample showed came and went; it takes no number.
    Passed {
        /// The fact.
        fact: Fact,
        /// When it began, where that was told.
        began: Option<WallMicros>,
        /// When it ended.
        ended: WallMicros,
    },
    /// Details of a known fact became known.
    Learned(Learned),
}

/// Details of a live fact that became known.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Learned {
    /// The fact.
    pub id: FactId,
    /// The same fact with what is known now.
    pub fact: Fact,
}
