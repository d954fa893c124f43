//! Samplers and event sources with a clock around them.

use pofr_core::{
    Collector, EventSource, Source,
    collector::{CollectError, Notice, Observation},
};
use rustix::time::{ClockId, clock_gettime};
use std::{
    collections::BTreeMap,
    os::fd::BorrowedFd,
    sync::{Arc, Mutex, PoisonError},
};

/// Returns the CPU time of this thread, ns.
pub(super) fn thread_nanos() -> u64 {
    let time = clock_gettime(ClockId::ThreadCPUTime);
    time.tv_sec.unsigned_abs() * 1_000_000_000 + time.tv_nsec.unsigned_abs()
}

/// What each source cost.
#[derive(Debug, Default)]
pub(super) struct Tally {
    pub(super) samplers: BTreeMap<String, Cost>,
    pub(super) event_sources: BTreeMap<String, Cost>,
    later: bool,
}

/// What one source cost.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Cost {
    /// CPU of the first tick, ns.
    pub(super) first_nanos: u64,
    /// CPU of all later ones together, ns.
    pub(super) nanos: u64,
    /// How often it was asked in them; for an event source: how many events it told.
    pub(super) times: u64,
}

impl Tally {
    /// Learns that what comes is not of the first tick.
    pub(super) fn first_is_over(&mut self) {
        self.later = true;
    }
}

/// A source with a clock around it.
pub(super) struct Measured<T: ?Sized> {
    tally: Arc<Mutex<Tally>>,
    inner: Box<T>,
}

impl<T: ?Sized> Measured<T> {
    pub(super) fn new(inner: Box<T>, tally: Arc<Mutex<Tally>>) -> Self {
        Self { tally, inner }
    }

    fn count(&self, nanos: u64, times: u64, of: impl FnOnce(&mut Tally) -> &mut Cost) {
        let mut tally = self.tally.lock().unwrap_or_else(PoisonError::into_inner);
        let later = tally.later;
        let cost = of(&mut tally);
        if later {
            cost.nanos += nanos;
            cost.times += times;
        } else {
            cost.first_nanos += nanos;
        }
    }
}

impl Collector for Measured<dyn Collector> {
    fn source(&self) -> Source {
        self.inner.source()
    }

    fn every_micros(&self) -> u64 {
        self.inner.every_micros()
    }

    fn sample(&mut self, out: &mut Observation) -> Result<(), CollectError> {
        let before = thread_nanos();
        let result = self.inner.sample(out);
        let name = self.inner.source().name().to_owned();
        self.count(thread_nanos() - before, 1, |tally| tally.samplers.entry(name).or_default());
        result
    }

    fn restart(&mut self) {
        self.inner.restart();
    }

    fn note(&self) -> Option<String> {
        self.inner.note()
    }
}

impl Measured<dyn EventSource> {
    fn tell(
        &mut self,
        out: &mut Vec<Notice>,
        ask: impl FnOnce(&mut dyn EventSource, &mut Vec<Notice>) -> Result<(), CollectError>,
    ) -> Result<(), CollectError> {
        let (before, told) = (thread_nanos(), out.len());
        let result = ask(self.inner.as_mut(), out);
        let name = self.inner.name().to_owned();
        let told = (out.len() - told) as u64;
        self.count(thread_nanos() - before, told, |tally| tally.event_sources.entry(name).or_default());
        result
    }
}

impl EventSource for Measured<dyn EventSource> {
    fn name(&self) -> &str {
        self.inner.name()
    }

    fn descriptor(&self) -> BorrowedFd<'_> {
        self.inner.descriptor()
    }

    fn drain(&mut self, out: &mut Vec<Notice>) -> Result<(), CollectError> {
        self.tell(out, |source, out| source.drain(out))
    }

    fn settle(&mut self, of: &Source, seen: &Observation, out: &mut Vec<Notice>) -> Result<(), CollectError> {
        self.tell(out, |source, out| source.settle(of, seen, out))
    }

    fn note(&self) -> Option<String> {
        self.inner.note()
    }
}
