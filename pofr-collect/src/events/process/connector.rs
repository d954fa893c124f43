//! The proc connector: a socket on which the kernel tells of every process as it forks, runs programs and exits
//! (Documentation/driver-api/connector.rst, drivers/connector/cn_proc.c).
//!
//! It speaks only to who has CAP_NET_ADMIN in the first user, pid and network namespace: elsewhere the bind is refused, or the
//! request to be told is not answered.

use super::{
    message::{self, Message, What},
    moment::Stamps,
};
use crate::{
    netlink::{Socket, messages},
    sys,
};
use pofr_core::collector::CollectError;
use rustix::{
    event::{PollFd, PollFlags, Timespec, poll},
    io::Errno,
    net::netlink,
};
use std::os::fd::{AsFd, BorrowedFd};

/// How long to wait for the answer to our request, µs; the kernel gives it while it takes the request.
const PATIENCE: i64 = 500_000;
/// How long to sleep in between, where nothing comes.
const NAP: Timespec = Timespec { tv_sec: 0, tv_nsec: 100_000_000 };
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
        // Others may have asked, too: then what happens comes whether we are answered or not.
        let until = Stamps::now().plus(PATIENCE);
        while Stamps::now() < until {
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
                    match poll(&mut fds, Some(&NAP)) {
                        Ok(_) | Err(Errno::INTR) => {}
                        Err(error) => return Err(refused("wait", error)),
                    }
                }
                Err(error) => return Err(refused("receive", error)),
            }
        }
        Err(refused("no answer: not in the first namespaces?", Errno::TIMEDOUT))
    }

    /// Has the kernel drop what is told of names and of tracing before it takes room in our queue, or tell it again.
    ///
    /// # Errors
    /// `ENOMEM` where there is no room for the filter.
    pub(super) fn hear_names(&self, are_heard: bool) -> Result<(), Errno> {
        if are_heard {
            return sys::filter::let_all_pass(self.socket.as_fd());
        }
        sys::filter::drop_where(
            self.socket.as_fd(),
            message::WHAT_AT,
            &[message::NAME_KIND, message::TRACE_KIND],
        )
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

#[cfg(test)]
mod tests {
    use super::{super::moment::Moment, super::sequence::Sequence, *};
    use rustix::thread::{CpuSet, sched_getaffinity, sched_setaffinity};
    use std::{collections::BTreeSet, process::Command};

    /// All numbers that can be heard, by CPU, with how often the kernel said that some were lost, and the holes as they are
    /// counted.
    fn hear_out(connector: &mut Connector) -> (BTreeSet<(u32, u32)>, u32, u64) {
        let (mut heard, mut overflows, mut missing) = (BTreeSet::new(), 0, 0);
        let mut sequence = Sequence::default();
        loop {
            match connector.take() {
                Ok(Some(message)) => {
                    heard.insert((message.cpu, message.sequence));
                    let loss = sequence.hear(message.cpu, message.sequence, Moment(0));
                    missing += loss.and_then(|loss| loss.events).unwrap_or(0);
                }
                Ok(None) => return (heard, overflows, missing),
                Err(Errno::NOBUFS) => overflows += 1,
                Err(error) => panic!("{error}"),
            }
        }
    }

    /// Has every CPU say something, so that what it said before is known to be whole or not.
    fn let_all_speak() {
        let all = sched_getaffinity(None).unwrap();
        for cpu in (0..CpuSet::MAX_CPU).filter(|cpu| all.is_set(*cpu)) {
            let mut one = CpuSet::new();
            one.set(cpu);
            sched_setaffinity(None, &one).unwrap();
            Command::new("/bin/true").status().unwrap();
        }
        sched_setaffinity(None, &all).unwrap();
    }

    #[test]
    fn what_nobody_read_in_time_is_counted_to_the_last_one() {
        let mut large = match Connector::open(64 << 20) {
            Ok(connector) => connector,
            Err(error) => {
                eprintln!("NOT RUN: {error}");
                return;
            }
        };
        let mut small = Connector::open(4_096).unwrap();
        let_all_speak();
        // What both have now is what they begin with.
        let (begun, ..) = hear_out(&mut small);
        for _ in 0..100 {
            Command::new("/bin/true").status().unwrap();
        }
        // As a reader that was stopped does: it takes what there is, and goes on.
        let mut heard = begun;
        let mut overflows = 0;
        loop {
            match small.take() {
                Ok(Some(message)) => drop(heard.insert((message.cpu, message.sequence))),
                Ok(None) => break,
                Err(Errno::NOBUFS) => overflows += 1,
                Err(error) => panic!("{error}"),
            }
        }
        let_all_speak();
        let (after, ..) = hear_out(&mut small);
        heard.extend(after);
        let (all, overflow_of_all, missing_of_all) = hear_out(&mut large);
        assert_eq!((overflow_of_all, missing_of_all), (0, 0));
        assert!(overflows > 0, "the kernel says that it lost some");

        let mut sequence = Sequence::default();
        let mut ordered: Vec<_> = heard.iter().copied().collect();
        ordered.sort_unstable();
        let counted: u64 =
            ordered.iter().filter_map(|(cpu, number)| sequence.hear(*cpu, *number, Moment(0))?.events).sum();
        let within = |(cpu, number): &(u32, u32)| {
            let of_cpu = || ordered.iter().filter(|(c, _)| c == cpu).map(|(_, number)| *number);
            of_cpu().min() <= Some(*number) && Some(*number) <= of_cpu().max()
        };
        let lost = all.iter().filter(|of| within(of) && !heard.contains(*of)).count();
        assert!(lost > 100, "only {lost} were lost");
        assert_eq!(counted, lost as u64);
    }
}
