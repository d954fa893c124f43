//! `socket-events`: TCP and UDP sockets that are gone, from the destroy groups of sock_diag(7) (net/core/sock_diag.c).
//!
//! The kernel tells of every socket of our network namespace when it is destroyed: its addresses and its cookie, but no
//! inode and no owner, and a TCP state that is always `UNCONN`. Who held it is what the samples say of the cookie
//! ([`Notice::Closed`]); of a socket that came and went between two samples the holder and the uid stay unknown.
//!
//! A socket that aborted its connection (`SO_LINGER` with 0) is told without the peer's port, and without its own address if it
//! had not bound one: the kernel clears them first (tcp_disconnect in net/ipv4/tcp.c).
//!
//! The kernel gives no time with it: what is told as the end is when it was received, on the run's clock. Between two ticks
//! that is within a millisecond after the end, while the samplers read it may be as late as that takes.
//!
//! A connection that ends in TIME-WAIT loses its socket when it gets there: that is told. What stays for a minute is an entry in a
//! table, which the samples show.
//!
//! The kernel hands the message to a work queue, so that it may come after a reading that already misses the socket. Then the
//! reading is held back for it, for a moment; a message that comes later still is dropped, since the sample has said that the
//! socket is gone.
//!
//! Of sockets that a sample has shown every end is told. Of others so many a second are, and the rest is counted in a gap that begins
//! with `flood:`: whose they were the kernel does not say.

mod message;
mod shown;

use super::left_out::LeftOut;
use crate::{HostView, allowance::Allowance, limits};
use message::{Gone, parse};
use netlink_sys::{Socket, protocols::NETLINK_SOCK_DIAG};
use pofr_core::{
    EventSource, Source,
    collector::{CollectError, Notice, Observation},
    fact::{Endpoint, EndpointDetails, EndpointKey, SocketId},
    gap::{Gap, Severity},
    time::WallMicros,
};
use rustix::{
    event::{PollFd, PollFlags, poll},
    io::Errno,
    net::sockopt::set_socket_recv_buffer_size_force,
    time::Timespec,
};
use shown::Shown;
use std::{
    fs, io,
    os::{
        fd::{AsFd as _, BorrowedFd},
        unix::fs::MetadataExt as _,
    },
};

/// The name of this source.
pub const NAME: &str = "socket-events";

/// TCP over IPv4, UDP over IPv4, TCP over IPv6, UDP over IPv6: SKNLGRP_INET_TCP_DESTROY and on (include/uapi/linux/sock_diag.h).
const GROUPS: std::ops::RangeInclusive<u32> = 1..=4;
/// What may wait, bytes. The kernel counts about 1 kB for each message and doubles what is asked for: some 30,000 sockets.
const QUEUE_BYTES: usize = 16 << 20;
/// A message is some 350 bytes long, what TCP has counted of the connection included.
const MESSAGE_BYTES: usize = 8 << 10;
/// How long a reading that misses sockets is held back for the kernel to announce their ends: at most so often so long.
const PATIENCE: (u32, Timespec) = (4, Timespec { tv_sec: 0, tv_nsec: 500_000 });
/// `MSG_DONTWAIT` (recv(2)).
const DONT_WAIT: i32 = 0x40;

/// Tells of sockets that are gone.
pub struct SocketEvents {
    view: HostView,
    netlink: Socket,
    buffer: Vec<u8>,
    /// Our network namespace, as the samplers name it.
    netns: Option<u32>,
    /// The inode of our own netlink socket, by which the kernel lists it with what it lost.
    inode: u64,
    /// How many messages it has lost.
    lost: u64,
    /// When it was last known that nothing waits.
    empty: WallMicros,
    shown: Shown,
    /// Ends that the last reading does not show yet, and when they were told.
    early: Vec<(Gone, WallMicros)>,
    /// Why the queue is no larger than anyone's.
    small: Option<String>,
    /// Ends of sockets that no sample has shown, as many as are told, and those that are not.
    unshown: Allowance,
    left: LeftOut,
}

/// Makes the source for the registry.
pub(super) fn make(view: &HostView) -> (&'static str, Result<Box<dyn EventSource>, CollectError>) {
    (NAME, SocketEvents::open(view).map(|source| Box::new(source) as Box<dyn EventSource>))
}

impl SocketEvents {
    /// Joins the groups. It takes CAP_NET_ADMIN to be heard in them, and for a queue of the size that a storm needs.
    ///
    /// # Errors
    /// Where the kernel refuses.
    pub fn open(view: &HostView) -> Result<Self, CollectError> {
        let unavailable = |what: &str, cause: io::Error| CollectError::Unavailable {
            what: format!("sock_diag destroy groups: cannot {what}"),
            cause,
        };
        if !view.live {
            return Err(unavailable("ask a captured tree", io::ErrorKind::Unsupported.into()));
        }
        let mut netlink =
            Socket::new(NETLINK_SOCK_DIAG).map_err(|cause| unavailable("make a socket", cause))?;
        let small = set_socket_recv_buffer_size_force(netlink.as_fd(), QUEUE_BYTES).err();
        netlink.bind_auto().map_err(|cause| unavailable("bind", cause))?;
        for group in GROUPS {
            netlink.add_membership(group).map_err(|cause| unavailable("join", cause))?;
        }
        let inode = rustix::fs::fstat(netlink.as_fd())
            .map_err(|error| unavailable("find its inode", error.into()))?
            .st_ino;
        let netns = fs::metadata(view.proc_root.join("self/ns/net")).ok();
        Ok(Self {
            netns: netns.and_then(|ns| u32::try_from(ns.ino()).ok()),
            netlink,
            buffer: Vec::with_capacity(MESSAGE_BYTES),
            inode,
            lost: 0,
            empty: view.clock.now(),
            unshown: Allowance::new(limits::SOCKETS, limits::SAVED_SECONDS, view.clock.boot_micros()),
            left: LeftOut::default(),
            view: view.clone(),
            shown: Shown::default(),
            early: Vec::new(),
            small: small.map(|error| format!("the queue stays small: {error}")),
        })
    }

