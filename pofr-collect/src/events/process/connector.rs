//! The proc connector: a socket on which the kernel tells of every process as it forks, runs programs and exits
//! (Documentation/driver-api/connector.rst, drivers/connector/cn_proc.c).
//!
//! It speaks only to who has CAP_NET_ADMIN in the first user, pid and network namespace: elsewhere the bind is refused, or the
//! request to be told is not answered.

use super::message::{self, Message, What};
use crate::netlink::{Socket, messages};
use pofr_core::collector::CollectError;
use rustix::{
    event::{PollFd, PollFlags, Timespec, poll},
    io::Errno,
    net::netlink,
};
use std::os::fd::{AsFd, BorrowedFd};

/// How long to wait for the answer to our request; the kernel gives it while it takes the request.
const PATIENCE: Timespec = Timespec { tv_sec: 1, tv_nsec: 0 };
/// Room for one datagram: the largest that is known has 76 bytes.
const DATAGRAM: usize = 512;

/// The open connection.
#[derive(Debug)]
pub(super) struct Connector {
    socket: Socket,
    buffer: [u8; DATAGRAM],
}

impl Connector {
    /// Opens the connection with a queue of so many bytes, and asks to be told.
    ///
    /// # Errors
    /// Where the kernel has no proc connector, or has none for us.
    pub(super) fn open(queue_bytes: usize) -> Result<Self, CollectError> {
        let refused = |what: &str, cause: Errno| CollectError::Unavailable {
            what: format!("proc connector: {what}"),
            cause: cause.into(),
        };
        let socket =
            Socket::open(netlink::CONNECTOR, 1 << (message::GROUP - 1)).map_err(|e| refused("bind", e))?;
        socket.set_queue(queue_bytes);
        let mut connector = Self { socket, buffer: [0; DATAGRAM] };
        let mark = std::process::id();
        connector.socket.send(&message::listen(mark)).map_err(|e| refused("ask to be told", e))?;
        loop {
            match connector.take() {
                // Answers go to everybody who listens; ours is known by its mark.
                Ok(Some(Message { what: What::Answer(error), answers, .. })) if answers == mark + 1 => {
                    return match i32::try_from(error) {
                        Ok(0) => Ok(connector),
                        Ok(error) => Err(refused("ask to be told", Errno::from_raw_os_error(error.max(1)))),
                        Err(_) => Err(refused("ask to be told", Errno::PROTO)),
                    };
                }
                // What happens in the meantime is seen by the first sample.
                Ok(Some(_)) | Err(Errno::NOBUFS) => {}
                Ok(None) => {
                    let mut fds = [PollFd::new(&connector.socket, PollFlags::IN)];
                    match poll(&mut fds, Some(&PATIENCE)) {
                        Ok(0) => {
                            return Err(refused("no answer: not in the first namespaces?", Errno::TIMEDOUT));
                        }
                        Ok(_) | Err(Errno::INTR) => {}
                        Err(error) => return Err(refused("wait", error)),
                    }
                }
                Err(error) => return Err(refused("receive", error)),
            }
        }
    }

    /// Takes the next message that can be read, if there is one; never waits.
    ///
    /// # Errors
    /// `ENOBUFS` where messages were lost since the last call.
    pub(super) fn take(&mut self) -> Result<Option<Message>, Errno> {
        loop {
            let datagram = match self.socket.take(&mut self.buffer) {
                Ok(Some(datagram)) => datagram,
                Ok(None) => return Ok(None),
                // Not a message that we know.
                Err(Errno::MSGSIZE) => continue,
                Err(error) => return Err(error),
            };
            // The connector puts one message into a datagram.
            if let Some(message) = messages(datagram).find_map(|message| message::parse(&message)) {
                return Ok(Some(message));
            }
        }
    }
}

impl Drop for Connector {
    fn drop(&mut self) {
        // Older kernels count who listens, and do not notice that a socket is closed.
        let _ = self.socket.send(&message::ignore());
    }
}

impl AsFd for Connector {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.socket.as_fd()
    }
}
