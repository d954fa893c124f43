//! `process-events`: every process as it forks, runs programs, changes and exits, however short it lives.
//!
//! Two kernel interfaces tell of the same things, and so are one source: the proc connector tells that something happened and
//! when ([`connector`]), taskstats what an exiting task had used ([`exits`]). Neither tells the arguments: a thread of its own
//! listens and looks at newborn processes while they are there ([`listener`]). What it hands on, the [`nursery`] makes notices
//! of, in the recorder's thread.
//!
//! What one user may have told is bounded ([`users`]): beyond that it is counted, and a gap that begins with `flood:` names the user.
//!
//! Losses are counted: the kernel numbers what it says ([`sequence`]), and what the recorder does not take in time is counted by
//! who drops it.

mod connector;
mod ear;
mod endings;
mod exits;
mod glances;
mod heard;
mod life;
mod listener;
pub(crate) mod message;
mod moment;
mod names;
mod nursery;
mod phase;
mod sequence;
mod telling;
mod users;

use crate::HostView;
use crossbeam::channel::{Receiver, TryRecvError};
use ear::{Ear, Hearing};
use heard::Heard;

use moment::{Moment, Stamps};
use nursery::Nursery;
use pofr_core::{
    EventSource, Source,
    collector::{CollectError, Notice, Observation},
};
use std::{
    os::fd::{AsFd, BorrowedFd},
    time::Duration,
};

/// The source's name.
const NAME: &str = "process-events";

/// How long to wait, before a sample is written, for the listening thread to hear out what happened before it, µs.
const PATIENCE_MICROS: i64 = 100_000;
/// How long to sleep in between: longer each time, up to a thousandth of a second and more.
const NAP: Duration = Duration::from_micros(100);
const LONGEST_NAP: Duration = Duration::from_millis(2);

/// Makes the source for the registry.
pub(super) fn make(view: &HostView) -> (&'static str, Result<Box<dyn EventSource>, CollectError>) {
    (NAME, ProcessEvents::new(view).map(|source| Box::new(source) as Box<dyn EventSource>))
}

/// Tells of processes.
pub struct ProcessEvents {
    ear: Ear,
    hearing: Receiver<Heard>,
    nursery: Nursery,
    /// When the last [`drain`](EventSource::drain) began.
    drained: Moment,
}

/// How large the queues of the kernel may become, bytes: they take up only what is in them. Some 30,000 events while nobody reads.
const QUEUE_BYTES: usize = 32 << 20;

impl ProcessEvents {
    /// Begins to listen, in a thread of its own.
    ///
    /// # Errors
    /// Where the kernel has no proc connector, or has none for us: without CAP_NET_ADMIN, and in a container.
    pub fn new(view: &HostView) -> Result<Self, CollectError> {
        Self::with_queue(view, QUEUE_BYTES)
    }

    /// Begins to listen with another size of the kernel's queues, bytes; the kernel makes the least of 2,304 of it.
    ///
    /// # Errors
    /// As [`new`](Self::new).
    pub fn with_queue(view: &HostView, bytes: usize) -> Result<Self, CollectError> {
        let Hearing { ear, hearing } = listener::listen(view, bytes)?;
        Ok(Self { ear, hearing, nursery: Nursery::new(view.clone()), drained: Stamps::now() })
    }

    /// Takes all that the listening thread has handed on.
    fn take(&mut self, out: &mut Vec<Notice>) -> Result<(), CollectError> {
        // What comes while this works is for the next time.
        for _ in 0..=self.hearing.len() {
            match self.hearing.try_recv() {
                Ok(heard) => {
                    self.ear.shared.taken(heard.weight());
                    self.nursery.hear(heard, out);
                }
                Err(TryRecvError::Empty) => break,
                Err(TryRecvError::Disconnected) => return Err(self.ear.failure()),
            }
        }
        Ok(())
    }
}

impl EventSource for ProcessEvents {
    fn name(&self) -> &str {
        NAME
    }

    fn descriptor(&self) -> BorrowedFd<'_> {
        self.ear.ready.as_fd()
    }

    fn drain(&mut self, out: &mut Vec<Notice>) -> Result<(), CollectError> {
        self.ear.calm();
        self.drained = Stamps::now();
        self.nursery.tell_ended(out);
        self.take(out)?;
        self.nursery.tell_ended(out);
        Ok(())
    }

    fn settle(
        &mut self,
        source: &Source,
        seen: &Observation,
        out: &mut Vec<Notice>,
    ) -> Result<(), CollectError> {
        if *source != Source::Process {
            return Ok(());
        }
        let now = Stamps::now();
        let mut nap = NAP;
        while !self.ear.has_heard_until(now) && Stamps::now() < now.plus(PATIENCE_MICROS) {
            std::thread::sleep(nap);
            nap = (nap * 2).min(LONGEST_NAP);
        }
        self.take(out)?;
        self.nursery.settle(self.drained, seen, self.ear.has_heard_until(now), out);
        Ok(())
    }

    fn note(&self) -> Option<String> {
        self.ear.note()
    }
}

impl std::fmt::Debug for ProcessEvents {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("ProcessEvents").field("drained", &self.drained).finish_non_exhaustive()
    }
}
