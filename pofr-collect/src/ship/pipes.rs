//! A duplex of two descriptors, with an end to patience: a peer that is silent for too long is gone.

use crate::Stop;
use rustix::{
    event::{PollFd, PollFlags, Timespec, poll},
    io::Errno,
};
use std::{
    io::{self, Read, Write},
    os::fd::{AsFd as _, OwnedFd},
    time::{Duration, Instant},
};

/// Two descriptors, one for each direction; both may be the same socket.
#[derive(Debug)]
pub struct Pipes {
    read: OwnedFd,
    write: OwnedFd,
    patience: Duration,
    stop: Stop,
    grace: Duration,
    /// When everything has to be over, since `stop` was told.
    over: Option<Instant>,
}

impl Pipes {
    /// Makes one that waits for the peer for up to `patience`, and for up to `grace` in all once `stop` is told.
    ///
    /// # Errors
    /// Where the descriptors cannot be made non-blocking.
    pub fn new(
        read: OwnedFd,
        write: OwnedFd,
        patience: Duration,
        stop: &Stop,
        grace: Duration,
    ) -> io::Result<Self> {
        for fd in [&read, &write] {
            rustix::io::ioctl_fionbio(fd, true)?;
        }
        Ok(Self { read, write, patience, stop: stop.clone(), grace, over: None })
    }

    /// Waits until the descriptor is ready.
    fn ready(&mut self, flags: PollFlags) -> io::Result<()> {
        let until = Instant::now() + self.patience;
        loop {
            if self.over.is_none() && self.stop.is_stopped() {
                self.over = Some(Instant::now() + self.grace);
            }
            let until = self.over.map_or(until, |over| over.min(until));
            let left = until.saturating_duration_since(Instant::now());
            let fd = if flags.contains(PollFlags::IN) { self.read.as_fd() } else { self.write.as_fd() };
            let mut fds = [PollFd::from_borrowed_fd(fd, flags)].to_vec();
            if self.over.is_none() {
                fds.push(PollFd::from_borrowed_fd(self.stop.descriptor(), PollFlags::IN));
            }
            match poll(&mut fds, Timespec::try_from(left).ok().as_ref()) {
                Ok(_) if !fds[0].revents().is_empty() => return Ok(()),
                Err(error) if error != Errno::INTR => return Err(error.into()),
                _ if left.is_zero() => {
                    return Err(io::Error::new(io::ErrorKind::TimedOut, "the other side is silent"));
                }
                _ => {}
            }
        }
    }
}

impl Read for Pipes {
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        loop {
            match rustix::io::read(&self.read, &mut *buf) {
                Err(Errno::AGAIN) => self.ready(PollFlags::IN)?,
                Err(Errno::INTR) => {}
                other => return Ok(other?),
            }
        }
    }
}

impl Write for Pipes {
    fn write(&mut self, buf: &[u8]) -> io::Result<usize> {
        loop {
            match rustix::io::write(&self.write, buf) {
                Err(Errno::AGAIN) => self.ready(PollFlags::OUT)?,
                Err(Errno::INTR) => {}
                other => return Ok(other?),
            }
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::net::UnixStream;

    fn pipes(patience: Duration, stop: &Stop) -> (Pipes, UnixStream) {
        let (ours, theirs) = UnixStream::pair().unwrap();
        let write = ours.try_clone().unwrap();
        (Pipes::new(ours.into(), write.into(), patience, stop, Duration::ZERO).unwrap(), theirs)
    }

    #[test]
    fn a_silent_peer_is_given_up_and_a_closed_one_is_seen() {
        let stop = Stop::new().unwrap();
        let (mut ours, theirs) = pipes(Duration::from_millis(20), &stop);
        assert_eq!(ours.read(&mut [0]).unwrap_err().kind(), io::ErrorKind::TimedOut);
        // One that takes nothing, too.
        let full = loop {
            if let Err(error) = ours.write(&[0; 65_536]) {
                break error;
            }
        };
        assert_eq!(full.kind(), io::ErrorKind::TimedOut);
        drop(theirs);
        assert_eq!(ours.write(&[0]).unwrap_err().kind(), io::ErrorKind::BrokenPipe);
    }

    #[test]
    fn a_stop_ends_the_wait() {
        let stop = Stop::new().unwrap();
        let (mut ours, _theirs) = pipes(Duration::from_secs(3_600), &stop);
        let teller = stop.clone();
        let told = std::thread::spawn(move || teller.stop());
        assert_eq!(ours.read(&mut [0]).unwrap_err().kind(), io::ErrorKind::TimedOut);
        told.join().unwrap();
    }
}
