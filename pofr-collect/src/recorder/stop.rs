//! Stopping a recorder, or a shipper, from another thread, at once.

use rustix::event::{EventfdFlags, PollFd, PollFlags, Timespec, eventfd, poll};
use std::{
    io,
    os::fd::{AsFd, BorrowedFd, OwnedFd},
    sync::Arc,
    time::{Duration, Instant},
};

/// Tells a recorder or a shipper to end. Clones tell the same one; once told, it stays told.
#[derive(Clone, Debug)]
pub struct Stop(Arc<OwnedFd>);

impl Stop {
    /// Makes a stop that nobody has told yet.
    ///
    /// # Errors
    /// Where the kernel gives no descriptor (eventfd(2)).
    pub fn new() -> io::Result<Self> {
        let flags = EventfdFlags::CLOEXEC | EventfdFlags::NONBLOCK;
        Ok(Self(Arc::new(eventfd(0, flags)?)))
    }

    /// Tells the recorder to seal its bundle and end. It may be called from any thread.
    pub fn stop(&self) {
        // The counter is full after 2^64 - 2 calls, and then it is not 0 either.
        let _ = rustix::io::write(&*self.0, &1u64.to_ne_bytes());
    }

    /// Tells whether [`Self::stop`] was called.
    #[must_use]
    pub fn is_stopped(&self) -> bool {
        let mut fds = [PollFd::new(&*self.0, PollFlags::IN)];
        poll(&mut fds, Some(&Timespec::default())).is_ok_and(|n| n > 0)
    }

    /// Waits until [`Self::stop`] was called, but no longer than `most`; tells whether it was.
    #[must_use]
    pub fn wait(&self, most: Duration) -> bool {
        let until = Instant::now() + most;
        loop {
            let left = until.saturating_duration_since(Instant::now());
            let mut fds = [PollFd::new(&*self.0, PollFlags::IN)];
            match poll(&mut fds, Timespec::try_from(left).ok().as_ref()) {
                Ok(n) if n > 0 => return true,
                // A signal ended it, or time has passed.
                _ if left.is_zero() => return false,
                _ => {}
            }
        }
    }

    /// Returns the descriptor that becomes readable.
    pub(crate) fn descriptor(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
    }
}
