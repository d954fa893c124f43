//! Event sources, and what they tell between samples.

use super::{CollectError, Observation};
use crate::{
    digest::Sha256,
    fact::{Endpoint, Fact, Process},
    gap::Gap,
    identity::Entity,
    raw::RawText,
    source::Source,
    time::WallMicros,
};
use std::os::fd::BorrowedFd;

/// What an event source tells the recorder.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Notice {
    /// A fact began.
    Began(Fact, WallMicros),
    /// A fact ended: whichever live fact is the same as this one, with what its details now say.
    Ended(Fact, WallMicros),
    /// A fact came and went. One that is live did not: then this says nothing.
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
    /// A process is gone: whatever is live of its entity ends, its files included, and what the details now say is learned.
    /// Where no process fact of it is live, it passed. A zombie stays: the process has ended already, and a sample will miss
    /// it.
    Gone {
        /// The process, as it was last.
        process: Process,
        /// When this fact of it began, where that was told.
        began: Option<WallMicros>,
        /// When it ended.
        at: WallMicros,
    },
    /// A socket is gone: whatever is live of it ends, for all its holders, but for a connection in TIME-WAIT, which has no
    /// socket any more. Where nothing is live, it passed.
    Closed {
        /// The endpoint, as it was last.
        endpoint: Endpoint,
        /// When.
        at: WallMicros,
    },
    /// The digest of a program is known: whatever process fact of this entity has that program learns it. Where none does any
    /// more, this says nothing.
    Program {
        /// The process.
        entity: Entity,
        /// Its program, as the process fact names it.
        exe: RawText,
        /// SHA-256 of the file.
        sha256: Sha256,
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

    /// Learns what `seen` shows of `source`, which was read after the last [`drain`](Self::drain) and is not written yet. Tells
    /// what must stand before it in the stream: what has happened as far as `seen` shows it, such as the exit of a process that
    /// it misses. Keeps for the next drain what it does not show yet. Not called for a source that failed.
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
