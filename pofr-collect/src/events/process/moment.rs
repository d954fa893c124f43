//! Moments: `CLOCK_BOOTTIME`, on which a recorder's run clock stands, and how the kernel's event stamps are put on it.

use rustix::time::{ClockId, Timespec, clock_gettime};
use std::path::Path;

/// A moment of `CLOCK_BOOTTIME`, µs. What is kept until it is told is kept so, since a new run has another wall clock.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) struct Moment(pub(super) i64);

impl Moment {
    /// Returns the moment so many µs later.
    pub(super) const fn plus(self, micros: i64) -> Self {
        Self(self.0.saturating_add(micros))
    }
}

/// The clocks are not read at the same time; a smaller change of their distance is not a sleep, ns.
const SLEEP_NANOS: i64 = 1_000_000;

/// Puts stamps of the kernel's `CLOCK_MONOTONIC` on `CLOCK_BOOTTIME`, which goes on while the machine sleeps.
#[derive(Clone, Copy, Debug)]
pub(super) struct Stamps {
    /// What a time namespace adds to the kernel's clock before a process reads it, ns (time_namespaces(7)).
    added: i64,
    /// How far `CLOCK_BOOTTIME` is ahead of `CLOCK_MONOTONIC`, ns.
    slept: i64,
}

impl Stamps {
    /// Reads what this process's time namespace adds.
    pub(super) fn new(proc_root: &Path) -> Self {
        let text = std::fs::read_to_string(proc_root.join("self/timens_offsets")).unwrap_or_default();
        Self { added: added(&text).unwrap_or(0), slept: slept() }
    }

    /// Returns the moment that is now.
    pub(super) fn now() -> Moment {
        Moment(nanos(clock_gettime(ClockId::Boottime)) / 1_000)
    }

    /// Takes note of a sleep of the machine: from now on stamps are put on the other clock by its present distance.
    pub(super) fn wake(&mut self) {
        let slept = slept();
        if (slept - self.slept).abs() > SLEEP_NANOS {
            self.slept = slept;
        }
    }

    /// Returns the moment of a stamp.
    pub(super) fn moment(&self, at_nanos: u64) -> Moment {
        let shown = i64::try_from(at_nanos).unwrap_or(i64::MAX).saturating_add(self.added);
        Moment(shown.saturating_add(self.slept) / 1_000)
    }
}

/// Returns by how much the two clocks differ, ns, as the quickest of some readings has it.
fn slept() -> i64 {
    let reading = || {
        let before = nanos(clock_gettime(ClockId::Boottime));
        let monotonic = nanos(clock_gettime(ClockId::Monotonic));
        let after = nanos(clock_gettime(ClockId::Boottime));
        (after - before, before - monotonic + (after - before) / 2)
    };
    (0..3).map(|_| reading()).min().map_or(0, |(_, slept)| slept)
}

fn nanos(time: Timespec) -> i64 {
    time.tv_sec.saturating_mul(1_000_000_000).saturating_add(time.tv_nsec)
}

/// Reads the line `monotonic      172800         0`: seconds and ns.
fn added(text: &str) -> Option<i64> {
    let mut fields = text.lines().find(|line| line.starts_with("monotonic"))?.split_whitespace().skip(1);
    let seconds: i64 = fields.next()?.parse().ok()?;
    let nanos: i64 = fields.next()?.parse().ok()?;
    Some(seconds.saturating_mul(1_000_000_000).saturating_add(nanos))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_offsets_are_read() {
        let text = "monotonic      172800    5\nboottime      -604800         0\n";
        assert_eq!(added(text), Some(172_800_000_000_005));
        assert_eq!(added(""), None);
    }

    #[test]
    fn a_stamp_of_now_is_now() {
        let stamps = Stamps::new(Path::new("/proc"));
        let before = Stamps::now();
        let stamp = nanos(clock_gettime(ClockId::Monotonic)) - stamps.added;
        let moment = stamps.moment(u64::try_from(stamp).unwrap());
        assert!(before <= moment.plus(1_000) && moment <= Stamps::now().plus(1_000), "{moment:?}");
    }
}
