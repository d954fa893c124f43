//! Real-time priority for threads that are made after the right to take it has been given up.

use crate::sys;
use std::io;

/// While this lives, the threads that the calling thread makes have real-time priority, and so has it (sched(7)).
///
/// The thread that looks at new processes must be quick, and a thread keeps the capabilities that its maker had. So the maker takes
/// the priority, gives up its capabilities, makes the thread, and leaves the priority again.
#[derive(Debug)]
#[must_use = "the priority ends with the value"]
pub struct RealTime(());

impl RealTime {
    /// Takes the priority.
    ///
    /// # Errors
    /// `EPERM` without CAP_SYS_NICE or an RLIMIT_RTPRIO, or where the control group has no real-time share.
    pub fn take() -> io::Result<Self> {
        sys::run_at_once_with_heirs().map(|()| Self(()))
    }
}

impl Drop for RealTime {
    fn drop(&mut self) {
        if let Err(error) = sys::run_in_turn() {
            tracing::warn!("real-time priority stays: {error}");
        }
    }
}
