//! The seat: one session of a client at a time, the newest.
//!
//! A client that was cut off comes back long before sshd knows that the old connection is dead. So who comes writes a mark into
//! the seat's file, whoever sits there looks at it while waiting, finds that it is not its own, and leaves; the lock (flock(2))
//! says when it has.

use super::{Landing, LandingError};
use rustix::fs::{FlockOperation, flock};
use std::{
    fs::File,
    io,
    os::unix::fs::FileExt as _,
    time::{Duration, Instant},
};

/// The seat's file in an inbox.
const SEAT: &str = ".seat";
/// How often to ask for the lock.
const PAUSE: Duration = Duration::from_millis(20);

/// The right to write to an inbox, as long as it is held.
#[derive(Debug)]
pub struct Seat {
    file: File,
    mark: [u8; 16],
}

impl Seat {
    /// Takes the seat, from whoever has it; `None` where it is not free after `patience`. `mark` must be random.
    ///
    /// # Errors
    /// [`LandingError`].
    pub fn take(landing: &Landing, mark: [u8; 16], patience: Duration) -> Result<Option<Self>, LandingError> {
        let file = landing.hidden(SEAT)?;
        file.write_all_at(&mark, 0).map_err(landing.fail("write", SEAT))?;
        let until = Instant::now() + patience;
        loop {
            match flock(&file, FlockOperation::NonBlockingLockExclusive) {
                Ok(()) => break,
                Err(rustix::io::Errno::WOULDBLOCK) if Instant::now() < until => std::thread::sleep(PAUSE),
                Err(rustix::io::Errno::WOULDBLOCK) => return Ok(None),
                Err(error) => return Err(landing.fail("lock", SEAT)(error.into())),
            }
        }
        let seat = Self { file, mark };
        // Another one may have come while this one waited.
        Ok(seat.is_mine().then_some(seat))
    }

    /// Tells whether nobody has come for it since.
    #[must_use]
    pub fn is_mine(&self) -> bool {
        let mut found = [0; 16];
        let read: io::Result<()> = self.file.read_exact_at(&mut found, 0);
        read.is_ok() && found == self.mark
    }
}
