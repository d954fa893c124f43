//! Why a bundle's stream makes no sense.

use crate::{record::FactId, source::Source, time::WallMicros};

/// Why a stream makes no sense. Whoever sent it is hostile or broken: the bundle is not taken.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum StreamError {
    /// A number that names no live fact.
    #[error("{what} names fact {id}, which is not live", id = .id.0)]
    NotLive {
        /// What names it.
        what: &'static str,
        /// The number.
        id: FactId,
    },
    /// A fact of another source than the sample's.
    #[error("sample of {sample} shows a fact of {fact}")]
    WrongSource {
        /// The sample's source.
        sample: Source,
        /// The fact's.
        fact: Source,
    },
    /// A stamp that is not later than the one before.
    #[error("sample of {source_name} at {stamp} is not later than the one before, at {before}")]
    NotLater {
        /// The source.
        source_name: Source,
        /// The stamp.
        stamp: WallMicros,
        /// The stamp before.
        before: WallMicros,
    },
    /// A source whose first sample is not a keyframe, or a keyframe in the middle.
    #[error("sample of {source_name} at {stamp} is {} where {} is due", if *.keyframe { "a keyframe" } else { "a delta" }, if *.keyframe { "a delta" } else { "a keyframe" })]
    Keyframe {
        /// The source.
        source_name: Source,
        /// The stamp.
        stamp: WallMicros,
        /// What it is.
        keyframe: bool,
    },
    /// Details that are said to be another fact's.
    #[error("fact {id} is told to be another", id = .id.0)]
    OtherFact {
        /// The number.
        id: FactId,
    },
    /// A fact that began, or is shown, twice.
    #[error("a fact of {source_name} is shown twice at once")]
    Twice {
        /// The source.
        source_name: Source,
    },
    /// A time outside the years 1970 to 4000.
    #[error("time {0} is out of range")]
    Time(WallMicros),
    /// More facts than numbers.
    #[error("more than 4294967295 facts")]
    TooManyFacts,
}
