//! Stopping a recorder from another thread, at once.

use rustix::event::{EventfdFlags, PollFd, PollFlags, Timespec, eventfd, poll};
use std::{
    io,
    os::fd::{AsFd, BorrowedFd, OwnedFd},
    sync::Arc,
};

/// Tells a recorder to end. Clones tell the same one; once told, it stays told.
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

    /// Returns the descriptor that becomes readable.
    pub(super) fn descriptor(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
    }
}
