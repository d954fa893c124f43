//! The budget: how much of the machine the recorder may take, and what it does when that is too little.
//!
//! CPU: what the process used over a sliding window is compared with its share. Over it, ticks are taken at every second, third, …
//! multiple of the interval, so that what they cost fits into what events leave over; once that would fit at a shorter one again,
//! it goes back. That is the last that gives way: the listening thread keeps to a share of its own, and so does the telling of
//! events ([`Telling`]), at the cost of the user who makes the most of them ([`limits`](crate::limits)). Memory: over it,
//! memory that is free is given back, then the bundle ends early, then the samplers forget what they keep. Neither ever ends the
//! recording, and each says so in a thin gap.
//!
//! [`pace`] and [`memory`] decide and know neither clock nor kernel; a [`Meter`] tells them what was used.

mod memory;
mod meter;
mod pace;
mod telling;

pub(super) use memory::{Memory, Relief};
pub use meter::{Meter, ProcessMeter};
pub(super) use pace::Pace;
pub(super) use telling::Telling;

use super::reason;
use crate::{limits, sys};
use pofr_core::{
    gap::{Gap, Severity},
    time::WallMicros,
};

/// A lasting excess is written down at least this often, µs, so that a crash hides no more than that.
const TELL_MICROS: i64 = 10_000_000;

/// What the recorder may take of the machine.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Budget {
    /// The share of one core that the whole process may use, events and sealing included: 0.02 is 2 %. `None`: any.
    pub max_cpu: Option<f64>,
    /// Over how long that is averaged, µs. A window that is not full yet may be used up at once.
    pub window_micros: u64,
    /// Bytes of resident memory. `None`: any.
    pub max_memory: Option<u64>,
}

impl Default for Budget {
    /// Any share, which, once given, holds over 10 s; 96 MiB.
    fn default() -> Self {
        Self {
            max_cpu: None,
            window_micros: limits::WINDOW_SECONDS * 1_000_000,
            max_memory: Some(limits::MEMORY),
        }
    }
}

/// Both budgets in one run, with what has still to be said of them.
#[derive(Debug)]
pub(super) struct Watch {
    pace: Pace,
    memory: Memory,
    /// CPU when the last tick ended, µs.
    cpu_after: u64,
    excess: Option<Gap>,
}

/// What to do after a tick.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Measures {
    /// From now on take a tick at every so many multiples of the interval.
    pub(super) every: i64,
    /// What memory asks for.
    pub(super) relief: Relief,
    /// To be written now.
    pub(super) gaps: Vec<Gap>,
}

impl Watch {
    pub(super) fn new(budget: &Budget, asked_micros: u64, meter: &dyn Meter) -> Self {
        Self {
            pace: Pace::new(budget, asked_micros),
            memory: Memory::new(budget.max_memory),
            cpu_after: meter.cpu_micros(),
            excess: None,
        }
    }

    /// Returns at every how many multiples of the interval ticks are taken.
    pub(super) const fn every(&self) -> i64 {
        self.pace.every()
    }

    /// Says why that is not all of them, where it is not.
    pub(super) fn describe(&self) -> Option<String> {
        self.pace.describe()
    }

    /// Takes note of the tick at `stamp`, the one after `before`, which took `tick_micros` of its thread and ends at `boot_micros`.
    pub(super) fn ticked(
        &mut self,
        before: Option<WallMicros>,
        stamp: WallMicros,
        tick_micros: u64,
        boot_micros: i64,
        meter: &dyn Meter,
    ) -> Measures {
        let cpu = meter.cpu_micros();
        let rest = cpu.saturating_sub(self.cpu_after).saturating_sub(tick_micros);
        self.cpu_after = cpu;
        let mut gaps: Vec<_> = self.stretched(before, stamp).into_iter().collect();
        let was = self.pace.every();
        let every = self.pace.spent(boot_micros, tick_micros, rest);
        if every != was {
            tracing::info!("{}", self.pace.describe().unwrap_or_else(|| "within the CPU budget".to_owned()));
            // The next piece has another reason.
            gaps.extend(self.excess.take());
        }
        let mut resident = self.memory.is_bounded().then(|| meter.resident_bytes()).flatten();
        if self.memory.may_trim(boot_micros, resident) {
            sys::trim_heap();
            resident = meter.resident_bytes();
        }
        let relief = self.memory.seen(boot_micros, resident);
        if let Some(text) = self.memory.describe(&relief) {
            tracing::warn!("{text}");
            gaps.push(thin(text, before.unwrap_or(stamp), stamp, None));
        }
        Measures { every, relief, gaps }
    }

    /// Counts a tick that came later than asked for; returns the gap that is due to be written.
    fn stretched(&mut self, before: Option<WallMicros>, stamp: WallMicros) -> Option<Gap> {
        let (text, before) = (self.pace.describe()?, before?);
        let gap = self.excess.get_or_insert_with(|| thin(text, before, stamp, Some(0)));
        gap.to = Some(stamp);
        gap.lost = gap.lost.map(|lost| lost + (self.pace.every() - 1).unsigned_abs());
        if stamp.since(gap.from) >= TELL_MICROS { self.excess.take() } else { None }
    }

    /// Returns the gap that has not been written yet.
    pub(super) fn take(&mut self) -> Option<Gap> {
        self.excess.take()
    }
}

fn thin(text: String, from: WallMicros, to: WallMicros, lost: Option<u64>) -> Gap {
    Gap { source: None, severity: Severity::Thin, reason: reason(text), from, to: Some(to), lost }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::atomic::{AtomicU64, Ordering};

    #[derive(Default)]
    struct Counted(AtomicU64);

    impl Meter for Counted {
        fn cpu_micros(&self) -> u64 {
            self.0.load(Ordering::Relaxed)
        }
        fn resident_bytes(&self) -> Option<u64> {
            None
        }
    }

    #[test]
    fn an_excess_is_one_gap_that_counts_what_was_left_out() {
        let meter = Counted::default();
        let budget = Budget { max_cpu: Some(0.1), window_micros: 1_000_000, max_memory: None };
        let mut watch = Watch::new(&budget, 100_000, &meter);
        let (mut gaps, mut boot, mut last) = (Vec::new(), 0, None);
        for tick in 0..200 {
            // A fifth of a core at first, nearly nothing later.
            let cost = if tick < 100 { 20_000 } else { 100 };
            meter.0.fetch_add(cost, Ordering::Relaxed);
            let stamp = WallMicros(boot);
            let measures = watch.ticked(last, stamp, cost, boot, &meter);
            gaps.extend(measures.gaps);
            last = Some(stamp);
            boot += 100_000 * measures.every;
        }
        gaps.extend(watch.take());
        assert_eq!(
            gaps[0].reason,
            "over the CPU budget of 10 %: a sample every 200 ms instead of every 100 ms"
        );
        assert!(gaps.windows(2).all(|two| two[0].to == Some(two[1].from)), "{gaps:?}");
        // Every multiple of the interval within the gaps was either taken or is counted.
        let span = gaps.last().unwrap().to.unwrap().since(gaps[0].from);
        let lost: u64 = gaps.iter().filter_map(|gap| gap.lost).sum();
        assert_eq!(i64::try_from(lost).unwrap(), span / 200_000);
        assert_eq!(watch.every(), 1);
    }
}
