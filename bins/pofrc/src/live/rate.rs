//! Rates over the last minute, of counts that only grow.

use std::{
    collections::VecDeque,
    time::{Duration, Instant},
};

/// How far back is looked.
const WINDOW: Duration = Duration::from_secs(60);
/// How often the counts are written down.
const STEP: Duration = Duration::from_secs(2);

/// Counts of ticks and CPU as they were.
#[derive(Debug, Default)]
pub(super) struct Rates(VecDeque<(Instant, u64, u64)>);

impl Rates {
    /// Takes note of the counts, where it is time to.
    pub(super) fn ticked(&mut self, ticks: u64, cpu_micros: impl FnOnce() -> u64) {
        let now = Instant::now();
        if self.0.back().is_some_and(|(last, ..)| now - *last < STEP) {
            return;
        }
        self.0.push_back((now, ticks, cpu_micros()));
        // One entry stays that is older than the window: the one that is compared with.
        while self.0.get(1).is_some_and(|(at, ..)| now - *at > WINDOW) {
            self.0.pop_front();
        }
    }

    /// Returns ticks per second and the share of a core since a minute ago, or since the first tick; `None` right after it.
    pub(super) fn over_the_last_minute(&self, ticks: u64, cpu_micros: u64) -> (Option<f64>, Option<f64>) {
        let Some((at, ticks_then, cpu_then)) = self.0.front() else { return (None, None) };
        let seconds = at.elapsed().as_secs_f64();
        if seconds < 0.1 {
            return (None, None);
        }
        let rate = |now: u64, then: u64| Some(now.saturating_sub(then) as f64 / seconds);
        (rate(ticks, *ticks_then), rate(cpu_micros, *cpu_then).map(|micros| micros / 1e6))
    }
}
