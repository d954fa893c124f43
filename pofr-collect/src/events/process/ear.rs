//! The ear: what the recorder's thread has of the listening one.

use super::{heard::Heard, moment::Moment};
use crate::limits;
use crossbeam::channel::Receiver;
use pofr_core::collector::CollectError;
use std::{
    os::fd::OwnedFd,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicBool, AtomicI64, AtomicUsize, Ordering},
    },
    thread::JoinHandle,
};

/// What the recorder's thread has of the listening one.
#[derive(Debug)]
pub(super) struct Ear {
    /// Readable when there is something to take (eventfd(2)).
    pub(super) ready: Arc<OwnedFd>,
    /// Written to, so that the thread ends.
    pub(super) end: Arc<OwnedFd>,
    pub(super) shared: Arc<Shared>,
    pub(super) thread: Option<JoinHandle<()>>,
}

/// An ear, and what it hears.
pub(super) struct Hearing {
    pub(super) ear: Ear,
    pub(super) hearing: Receiver<Heard>,
}

/// What both threads know.
#[derive(Debug, Default)]
pub(super) struct Shared {
    /// Up to when everything has been heard and handed on, µs of `CLOCK_BOOTTIME`.
    heard: AtomicI64,
    /// Whether nothing is left to be heard.
    idle: AtomicBool,
    /// Bytes that wait for the recorder.
    weight: AtomicUsize,
    notes: Mutex<Vec<String>>,
    failure: Mutex<Option<String>>,
}

impl Shared {
    /// Says what is not as it should be.
    pub(super) fn note(&self, note: String) {
        self.notes.lock().unwrap_or_else(PoisonError::into_inner).push(note);
    }

    /// Tells whether so many bytes more may wait.
    pub(super) fn has_room(&self, bytes: usize) -> bool {
        self.weight.load(Ordering::SeqCst).saturating_add(bytes) <= limits::HANDED_BYTES
    }

    /// Takes note that so many bytes are about to wait.
    pub(super) fn put(&self, bytes: usize) {
        self.weight.fetch_add(bytes, Ordering::SeqCst);
    }

    /// Takes note that so many bytes wait no more.
    pub(super) fn taken(&self, bytes: usize) {
        self.weight.fetch_sub(bytes, Ordering::SeqCst);
    }

    /// Says why the thread ends.
    pub(super) fn fail(&self, why: String) {
        *self.failure.lock().unwrap_or_else(PoisonError::into_inner) = Some(why);
    }

    /// Says that nothing is left to be heard, or that there may be something.
    pub(super) fn rest(&self, idle: bool) {
        self.idle.store(idle, Ordering::SeqCst);
    }

    /// Says that all that happened before a moment has been handed on.
    pub(super) fn heard_until(&self, moment: Moment) {
        self.heard.store(moment.0, Ordering::SeqCst);
    }
}

impl Ear {
    /// Takes note that everything that there is will be taken.
    pub(super) fn calm(&self) {
        let _ = rustix::io::read(&self.ready, &mut [0; 8]);
    }

    /// Tells whether all that happened before `moment` has been handed on.
    pub(super) fn has_heard_until(&self, moment: Moment) -> bool {
        self.shared.idle.load(Ordering::SeqCst)
            || self.shared.heard.load(Ordering::SeqCst) >= moment.0
            || self.thread.as_ref().is_none_or(JoinHandle::is_finished)
    }

    /// Returns what is not as it should be.
    pub(super) fn note(&self) -> Option<String> {
        let notes = self.shared.notes.lock().unwrap_or_else(PoisonError::into_inner);
        (!notes.is_empty()).then(|| notes.join("; "))
    }

    /// Returns why the thread ended.
    pub(super) fn failure(&self) -> CollectError {
        let failure = self.shared.failure.lock().unwrap_or_else(PoisonError::into_inner).clone();
        CollectError::Malformed {
            what: "proc connector".to_owned(),
            detail: failure.unwrap_or_else(|| "the listening thread has ended".to_owned()),
        }
    }
}

impl Drop for Ear {
    fn drop(&mut self) {
        let _ = rustix::io::write(&self.end, &1_u64.to_ne_bytes());
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}
