//! The time between two attempts: it doubles, and chance spreads it, so that clients that lost their server together do not
//! come back together.

use std::time::Duration;

/// Times to wait, each within bounds.
#[derive(Clone, Debug)]
pub struct Backoff {
    least: Duration,
    most: Duration,
    /// What the next time is at most.
    next: Duration,
}

impl Backoff {
    /// Makes one between `least` and `most`.
    #[must_use]
    pub fn new((least, most): (Duration, Duration)) -> Self {
        Self { least, most, next: least * 2 }
    }

    /// Begins anew: the last attempt came to something.
    pub fn reset(&mut self) {
        self.next = self.least * 2;
    }

    /// Returns how long to wait now: from half of what it may be to all of it.
    pub fn wait(&mut self) -> Duration {
        let top = self.next.min(self.most);
        self.next = top * 2;
        top.mul_f64(0.5 + 0.5 * chance()).clamp(self.least.min(self.most), self.most)
    }
}

/// Returns a number from 0 to 1; ½ where the kernel has no chance to give.
fn chance() -> f64 {
    crate::sys::random().map_or(0.5, |bytes| f64::from(u32::from_ne_bytes(bytes)) / f64::from(u32::MAX))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_doubles_within_its_bounds_and_begins_anew() {
        let (least, most) = (Duration::from_secs(1), Duration::from_secs(300));
        let mut backoff = Backoff::new((least, most));
        let mut top = 2 * least;
        for _ in 0..20 {
            let wait = backoff.wait();
            assert!(
                wait >= least && wait <= most && wait <= top && wait >= top.min(most) / 2,
                "{wait:?} of {top:?}"
            );
            top = (top * 2).min(most);
        }
        backoff.reset();
        assert!(backoff.wait() <= 2 * least);
    }
}
