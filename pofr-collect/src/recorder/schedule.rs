//! The schedule: ticks at whole multiples of the interval after the start, whatever the ticks themselves cost.

use pofr_core::{
    gap::{Gap, Severity},
    time::WallMicros,
};

/// A run of late ticks is written down at least this often, µs, so that a crash hides no more than that.
const TELL_MICROS: i64 = 1_000_000;

/// When ticks are due, on `CLOCK_BOOTTIME`, µs.
#[derive(Debug)]
pub(super) struct Schedule {
    start: i64,
    interval: i64,
    /// The number of the tick that is due next; tick 0 is at the start.
    next: i64,
    /// Only every so many of them are taken.
    every: i64,
}

impl Schedule {
    pub(super) fn new(start: i64, interval_micros: u64) -> Self {
        Self { start, interval: i64::try_from(interval_micros).unwrap_or(i64::MAX).max(1), next: 0, every: 1 }
    }

    /// Returns when the next tick is due.
    pub(super) fn due(&self) -> i64 {
        self.start.saturating_add(self.next.saturating_mul(self.interval))
    }

    /// Takes only every so many of the multiples from now on.
    pub(super) fn take_every(&mut self, every: i64) {
        self.every = every.max(1);
    }

    /// Takes note that the tick that was due is taken at `now`, as the last one whose time has come. Returns how many before it
    /// are skipped, because nobody woke up for them.
    pub(super) fn arrive(&mut self, now: i64) -> u64 {
        let skipped = ((now - self.due()) / (self.interval * self.every)).max(0);
        self.next += skipped * self.every;
        skipped.unsigned_abs()
    }

    /// Plans the tick after the one that was due, at the first multiple to be taken after `now`. Returns how many
    /// are skipped because their time has passed.
    pub(super) fn advance(&mut self, now: i64) -> u64 {
        let reached = (now - self.start).div_euclid(self.interval);
        let planned = self.next + self.every;
        let skipped = if planned > reached { 0 } else { (reached - planned) / self.every + 1 };
        self.next = planned + skipped * self.every;
        skipped.unsigned_abs()
    }
}

/// Ticks that did not come in time, gathered to one gap.
#[derive(Debug, Default)]
pub(super) struct Late {
    skipped: u64,
    open: Option<Gap>,
}

impl Late {
    /// Notes that ticks are skipped between the last and the next.
    pub(super) fn skip(&mut self, ticks: u64) {
        self.skipped += ticks;
    }

    /// Takes note of a tick; returns the gap that is to be written with it, if any.
    pub(super) fn tick(&mut self, before: Option<WallMicros>, now: WallMicros) -> Option<Gap> {
        let skipped = std::mem::take(&mut self.skipped);
        if skipped == 0 {
            return self.open.take();
        }
        let gap = self.open.get_or_insert_with(|| Gap {
            source: None,
            severity: Severity::Thin,
            reason: "samples came later than the interval asks".to_owned(),
            from: before.unwrap_or(now),
            to: None,
            lost: Some(0),
        });
        gap.to = Some(now);
        gap.lost = gap.lost.map(|lost| lost + skipped);
        if now.since(gap.from) >= TELL_MICROS { self.open.take() } else { None }
    }

    /// Returns the gap that has not been written yet.
    pub(super) fn take(&mut self) -> Option<Gap> {
        self.open.take()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_late_tick_skips_and_does_not_shift_those_after_it() {
        let mut schedule = Schedule::new(1_000, 100);
        assert_eq!(schedule.due(), 1_000);
        assert_eq!((schedule.advance(1_030), schedule.due()), (0, 1_100));
        // Tick 1 took until 1,310: ticks 2 and 3 are lost, tick 4 comes where it always would have.
        assert_eq!((schedule.advance(1_310), schedule.due()), (2, 1_400));
        // Exactly at the next due time is too late for that one.
        assert_eq!((schedule.advance(1_500), schedule.due()), (1, 1_600));
    }

    #[test]
    fn ticks_that_were_slept_through_are_missing_before_the_next() {
        let mut schedule = Schedule::new(1_000, 100);
        assert_eq!((schedule.arrive(1_010), schedule.advance(1_020)), (0, 0));
        // Stopped from 1,050 to 1,430: the ticks of 1,100, 1,200 and 1,300 are lost, that of 1,400 is a little late.
        assert_eq!((schedule.arrive(1_430), schedule.due()), (3, 1_400));
        assert_eq!((schedule.advance(1_440), schedule.due()), (0, 1_500));
        schedule.take_every(5);
        assert_eq!((schedule.arrive(2_499), schedule.due()), (1, 2_000));
    }

    #[test]
    fn a_slower_pace_stays_on_the_multiples() {
        let mut schedule = Schedule::new(1_000, 100);
        schedule.take_every(4);
        assert_eq!((schedule.advance(1_030), schedule.due()), (0, 1_400));
        // The tick took until 2,250: those of 1,800 and 2,200 are lost.
        assert_eq!((schedule.advance(2_250), schedule.due()), (2, 2_600));
        schedule.take_every(1);
        assert_eq!((schedule.advance(2_610), schedule.due()), (0, 2_700));
    }

    #[test]
    fn late_ticks_in_a_row_are_one_gap() {
        let mut late = Late::default();
        assert_eq!(late.tick(None, WallMicros(0)), None);
        late.skip(2);
        assert_eq!(late.tick(Some(WallMicros(0)), WallMicros(300)), None);
        late.skip(1);
        assert_eq!(late.tick(Some(WallMicros(300)), WallMicros(500)), None);
        let gap = late.tick(Some(WallMicros(500)), WallMicros(600)).unwrap();
        assert_eq!((gap.from, gap.to, gap.lost), (WallMicros(0), Some(WallMicros(500)), Some(3)));
        assert_eq!(late.take(), None);
    }
}
