//! An allowance: so much of something a second, saved up for a while where it is not used.

/// Parts of a unit that are counted.
const PARTS: i64 = 1_000_000;

/// What may be used of something. Times are µs of a clock that does not go back.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Allowance {
    /// Units a second.
    rate: i64,
    /// The most that is saved, in parts of a unit.
    most: i64,
    /// What is left, in parts; below zero after [`spend`](Self::spend).
    left: i64,
    /// When that was reckoned.
    at: i64,
}

impl Allowance {
    /// Makes a full allowance of `rate` units a second, of which `seconds` are saved.
    pub(crate) fn new(rate: u64, seconds: u64, now: i64) -> Self {
        let rate = i64::try_from(rate).unwrap_or(i64::MAX / PARTS).clamp(1, i64::MAX / PARTS);
        let seconds = i64::try_from(seconds).unwrap_or(1).max(1);
        let most = rate.saturating_mul(seconds).saturating_mul(PARTS);
        Self { rate, most, left: most, at: now }
    }

    fn fill(&mut self, now: i64) {
        let passed = now.saturating_sub(self.at).max(0);
        self.at = self.at.max(now);
        self.left = self.left.saturating_add(self.rate.saturating_mul(passed)).min(self.most);
    }

    /// Takes so many units, if they are there.
    pub(crate) fn take(&mut self, units: u64, now: i64) -> bool {
        self.fill(now);
        let wanted = parts(units);
        let is_there = wanted <= self.left;
        if is_there {
            self.left -= wanted;
        }
        is_there
    }

    /// Takes note that so many units were used, whether they were there or not. No more is owed than can be saved.
    pub(crate) fn spend(&mut self, units: u64, now: i64) {
        self.fill(now);
        self.left = self.left.saturating_sub(parts(units)).max(-self.most);
    }

    /// Returns what is left, in percent of the most that can be saved: from -100 to 100.
    pub(crate) fn percent(&mut self, now: i64) -> i64 {
        self.fill(now);
        self.left / (self.most / 100).max(1)
    }

    /// Returns how long it takes until nothing is owed, µs.
    pub(crate) fn settled_in(&mut self, now: i64) -> i64 {
        self.fill(now);
        (-self.left).max(0) / self.rate
    }
}

fn parts(units: u64) -> i64 {
    i64::try_from(units).unwrap_or(i64::MAX).saturating_mul(PARTS)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_saved_is_bounded_and_comes_back() {
        let mut allowance = Allowance::new(10, 4, 0);
        assert!(allowance.take(40, 0) && !allowance.take(1, 0));
        assert!(allowance.take(1, 100_000) && !allowance.take(1, 199_999));
        assert_eq!(allowance.percent(100_000_000), 100);
        allowance.spend(60, 100_000_000);
        assert_eq!((allowance.percent(100_000_000), allowance.settled_in(100_000_000)), (-50, 2_000_000));
        assert!(!allowance.take(1, 102_000_000) && allowance.take(1, 102_100_000));
        // A clock that goes back gives nothing.
        assert!(!allowance.take(1, 0));
    }
}
