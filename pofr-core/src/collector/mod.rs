//! The plug-in traits of the client: what reports facts, and what takes the record.

mod event_source;
mod observation;
mod sink;

pub use event_source::{EventSource, Notice};
pub use observation::{Audit, Extent, Observation, Reread};
pub use sink::{Closing, Opening, Sink};

use crate::{record::FactId, source::Source};

/// Why a collector could not do its work; the recorder makes a blind gap of it.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum CollectError {
    /// The kernel refused, or is too old for this source.
    #[error("{what}: {cause}")]
    Unavailable {
        /// What was tried, with the path or the call named.
        what: String,
        /// What the kernel answered.
        cause: std::io::Error,
    },
    /// What the kernel said could not be understood.
    #[error("{what}: {detail}")]
    Malformed {
        /// What was read.
        what: String,
        /// What is wrong with it.
        detail: String,
    },
}

/// A **sampler**: a plug-in that is asked at each tick for the state that it knows.
///
/// It reports all of it every time, or, where it can tell what has not changed, only what it read again ([`Extent`]).
pub trait Collector: Send {
    /// Returns the timeline that this collector speaks of. No two in a recorder share one.
    fn source(&self) -> Source;

    /// Returns how often to ask, in µs; 0 means at every tick. A bundle begins with all collectors in any case.
    fn every_micros(&self) -> u64 {
        0
    }

    /// Reads the machine once, and reports every fact that holds, or of the subjects read again every fact that holds.
    ///
    /// # Errors
    /// Where the source as a whole could not be read. A single process that vanished is not an
    /// error but data, one that refuses to be read is a fact that says so.
    fn sample(&mut self, out: &mut Observation) -> Result<(), CollectError>;

    /// Forgets what was reported: the next reading must be a whole one. Called when a run begins and when a reading was lost. A
    /// reading after one that failed is whole without being told.
    fn restart(&mut self) {}

    /// Says what a reader of the bundle should know of how this sampler works, such as "full scan at every tick: taskstats:
    /// permission denied"; at most 1,000 bytes.
    fn note(&self) -> Option<String> {
        None
    }
}

/// Gives numbers to facts, as the stream counts them.
#[derive(Debug, Default)]
pub struct Numbering(u32);

impl Numbering {
    /// Returns the next number; `None` after 2³² facts in one bundle.
    pub fn next_id(&mut self) -> Option<FactId> {
        let id = FactId(self.0);
        self.0 = self.0.checked_add(1)?;
        Some(id)
    }
}
