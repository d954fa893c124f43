//! The plug-in traits of the client: what reports facts, and what takes the record away.

use crate::{
    fact::Fact,
    gap::Gap,
    identity::{BootId, Pid, RunId},
    record::{FactId, Record},
    source::Source,
    time::{WallMicros, ZoneOffset},
};
use std::{collections::BTreeMap, os::fd::BorrowedFd};

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
pub trait Collector: Send {
    /// Returns the timeline that this collector speaks of. No two in a recorder share one.
    fn source(&self) -> Source;

    /// Returns how often to ask, in µs; 0 means at every tick. A bundle begins with all collectors in any case.
    fn every_micros(&self) -> u64 {
        0
    }

    /// Reads the machine once, and reports every fact that holds.
    ///
    /// # Errors
    /// Where the source as a whole could not be read. A single process that vanished is not an
    /// error but data, one that refuses to be read is a fact that says so.
    fn sample(&mut self, out: &mut Observation) -> Result<(), CollectError>;
}

/// What one reading shows.
#[derive(Debug, Default)]
pub struct Observation {
    /// The facts that hold.
    pub facts: Vec<Fact>,
    /// Spans that were less well known than usual, found while reading.
    pub gaps: Vec<Gap>,
}

impl Observation {
    /// Reports a fact. Reporting the same fact twice is reporting it once.
    pub fn show(&mut self, fact: Fact) {
        self.facts.push(fact);
    }
}

/// What an event source tells the recorder.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Notice {
    /// A fact began.
    Began(Fact, WallMicros),
    /// A fact ended: whichever live fact is the same as this one, with what its details now say.
    Ended(Fact, WallMicros),
    /// A fact came and went.
    Passed {
        /// The fact.
        fact: Fact,
        /// When it began, where that was told.
        began: Option<WallMicros>,
        /// When it ended.
        ended: WallMicros,
    },
    /// Events were lost.
    Lost(Gap),
}

/// An **event source**: a plug-in with a file descriptor that speaks between samples.
pub trait EventSource: Send {
    /// Returns the name, for gaps and loss counters.
    fn name(&self) -> &str;

    /// Returns the descriptor to wait on for input (poll(2)).
    fn descriptor(&self) -> BorrowedFd<'_>;

    /// Takes all that is waiting, without blocking.
    ///
    /// # Errors
    /// Where the source is broken for good; the recorder drops it and says so in a thin gap at the head of every
    /// bundle from then on: the samples go on.
    fn drain(&mut self, out: &mut Vec<Notice>) -> Result<(), CollectError>;
}

/// What the recorder knows of a bundle that it begins.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Opening {
    /// The run.
    pub run: RunId,
    /// The boot.
    pub boot: BootId,
    /// The zone's offset at the opening.
    pub zone: ZoneOffset,
    /// The interval between samples, µs.
    pub interval_micros: u64,
    /// When the bundle was opened, on the run's clock: the stamp of its first sample.
    pub opened_wall: WallMicros,
    /// The same moment on `CLOCK_BOOTTIME`, µs.
    pub opened_boot_micros: i64,
    /// The processes that the recorder leaves out: itself and what it started.
    pub recorder_pids: Vec<Pid>,
    /// The sources that are sampled.
    pub sources: Vec<Source>,
}

/// What takes the record: the spool, a test, a program that embeds the recorder.
///
/// The recorder calls [`begin`](Self::begin), then [`accept`](Self::accept) for each record, then
/// [`finish`](Self::finish), and so on for every bundle. A sink that does not care for bundles implements `accept` alone.
pub trait Sink: Send {
    /// What can go wrong.
    type Error: std::error::Error + Send + Sync + 'static;

    /// Begins a bundle. Returns the gaps that the sink knows of, which the recorder writes first: the
    /// time since the last recorder ended, bundles that had to be dropped.
    ///
    /// # Errors
    /// Where no bundle could be begun.
    fn begin(&mut self, opening: &Opening) -> Result<Vec<Gap>, Self::Error> {
        let _ = opening;
        Ok(Vec::new())
    }

    /// Learns that nothing more will come for `micros`: time to write down what would else wait too long.
    ///
    /// # Errors
    /// Where what waits could not be kept.
    fn idle(&mut self, micros: u64) -> Result<(), Self::Error> {
        let _ = micros;
        Ok(())
    }

    /// Tells whether the open bundle is as large as it may become, whatever its age.
    fn is_full(&self) -> bool {
        false
    }

    /// Ends the open bundle. `losses` counts what each event source lost in it, by the source's name.
    ///
    /// # Errors
    /// Where the bundle could not be kept.
    fn finish(&mut self, losses: &BTreeMap<String, u64>) -> Result<(), Self::Error> {
        let _ = losses;
        Ok(())
    }

    /// Takes the next record of the open bundle.
    ///
    /// # Errors
    /// Where the record could not be kept.
    fn accept(&mut self, record: &Record) -> Result<(), Self::Error>;
}

/// What carries bundles to the server: OpenSSH, a directory, a test.
pub trait Transport: Send {
    /// What can go wrong.
    type Error: std::error::Error + Send + Sync + 'static;

    /// Sends the whole bundle and returns once the server has acknowledged it.
    ///
    /// # Errors
    /// Where that is not certain: the bundle must be sent again.
    fn send(&mut self, name: &str, bundle: &[u8]) -> Result<(), Self::Error>;
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
