//! The plug-in traits of the client: what reports facts, and what takes the record away.

use crate::{
    fact::{Endpoint, Fact, Process, Subject},
    gap::Gap,
    identity::{BootId, Pid, RunId},
    record::{FactId, Record},
    source::Source,
    time::{WallMicros, ZoneOffset},
};
use serde::{Deserialize, Serialize};
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

/// What one reading shows.
#[derive(Debug, Default)]
pub struct Observation {
    /// The facts that hold.
    pub facts: Vec<Fact>,
    /// Of what these are all the facts.
    pub extent: Extent,
    /// Spans that were less well known than usual, found while reading.
    pub gaps: Vec<Gap>,
    /// What the rolling audit found in this reading.
    pub audit: Audit,
}

/// Of what a reading tells all the facts.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Extent {
    /// Of the whole source.
    #[default]
    Whole,
    /// Of these subjects: what is not told of them is gone. All others hold what they held.
    Subjects(Vec<Reread>),
}

/// A subject that was read again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Reread {
    /// The subject.
    pub subject: Subject,
    /// The stamp at which it was last read, where what is new in it may have been there unnoticed since; `None` for the
    /// source's sample before.
    pub since: Option<WallMicros>,
}

impl From<Subject> for Reread {
    fn from(subject: Subject) -> Self {
        Self { subject, since: None }
    }
}

/// What an audit found: a sampler that skips what seems unchanged reads it now and then all the same.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Audit {
    /// Subjects that were read though nothing said that they had changed.
    pub looks: u64,
    /// Those of them that had changed.
    pub misses: u64,
    /// Those of them of which only what others do to them had changed: the names of their open files.
    pub by_others: u64,
}

impl std::ops::AddAssign for Audit {
    fn add_assign(&mut self, other: Self) {
        self.looks += other.looks;
        self.misses += other.misses;
        self.by_others += other.by_others;
    }
}

impl From<Vec<Fact>> for Observation {
    /// A whole reading.
    fn from(facts: Vec<Fact>) -> Self {
        Self { facts, ..Self::default() }
    }
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
    /// A process became another: it ran a program, changed its ids or its name. Whatever process fact of its entity is live
    /// ends, and this one begins; its files stay.
    Became(Process, WallMicros),
    /// A process is gone: whatever is live of its entity ends, its files included, and what the details now say is
    /// learned. Where no process fact of it is live, it passed. A zombie stays: the process has ended already, and a sample will miss it.
    Gone {
        /// The process, as it was last.
        process: Process,
        /// When this fact of it began, where that was told.
        began: Option<WallMicros>,
        /// When it ended.
        at: WallMicros,
    },
    /// A socket is gone: whatever is live of it ends, for all its holders. Where nothing is, it passed.
    Closed {
        /// The endpoint, as it was last.
        endpoint: Endpoint,
        /// When.
        at: WallMicros,
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

    /// Learns what `seen` shows of `source`, which was read after the last [`drain`](Self::drain) and is not written yet. Tells what
    /// must stand before it in the stream: what has happened as far as `seen` shows it, such as the exit of a process
    /// that it misses. Keeps for the next drain what it does not show yet. Not called for a source that failed.
    ///
    /// # Errors
    /// As for [`drain`](Self::drain).
    fn settle(
        &mut self,
        source: &Source,
        seen: &Observation,
        out: &mut Vec<Notice>,
    ) -> Result<(), CollectError> {
        let _ = (source, seen, out);
        Ok(())
    }

    /// Says what a reader of the bundle should know of how this source works; at most 1,000 bytes.
    fn note(&self) -> Option<String> {
        None
    }
}

/// What is known of a bundle only when it ends.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Closing {
    /// What each event source lost, by its name.
    pub losses: BTreeMap<String, u64>,
    /// What each sampler's audit found, by the source's name.
    pub audits: BTreeMap<String, Audit>,
    /// How samplers and event sources work that do not work as usual, by name.
    pub notes: BTreeMap<String, String>,
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

    /// Ends the open bundle.
    ///
    /// # Errors
    /// Where the bundle could not be kept.
    fn finish(&mut self, closing: &Closing) -> Result<(), Self::Error> {
        let _ = closing;
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
