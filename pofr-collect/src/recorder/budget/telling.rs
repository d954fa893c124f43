//! Telling: what events may use of the recorder's thread, between ticks.
//!
//! Each time that an event source wakes the recorder costs it some µs, and what it tells some more. Over the share, the recorder does
//! not wake before the next tick, or before nothing is owed: until then sources keep what there is. What is left decides too how
//! much is told of each user ([`Effort::dearness`]).

use crate::{allowance::Allowance, effort::Effort, limits};

/// What telling events has left of its share.
#[derive(Debug)]
pub(in crate::recorder) struct Telling {
    effort: Effort,
    left: Allowance,
}

impl Telling {
    pub(in crate::recorder) fn new(effort: Effort, now: i64) -> Self {
        Self { left: Allowance::new(effort.telling(), limits::WINDOW_SECONDS, now), effort }
    }

    /// Takes note that telling took so much of the thread, until `now`.
    pub(in crate::recorder) fn took(&mut self, micros: u64, now: i64) {
        self.left.spend(micros, now);
        self.effort.has_left(self.left.percent(now));
    }

    /// Returns until when event sources are not waited for, on `CLOCK_BOOTTIME`, µs.
    pub(in crate::recorder) fn rests_until(&mut self, now: i64) -> i64 {
        now + self.left.settled_in(now)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_used_too_much_rests_and_tells_less_of_each() {
        let effort = Effort::default();
        effort.keep_to(Some(0.1), None);
        let mut telling = Telling::new(effort.clone(), 0);
        // A hundredth of a core over ten seconds are 100 ms.
        telling.took(40_000, 0);
        assert_eq!((telling.rests_until(0), effort.dearness()), (0, 1));
        telling.took(40_000, 0);
        assert_eq!(effort.dearness(), 8);
        telling.took(40_000, 0);
        assert_eq!((telling.rests_until(0), effort.dearness()), (2_000_000, 32));
        telling.took(0, 10_000_000);
        assert_eq!((telling.rests_until(10_000_000), effort.dearness()), (10_000_000, 1));
    }
}