    /// Takes all messages that wait, and says what was lost.
    fn receive(
        &mut self,
        out: &mut Vec<Notice>,
        mut each: impl FnMut(&mut Self, Gone, &mut Vec<Notice>),
    ) -> Result<(), CollectError> {
        let (mut overrun, mut is_all) = (false, false);
        for _ in 0..limits::SOCKETS_AT_ONCE {
            self.buffer.clear();
            match self.netlink.recv(&mut self.buffer, DONT_WAIT) {
                Ok(_) => {}
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                    is_all = true;
                    break;
                }
                Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                Err(error) if Errno::from_io_error(&error) == Some(Errno::NOBUFS) => {
                    overrun = true;
                    continue;
                }
                Err(cause) => {
                    return Err(CollectError::Unavailable {
                        what: "sock_diag destroy groups".to_owned(),
                        cause,
                    });
                }
            }
            let told = parse(&self.buffer).map_err(|detail| CollectError::Malformed {
                what: "message of the sock_diag destroy groups".to_owned(),
                detail,
            })?;
            if let Some(gone) = told.filter(|gone| !self.view.is_socket_excluded(gone.cookie)) {
                each(self, gone, out);
            }
        }
        if overrun {
            let loss = self.loss();
            out.push(loss);
        }
        if is_all {
            self.empty = self.view.clock.now();
        }
        Ok(())
    }

    /// Tells of an end; of a socket that no sample has shown as long as there are not too many.
    fn tell(&mut self, gone: Gone, at: WallMicros, was_shown: bool, out: &mut Vec<Notice>) {
        let now = self.view.clock.boot_micros();
        if was_shown || self.unshown.take(self.view.effort.dearness(), now) {
            out.push(self.closed(gone, at));
        } else {
            self.left.add(1, at);
        }
    }

    fn closed(&self, gone: Gone, at: WallMicros) -> Notice {
        let Gone { transport, local, remote, state, cookie } = gone;
        let socket = SocketId::Cookie(cookie);
        let key = EndpointKey { transport, local, remote, state, socket, netns: self.netns, holder: None };
        Notice::Closed { endpoint: Endpoint { key, details: EndpointDetails::default() }, at }
    }

    /// Says what was lost since nothing waited last.
    fn loss(&mut self) -> Notice {
        // The kernel counts every message that it had no room for; `ENOBUFS` itself comes once for many.
        let table = fs::read(self.view.proc_root.join("net/netlink")).unwrap_or_default();
        let all = message::drops(&table, self.inode);
        let lost = all.map(|all| all.saturating_sub(self.lost));
        self.lost = all.unwrap_or(self.lost);
        Notice::Lost(Gap {
            source: Some(Source::Endpoint),
            severity: Severity::Thin,
            reason: "socket-events: the queue was full: ends of sockets between samples were lost".to_owned(),
            from: self.empty,
            to: Some(self.view.clock.now()),
            lost,
        })
    }
}

impl EventSource for SocketEvents {
    fn name(&self) -> &str {
        NAME
    }

    fn descriptor(&self) -> BorrowedFd<'_> {
        self.netlink.as_fd()
    }

    fn drain(&mut self, out: &mut Vec<Notice>) -> Result<(), CollectError> {
        for (gone, at) in std::mem::take(&mut self.early) {
            self.shown.announced(gone.cookie);
            out.push(self.closed(gone, at));
        }
        self.receive(out, |this, gone, out| {
            let was_shown = this.shown.shows(gone.cookie);
            // A sample has told already that it is gone.
            if !this.shown.announced(gone.cookie) {
                this.tell(gone, this.view.clock.now(), was_shown, out);
            }
        })?;
        if let Some(span) = self.left.take_due(self.view.clock.now()) {
            out.push(Notice::Lost(Gap {
                source: Some(Source::Endpoint),
                severity: Severity::Thin,
                reason: format!(
                    "flood: sockets of an unknown user that no sample shows ended faster than is told: {} ends were only counted",
                    span.count
                ),
                from: span.from,
                to: Some(span.to),
                lost: Some(span.count),
            }));
        }
        Ok(())
    }

    fn note(&self) -> Option<String> {
        self.small.clone()
    }

    fn settle(
        &mut self,
        source: &Source,
        seen: &Observation,
        out: &mut Vec<Notice>,
    ) -> Result<(), CollectError> {
        if *source != Source::Endpoint {
            return Ok(());
        }
        self.shown.update(seen, self.netns);
        let mut patience = PATIENCE.0;
        loop {
            self.receive(out, |this, gone, out| {
                let at = this.view.clock.now();
                if this.shown.shows(gone.cookie) {
                    this.early.push((gone, at));
                } else {
                    let was_shown = this.shown.announced(gone.cookie);
                    this.tell(gone, at, was_shown, out);
                }
            })?;
            if !self.shown.misses_any() || patience == 0 {
                return Ok(());
            }
            patience -= 1;
            // Whatever ends the wait, what has come is taken next.
            let _ = poll(&mut [PollFd::new(&self.netlink, PollFlags::IN)], Some(&PATIENCE.1));
        }
    }
}

impl std::fmt::Debug for SocketEvents {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("SocketEvents")
            .field("netns", &self.netns)
            .field("lost", &self.lost)
            .finish_non_exhaustive()
    }
}
