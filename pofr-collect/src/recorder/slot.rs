//! A slot: one sampler with its schedule, and what is known of its failures.

use pofr_core::{
    Collector, Source,
    collector::{CollectError, Observation},
    gap::{Gap, Severity},
    time::WallMicros,
};

/// A sampler in a recorder.
pub(super) struct Slot {
    sampler: Box<dyn Collector>,
    pub(super) source: Source,
    /// When to ask next, on `CLOCK_BOOTTIME`, µs.
    due: i64,
    /// The stamp of the last reading in this run.
    last: Option<WallMicros>,
    blind: Option<Blindness>,
}

/// A failure that lasts.
#[derive(Debug)]
struct Blindness {
    reason: String,
    /// Up to where gaps have been written.
    told: WallMicros,
}

/// What came of asking a sampler.
#[derive(Debug)]
pub(super) struct Answer {
    /// What it saw, or what it said instead.
    pub(super) result: Result<Observation, CollectError>,
    /// How long that took, µs.
    pub(super) span_micros: u32,
}

impl Slot {
    pub(super) fn new(sampler: Box<dyn Collector>) -> Self {
        let source = sampler.source();
        Self { sampler, source, due: i64::MIN, last: None, blind: None }
    }

    /// Begins anew on another clock.
    pub(super) fn restart(&mut self) {
        (self.due, self.last, self.blind) = (i64::MIN, None, None);
        self.sampler.restart();
    }

    /// Tells whether to ask in the tick at `boot_micros`; a sampler that failed is asked in every tick.
    pub(super) fn is_due(&self, boot_micros: i64) -> bool {
        self.blind.is_some() || self.due <= boot_micros
    }

    /// Tells whether the last reading failed.
    pub(super) const fn is_blind(&self) -> bool {
        self.blind.is_some()
    }

    /// Asks the sampler in the tick at `boot_micros`.
    pub(super) fn ask(&mut self, boot_micros: i64, clock: &crate::clock::RunClock) -> Answer {
        let mut seen = Observation::default();
        let result = self.sampler.sample(&mut seen).map(|()| seen);
        let every = i64::try_from(self.sampler.every_micros()).unwrap_or(i64::MAX);
        self.due = boot_micros.saturating_add(every);
        let span_micros = u32::try_from(clock.boot_micros() - boot_micros).unwrap_or(u32::MAX);
        Answer { result, span_micros }
    }

    /// Lets the sampler forget what it keeps, and the next reading be a whole one: this one was lost, or memory is short.
    pub(super) fn lose(&mut self) {
        self.sampler.restart();
    }

    /// Says how the sampler works, where that is not as usual.
    pub(super) fn note(&self) -> Option<(String, String)> {
        Some((self.source.name().to_owned(), super::reason(self.sampler.note()?)))
    }

    /// Takes note that the reading of `stamp` succeeded; returns the last piece of the gap before it, if there was one.
    pub(super) fn succeed(&mut self, stamp: WallMicros) -> Option<Gap> {
        self.last = Some(stamp);
        let blind = self.blind.take()?;
        tracing::info!("{} is seen again", self.source);
        (blind.told < stamp).then(|| self.gap(&blind.reason, blind.told, stamp))
    }

    /// Takes note that the reading of `stamp` failed; returns a gap if that is news.
    pub(super) fn fail(&mut self, stamp: WallMicros, error: &CollectError) -> Option<Gap> {
        if self.blind.is_some() {
            return None;
        }
        tracing::warn!("{} is not seen: {error}", self.source);
        let reason = super::reason(error.to_string());
        let gap = self.gap(&reason, self.last.unwrap_or(stamp), stamp);
        self.blind = Some(Blindness { reason, told: stamp });
        Some(gap)
    }

    /// Returns the piece of a lasting gap that has not been written yet.
    pub(super) fn continue_gap(&mut self, now: WallMicros) -> Option<Gap> {
        let blind = self.blind.as_mut().filter(|blind| blind.told < now)?;
        let from = std::mem::replace(&mut blind.told, now);
        let reason = blind.reason.clone();
        Some(self.gap(&reason, from, now))
    }

    fn gap(&self, reason: &str, from: WallMicros, to: WallMicros) -> Gap {
        Gap {
            source: Some(self.source.clone()),
            severity: Severity::Blind,
            reason: reason.to_owned(),
            from,
            to: Some(to),
            lost: None,
        }
    }
}

impl std::fmt::Debug for Slot {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Slot")
            .field("source", &self.source)
            .field("blind", &self.blind)
            .finish_non_exhaustive()
    }
}
