//! Waiting for a client that may never say anything again.

use super::Seat;
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use std::{
    io::{self, Read},
    os::fd::AsFd,
    time::{Duration, Instant},
};

/// How often to look whether the session is still wanted.
const LOOK: Duration = Duration::from_millis(250);

/// Why waiting ended; the cause of the error that a read then gives.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Ending {
    /// Nothing came for too long.
    #[error("nothing came for too long")]
    Idle,
    /// Another session of the client began.
    #[error("another session of this client began")]
    Replaced,
}

impl Ending {
    /// Returns the ending that an error tells of.
    #[must_use]
    pub fn of(error: &io::Error) -> Option<Self> {
        error.get_ref()?.downcast_ref::<Self>().copied()
    }
}

/// Reads from a descriptor, but no longer than anybody wants it.
#[derive(Debug)]
pub struct Patient<'a, R> {
    inner: R,
    idle: Duration,
    seat: Option<&'a Seat>,
}

impl<'a, R: Read + AsFd> Patient<'a, R> {
    /// Reads from `inner`; fails where nothing comes for `idle`, or somebody else has come for the seat.
    pub const fn new(inner: R, idle: Duration, seat: Option<&'a Seat>) -> Self {
        Self { inner, idle, seat }
    }

    fn wait(&self) -> io::Result<()> {
        let until = Instant::now() + self.idle;
        loop {
            if self.seat.is_some_and(|seat| !seat.is_mine()) {
                return Err(io::Error::new(io::ErrorKind::ConnectionAborted, Ending::Replaced));
            }
            let left = until.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return Err(io::Error::new(io::ErrorKind::TimedOut, Ending::Idle));
            }
            let pause = left.min(LOOK);
            let timeout = Timespec {
                tv_sec: pause.as_secs().try_into().unwrap_or(0),
                tv_nsec: pause.subsec_nanos().into(),
            };
            let mut fds = [PollFd::new(&self.inner, PollFlags::IN)];
            match poll(&mut fds, Some(&timeout)) {
                Ok(0) | Err(rustix::io::Errno::INTR) => {}
                Ok(_) => return Ok(()),
                Err(error) => return Err(error.into()),
            }
        }
    }
}

impl<R: Read + AsFd> Read for Patient<'_, R> {
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        self.wait()?;
        self.inner.read(buf)
    }
}
