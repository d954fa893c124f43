//! The recorder: asks the samplers on time, and writes what they saw and what they missed.
//!
//! Time: ticks are due at whole multiples of the interval on `CLOCK_BOOTTIME`, so nothing drifts; a tick whose time has passed
//! when the one before ends is skipped, and a thin gap counts it. All sources of a tick have one stamp, taken before the
//! first is read, on the clock of the run: the wall clock when the run started, advanced by `CLOCK_BOOTTIME`. Where the wall
//! clock turns out to be more than 100 ms off that, it was set: the bundle is closed and a new run begins.
//!
//! Order: what event sources told is written before the sample that was read after it. A bundle ends only at a tick at which every
//! source can be told anew in full ([`Differ::would_lose`](pofr_core::diff::Differ::would_lose)), and the next begins with just
//! that tick, so consecutive bundles leave nothing between them.
//!
//! A sampler that fails leaves a blind gap of its source, in pieces: one when it fails, one at the end of every bundle, one when it
//! works again, each up to the moment at which it is written, so that a crash hides no more than one piece.

mod budget;
mod run;
mod schedule;
mod slot;
mod stop;
mod summary;
mod tick;
mod wait;

pub use budget::{Budget, Meter, ProcessMeter};
pub use stop::Stop;
pub use summary::Summary;
pub use tick::Tick;

use crate::{HostView, Registry, RegistryError, events::EventSources};
pub(crate) use pofr_core::limits::reason;
use pofr_core::{
    Sink, Source,
    diff::Shown,
    gap::{Gap, Severity},
    identity::RunId,
    time::WallMicros,
};
use run::{End, Run};
use slot::Slot;
use std::{io, time::Duration};
use wait::Alarm;

/// A wall clock this far from the run's has been set, µs; NTP slews both alike.
const STEP_MICROS: i64 = 100_000;

