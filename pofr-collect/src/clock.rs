//! Clocks: the machine's, and the run's, which is the wall clock at the run's start advanced by `CLOCK_BOOTTIME`.

use pofr_core::{identity::StartTicks, time::WallMicros};
use rustix::time::{ClockId, Timespec, clock_gettime};
use std::{
    fmt,
    sync::{
        Arc,
        atomic::{AtomicI64, Ordering},
    },
};

/// The machine's two clocks (clock_gettime(2)). A test gives its own, to step it.
pub trait Clock: Send + Sync + fmt::Debug {
    /// Returns `CLOCK_REALTIME`, µs.
    fn wall_micros(&self) -> i64;

    /// Returns `CLOCK_BOOTTIME`, µs: it goes on while the machine is suspended, and is never set.
    fn boot_micros(&self) -> i64;
}

/// The kernel's clocks.
#[derive(Clone, Copy, Debug, Default)]
pub struct KernelClock;

impl Clock for KernelClock {
    fn wall_micros(&self) -> i64 {
        micros(clock_gettime(ClockId::Realtime))
    }

    fn boot_micros(&self) -> i64 {
        micros(clock_gettime(ClockId::Boottime))
    }
}

/// Returns the CPU time that the calling thread has taken, µs.
pub(crate) fn thread_micros() -> i64 {
    micros(clock_gettime(ClockId::ThreadCPUTime))
}

fn micros(time: Timespec) -> i64 {
    time.tv_sec.saturating_mul(1_000_000).saturating_add(time.tv_nsec / 1_000)
}

/// Two readings of different clocks count as one moment if they are no farther apart than this, µs.
const ONE_MOMENT: i64 = 2_000;

/// A run's clock. Clones share it, so that a sampler knows the run's time without being told.
#[derive(Clone, Debug)]
pub struct RunClock {
    machine: Arc<dyn Clock>,
    /// The run's time when `CLOCK_BOOTTIME` was 0, µs since 1970.
    epoch: Arc<AtomicI64>,
}

impl RunClock {
    /// Makes a clock on `machine`, started.
    #[must_use]
    pub fn new(machine: Arc<dyn Clock>) -> Self {
        let clock = Self { machine, epoch: Arc::default() };
        clock.start();
        clock
    }

    /// Starts a run: from now on the run's time is what the wall clock says now, plus what `CLOCK_BOOTTIME` advances.
    pub fn start(&self) {
        self.epoch.store(self.wall_of_boot(), Ordering::Relaxed);
    }

    /// Returns the run's time.
    #[must_use]
    pub fn now(&self) -> WallMicros {
        self.at_boot(self.boot_micros())
    }

    /// Returns `CLOCK_BOOTTIME`, µs.
    #[must_use]
    pub fn boot_micros(&self) -> i64 {
        self.machine.boot_micros()
    }

    /// Returns the run's time at a moment of `CLOCK_BOOTTIME`.
    #[must_use]
    pub fn at_boot(&self, boot_micros: i64) -> WallMicros {
        WallMicros(self.epoch.load(Ordering::Relaxed).saturating_add(boot_micros))
    }

    /// Returns how far the wall clock is ahead of the run's, µs: other than about 0 if it was set since the run's start.
    #[must_use]
    pub fn step(&self) -> i64 {
        self.wall_of_boot().saturating_sub(self.epoch.load(Ordering::Relaxed))
    }

    /// Returns when a process started, on the run's clock; good to one tick.
    #[must_use]
    pub fn started(&self, start: StartTicks, ticks_per_second: u64) -> WallMicros {
        let micros = u128::from(start.0) * 1_000_000 / u128::from(ticks_per_second.max(1));
        self.at_boot(i64::try_from(micros).unwrap_or(i64::MAX))
    }

    /// Returns what the wall clock showed, or would have, when `CLOCK_BOOTTIME` was 0.
    fn wall_of_boot(&self) -> i64 {
        // Whoever is interrupted between the two readings would see a step where there is none: take the closest of some.
        let reading = || {
            let before = self.machine.boot_micros();
            let wall = self.machine.wall_micros();
            let after = self.machine.boot_micros();
            (after - before, wall - before - (after - before) / 2)
        };
        let mut best = reading();
        for _ in 0..20 {
            if best.0 <= ONE_MOMENT {
                break;
            }
            best = best.min(reading());
        }
        best.1
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_run_goes_on_when_the_wall_clock_is_set() {
        #[derive(Debug, Default)]
        struct Set(AtomicI64);
        impl Clock for Set {
            fn wall_micros(&self) -> i64 {
                1_000_000_000 + self.0.load(Ordering::Relaxed)
            }
            fn boot_micros(&self) -> i64 {
                5_000_000
            }
        }
        let machine = Arc::new(Set::default());
        let clock = RunClock::new(machine.clone());
        assert_eq!((clock.now(), clock.step()), (WallMicros(1_000_000_000), 0));
        machine.0.store(-3_600_000_000, Ordering::Relaxed);
        assert_eq!((clock.now(), clock.step()), (WallMicros(1_000_000_000), -3_600_000_000));
        assert_eq!(clock.started(StartTicks(250), 100), WallMicros(997_500_000));
        clock.start();
        assert_eq!((clock.now(), clock.step()), (WallMicros(-2_600_000_000), 0));
    }
}
