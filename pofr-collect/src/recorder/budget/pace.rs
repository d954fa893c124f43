//! The pace: at which multiples of the interval ticks are taken, so that they fit into the CPU budget.
//!
//! A tick costs what its thread used from when the samplers are asked; what else the process used is the events' and does not
//! shrink with a longer interval. With c for the mean tick and r for the rest per time, an interval of c / (share - r) fits.
//! Where events alone use more than half of the share, ticks have half of it all the same: what else there is keeps to the rest.

use super::Budget;
use std::collections::VecDeque;

/// The interval is never lengthened beyond this, µs: a bundle of the default length has a sample in any case.
const LONGEST_MICROS: i64 = 30_000_000;
/// The part of the share that ticks have whatever events use.
const LEAST_PART: f64 = 0.5;
/// A shorter interval must fit with this much to spare, or two of them would alternate.
const SPARE: f64 = 1.1;

/// One tick and the time before it.
#[derive(Debug)]
struct Spent {
    /// When it ended, µs.
    at: i64,
    tick_micros: u64,
    rest_micros: u64,
}

/// Decides how often to tick.
#[derive(Debug)]
pub(in crate::recorder) struct Pace {
    share: Option<f64>,
    asked: i64,
    window: i64,
    spent: VecDeque<Spent>,
    every: i64,
    changed: i64,
}

impl Pace {
    pub(super) fn new(budget: &Budget, asked_micros: u64) -> Self {
        Self {
            share: budget.max_cpu,
            asked: i64::try_from(asked_micros).unwrap_or(i64::MAX).max(1),
            window: i64::try_from(budget.window_micros).unwrap_or(i64::MAX).max(1),
            spent: VecDeque::new(),
            every: 1,
            changed: i64::MIN,
        }
    }

    /// Returns at every how many multiples of the asked interval ticks are taken.
    pub(super) const fn every(&self) -> i64 {
        self.every
    }

    /// Takes note of a tick that ended at `now` and cost `tick_micros`, after `rest_micros` used since the one before; returns
    /// the new [`every`](Self::every).
    pub(super) fn spent(&mut self, now: i64, tick_micros: u64, rest_micros: u64) -> i64 {
        let Some(share) = self.share else { return 1 };
        // Some ticks are needed to know what one costs.
        let window = self.window.max(self.asked.saturating_mul(self.every).saturating_mul(4));
        let since = self.spent.back().map_or(now, |last| last.at);
        self.spent.push_back(Spent { at: now, tick_micros, rest_micros });
        while self.spent.front().is_some_and(|oldest| oldest.at <= now.saturating_sub(window)) {
            self.spent.pop_front();
        }
        let (ticks, rest) = self
            .spent
            .iter()
            .fold((0, 0), |(ticks, rest), spent| (ticks + spent.tick_micros, rest + spent.rest_micros));
        let elapsed = self.spent.front().map_or(0, |oldest| now - oldest.at).max(now - since).max(1);
        let mean = ticks as f64 / self.spent.len().max(1) as f64;
        let room = (share - rest as f64 / elapsed as f64).max(share * LEAST_PART);
        let fits = |spare: f64| {
            let multiples = (mean * spare / room / self.asked as f64).ceil();
            (multiples as i64).clamp(1, (LONGEST_MICROS / self.asked).max(1))
        };
        let is_over = (ticks + rest) as f64 > share * window as f64;
        let lengthened = if is_over { fits(1.0) } else { 1 };
        // Ticks of the old pace are still in the window, so a change back has to wait.
        let settled = now.saturating_sub(self.changed) >= self.window / 3;
        let shortened = fits(SPARE);
        let every = if lengthened > self.every {
            lengthened
        } else if settled && shortened < self.every {
            shortened
        } else {
            self.every
        };
        if every != self.every {
            (self.every, self.changed) = (every, now);
        }
        every
    }

