//! The meter: what this process has used of the machine.

use rustix::time::{ClockId, clock_gettime};
use std::{fs::File, os::unix::fs::FileExt as _};

/// Tells what the recorder has used. A test gives its own.
pub trait Meter: Send {
    /// Returns the CPU time of the whole process and of its children that read for it, user and system, µs.
    fn cpu_micros(&self) -> u64;

    /// Returns the CPU time of the calling thread alone, µs.
    fn thread_micros(&self) -> u64 {
        self.cpu_micros()
    }

    /// Returns the resident memory, bytes; `None` where it cannot be told.
    fn resident_bytes(&self) -> Option<u64>;
}

/// The kernel's account: `CLOCK_PROCESS_CPUTIME_ID`, `CLOCK_THREAD_CPUTIME_ID` (clock_gettime(2)) and `/proc/self/statm` (proc(5)).
#[derive(Debug)]
pub struct ProcessMeter {
    statm: Option<File>,
}

impl ProcessMeter {
    /// Opens the account of this process.
    #[must_use]
    pub fn new() -> Self {
        Self { statm: File::open("/proc/self/statm").ok() }
    }
}

impl Default for ProcessMeter {
    fn default() -> Self {
        Self::new()
    }
}

impl Meter for ProcessMeter {
    fn cpu_micros(&self) -> u64 {
        micros(ClockId::ProcessCPUTime) + crate::probe::cpu_micros()
    }

    fn thread_micros(&self) -> u64 {
        micros(ClockId::ThreadCPUTime)
    }

    fn resident_bytes(&self) -> Option<u64> {
        let mut text = [0; 128];
        let length = self.statm.as_ref()?.read_at(&mut text, 0).ok()?;
        Some(pages(&text[..length])? * rustix::param::page_size() as u64)
    }
}

fn micros(clock: ClockId) -> u64 {
    let time = clock_gettime(clock);
    time.tv_sec.unsigned_abs() * 1_000_000 + time.tv_nsec.unsigned_abs() / 1_000
}

/// Reads the resident pages: `1296 430 380 12 0 210 0`, the second number.
fn pages(statm: &[u8]) -> Option<u64> {
    crate::sys::parse(statm.split(|b| *b == b' ').nth(1)?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_kernel_tells_both() {
        assert_eq!(pages(b"1296 430 380 12 0 210 0\n"), Some(430));
        let meter = ProcessMeter::new();
        let before = meter.cpu_micros();
        let mut sum = 0u64;
        while meter.cpu_micros() < before + 1_000 {
            sum = std::hint::black_box(sum.wrapping_add(1));
        }
        // The test holds a page at least, and no machine has a petabyte.
        assert!((4_096..1 << 50).contains(&meter.resident_bytes().unwrap()));
    }
}
