//! The pace: so many bytes a second and no more.

use std::time::{Duration, Instant};

/// A burst may have what a second may have; a longer silence saves up no more.
const BURST: Duration = Duration::from_secs(1);

/// A rate that is kept on average.
#[derive(Clone, Debug)]
pub(super) struct Pace {
    /// Bytes a second; `None` for any number.
    rate: Option<u64>,
    /// When what was sent so far has had its time.
    paid: Instant,
}

impl Pace {
    pub(super) fn new(rate: Option<u64>) -> Self {
        Self { rate: rate.map(|rate| rate.max(1)), paid: Instant::now() }
    }

    /// Takes note of bytes that were sent.
    pub(super) fn sent(&mut self, bytes: u64) {
        let Some(rate) = self.rate else { return };
        let floor = Instant::now().checked_sub(BURST);
        let from = floor.map_or(self.paid, |floor| self.paid.max(floor));
        self.paid = from + Duration::from_secs_f64(bytes as f64 / rate as f64);
    }

    /// Returns how long to wait before the next bytes.
    pub(super) fn wait(&self) -> Duration {
        if self.rate.is_none() { Duration::ZERO } else { self.paid.saturating_duration_since(Instant::now()) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_goes_beyond_a_seconds_worth_has_to_wait() {
        let mut pace = Pace::new(Some(1_000));
        pace.sent(100_000);
        let wait = pace.wait();
        assert!(wait > Duration::from_secs(90) && wait <= Duration::from_secs(100), "{wait:?}");
        let mut any = Pace::new(None);
        any.sent(u64::MAX);
        assert_eq!(any.wait(), Duration::ZERO);
    }
}