    /// Says at which pace ticks are taken, where that is not the one asked for.
    pub(super) fn describe(&self) -> Option<String> {
        let share = self.share.filter(|_| self.every > 1)?;
        let (now, asked) = (span(self.asked * self.every), span(self.asked));
        Some(format!(
            "over the CPU budget of {} %: a sample every {now} instead of every {asked}",
            (share * 1e4).round() / 1e2
        ))
    }
}

/// Writes a time as a person does.
fn span(micros: i64) -> String {
    match micros {
        0..1_000 => format!("{micros} µs"),
        1_000..1_000_000 => format!("{} ms", (micros as f64 / 100.0).round() / 10.0),
        _ => format!("{} s", (micros as f64 / 100_000.0).round() / 10.0),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Ticks under a budget of 2 % over 10 s, on time, `count` times at such a cost; returns the last pace and the time.
    fn run(pace: &mut Pace, mut now: i64, count: usize, tick: u64, rest_share: f64) -> (i64, i64) {
        for _ in 0..count {
            let interval = pace.asked * pace.every;
            now += interval;
            pace.spent(now, tick, (interval as f64 * rest_share) as u64);
        }
        (pace.every(), now)
    }

    fn pace(asked: u64) -> Pace {
        Pace::new(&Budget { max_cpu: Some(0.02), ..Budget::default() }, asked)
    }

    #[test]
    fn within_the_budget_nothing_happens() {
        // 1 % and half a percent of events; and a first sample that costs 13 times the others.
        let mut pace = pace(300_000);
        pace.spent(0, 39_000, 0);
        assert_eq!(run(&mut pace, 0, 1_000, 3_000, 0.005).0, 1);
        assert_eq!(pace.describe(), None);
        // No budget, no bound.
        assert_eq!(Pace::new(&Budget::default(), 1_000).spent(0, u64::MAX / 2, 0), 1);
    }

    #[test]
    fn over_it_the_interval_is_what_fits_and_goes_back_by_itself() {
        let mut pace = pace(300_000);
        // 20 ms at 3.3 Hz are 6.7 %: one a second fits.
        let (every, now) = run(&mut pace, 0, 200, 20_000, 0.0);
        assert_eq!(every, 4);
        assert_eq!(
            pace.describe().unwrap(),
            "over the CPU budget of 2 %: a sample every 1.2 s instead of every 300 ms"
        );
        // With events at 1 % it takes twice that.
        let (every, now) = run(&mut pace, now, 200, 20_000, 0.01);
        assert!((7..=9).contains(&every), "{every}");
        let (every, _) = run(&mut pace, now, 200, 2_000, 0.0);
        assert_eq!(every, 1);
    }

    #[test]
    fn it_does_not_alternate() {
        for cost in (1_000..60_000).step_by(1_700) {
            let mut pace = pace(300_000);
            let (settled, mut now) = run(&mut pace, 0, 400, cost, 0.0);
            let mut changes = 0;
            for i in 0..400 {
                let before = pace.every();
                // Five percent of noise.
                (_, now) = run(&mut pace, now, 1, cost + cost / 20 * (i % 3) - cost / 20, 0.0);
                changes += u32::from(pace.every() != before);
            }
            assert!(changes <= 2, "{changes} changes at a cost of {cost} µs, from {settled}");
        }
    }

    #[test]
    fn it_is_bounded_and_recovers_from_the_bound() {
        let mut pace = pace(300_000);
        // A tick of two seconds would have to wait for 100 s.
        let (every, now) = run(&mut pace, 0, 50, 2_000_000, 0.0);
        assert_eq!(every, 100);
        assert_eq!(run(&mut pace, now, 20, 1_000, 0.0).0, 1);
        // Events alone use more than there is: ticks still have half of it.
        let mut pace = self::pace(300_000);
        assert_eq!(run(&mut pace, 0, 100, 3_000, 0.5).0, 1);
        let mut pace = self::pace(300_000);
        assert_eq!(run(&mut pace, 0, 100, 6_000, 0.5).0, 2);
        // What was asked for already is longer than the bound.
        let mut pace = self::pace(60_000_000);
        assert_eq!(run(&mut pace, 0, 20, 10_000_000, 0.0).0, 1);
    }
}