/// What ends a recording before its time. `E` is the sink's error.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum RecordError<E: std::error::Error> {
    /// The plug-ins do not fit together.
    #[error(transparent)]
    Registry(#[from] RegistryError),
    /// The interval or the bundle's length makes no sense.
    #[error("{what} must be from {least} to {most} µs, not {found}")]
    Setting {
        /// Which setting.
        what: &'static str,
        /// The least that is possible.
        least: u64,
        /// The most that is possible.
        most: u64,
        /// What was asked for.
        found: u64,
    },
    /// The kernel gives no timer or no randomness.
    #[error("cannot {what}: {cause}")]
    System {
        /// What was tried.
        what: &'static str,
        /// What the kernel said.
        cause: io::Error,
    },
    /// The record could not be kept.
    #[error("{0}")]
    Sink(#[source] E),
}

/// How to record.
#[derive(Clone, Debug)]
pub struct Settings {
    /// The time between ticks, µs: 100 to 3,600,000,000.
    pub interval_micros: u64,
    /// After how long a bundle is closed, µs: 100,000 to 86,400,000,000.
    pub bundle_micros: u64,
    /// Whether this very process is left out of the record.
    pub exclude_self: bool,
    /// What the recorder may take of the machine.
    pub budget: Budget,
}

impl Default for Settings {
    /// 3.3 Hz and 45 s, as the first POFR has them.
    fn default() -> Self {
        Self {
            interval_micros: 300_000,
            bundle_micros: 45_000_000,
            exclude_self: true,
            budget: Budget::default(),
        }
    }
}

/// Sees every reading as the sampler believed it, what it did not read again included.
pub trait Observer: Send {
    /// Sees what `source` showed in the tick of `stamp`.
    fn saw(&mut self, source: &Source, stamp: WallMicros, shown: Shown<'_>);

    /// Learns that a tick is over.
    fn ticked(&mut self, tick: &Tick<'_>) {
        let _ = tick;
    }
}

impl<F: FnMut(&Source, WallMicros, Shown<'_>) + Send> Observer for F {
    fn saw(&mut self, source: &Source, stamp: WallMicros, shown: Shown<'_>) {
        self(source, stamp, shown);
    }
}

/// Records a host into a sink.
pub struct Recorder<S: Sink> {
    view: HostView,
    settings: Settings,
    slots: Vec<Slot>,
    events: EventSources,
    sink: S,
    observer: Option<Box<dyn Observer>>,
    meter: Box<dyn Meter>,
    alarm: Alarm,
    summary: Summary,
}

impl<S: Sink> Recorder<S> {
    /// Makes a recorder of what `registry` can tell of `view`'s host. No other recorder may use clones of this view:
    /// the run's clock is in it.
    ///
    /// # Errors
    /// [`RecordError`] where the registry or the settings are impossible.
    pub fn new(
        view: HostView,
        registry: Registry,
        settings: Settings,
        sink: S,
    ) -> Result<Self, RecordError<S::Error>> {
        registry.check()?;
        for (what, found, least, most) in [
            ("the interval", settings.interval_micros, 100, 3_600_000_000),
            ("a bundle's length", settings.bundle_micros, 100_000, 86_400_000_000),
        ] {
            if !(least..=most).contains(&found) {
                return Err(RecordError::Setting { what, least, most, found });
            }
        }
        if settings.exclude_self {
            view.exclude_self();
        }
        view.programs.keep_to(settings.budget.max_cpu);
        view.effort.keep_to(settings.budget.max_cpu, settings.budget.max_memory);
        let alarm = Alarm::new().map_err(|cause| RecordError::System { what: "make a timer", cause })?;
        let Registry { samplers, event_sources, refused } = registry;
        let events = EventSources::new(event_sources, refused);
        let slots = samplers.into_iter().map(Slot::new).collect();
        Ok(Self {
            view,
            settings,
            slots,
            events,
            sink,
            observer: None,
            meter: Box::new(ProcessMeter::new()),
            alarm,
            summary: Summary::default(),
        })
    }

    /// Lets `observer` see every reading from now on.
    #[must_use]
    pub fn observed_by(mut self, observer: impl Observer + 'static) -> Self {
        self.observer = Some(Box::new(observer));
        self
    }

    /// Lets `meter` tell what the recorder uses, instead of the kernel.
    #[must_use]
    pub fn metered_by(mut self, meter: impl Meter + 'static) -> Self {
        self.meter = Box::new(meter);
        self
    }

    /// Records until `stop` is told or `limit` has passed, and closes the last bundle.
    ///
    /// # Errors
    /// [`RecordError`]: then the open bundle is left as it is; a spool keeps what was flushed.
    pub fn run(&mut self, stop: &Stop, limit: Option<Duration>) -> Result<Summary, RecordError<S::Error>> {
        self.summary = Summary::default();
        let started = self.view.clock.boot_micros();
        let deadline =
            limit.map(|limit| started.saturating_add(i64::try_from(limit.as_micros()).unwrap_or(i64::MAX)));
        let mut stepped = None;
        loop {
            let id = crate::sys::random()
                .map(RunId)
                .map_err(|cause| RecordError::System { what: "make a run's id", cause })?;
            self.view.clock.start();
            self.summary.runs += 1;
            match Run::new(self, id, stepped).record(stop, deadline)? {
                End::Asked => return Ok(self.summary.clone()),
                End::Stepped { micros, last } => stepped = last.map(|last| step_gap(micros, last)),
            }
        }
    }

    /// Returns the sink.
    pub fn into_sink(self) -> S {
        self.sink
    }
}

impl<S: Sink> std::fmt::Debug for Recorder<S> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Recorder")
            .field("settings", &self.settings)
            .field("slots", &self.slots)
            .finish_non_exhaustive()
    }
}

/// Says what a step of the wall clock hides: from the last stamp of the old run, put on the new clock, to the new run's first.
fn step_gap(micros: i64, last: WallMicros) -> Gap {
    Gap {
        source: None,
        severity: Severity::Blind,
        reason: format!("the wall clock was set by {micros} µs: a new run begins"),
        from: last.plus(micros),
        to: None,
        lost: None,
    }
}
