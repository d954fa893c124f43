//! Memory: what this process has used at most.

use std::{fs, io};

/// Returns the most memory that this process has had resident, bytes: `VmHWM` of `/proc/self/status` (proc_pid_status(5)).
///
/// # Errors
/// Where `/proc` cannot be read.
pub fn peak() -> io::Result<u64> {
    let status = fs::read_to_string("/proc/self/status")?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
    // VmHWM:     3448 kB
    let kib = line.and_then(|rest| rest.trim().strip_suffix(" kB")?.parse::<u64>().ok());
    kib.map(|kib| kib * 1024).ok_or_else(|| io::Error::other("/proc/self/status has no VmHWM"))
}

/// Forgets the peak so far (`/proc/pid/clear_refs`, proc_pid_clear_refs(5)).
///
/// # Errors
/// Where the kernel refuses.
pub fn reset_peak() -> io::Result<()> {
    fs::write("/proc/self/clear_refs", "5")
}
