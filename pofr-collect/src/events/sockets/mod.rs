//! `socket-events`: TCP and UDP sockets that are gone, from the destroy groups of sock_diag(7) (net/core/sock_diag.c).
//!
//! The kernel tells of every socket when it is destroyed, of our network namespace and of those that ours has a number for
//! (`crate::peers`): its addresses and its cookie, but no inode and no owner, and a TCP state that is always `UNCONN`. Who held it is
//! what the samples say of the cookie, or where they know none of the addresses ([`Notice::Closed`]); of a socket that came and
//! went between two samples the holder and the uid stay unknown.
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

pub(crate) mod message;
mod shown;

use super::left_out::LeftOut;
use crate::{HostView, allowance::Allowance, limits, sys::nsfs::receive_with_origin};
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
/// So many ends in namespaces that no sampler has found yet are kept for when one has.
const MOST_STRANGE: usize = 10_000;

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
    /// Ends that the last reading does not show yet, their namespaces, and when they were told.
    early: Vec<(Gone, Option<u32>, WallMicros)>,
    /// Ends in namespaces of which only the number is known, and whether a reading has not made them known since.
    strange: Vec<(Gone, i32, WallMicros, bool)>,
    /// How many more there were, and since when.
    unplaced: (u64, Option<WallMicros>),
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
        let all = netlink.set_listen_all_namespaces(true);
        view.peers.hear(all.map_err(|cause| format!("cannot listen in other network namespaces: {cause}")));
        let inode = rustix::fs::fstat(netlink.as_fd())
            .map_err(|error| unavailable("find its inode", error.into()))?
            .st_ino;
        let netns = fs::metadata(view.proc_root.join("self/ns/net")).ok();
        Ok(Self {
            netns: netns.and_then(|ns| u32::try_from(ns.ino()).ok()),
            netlink,
            buffer: vec![0; MESSAGE_BYTES],
            inode,
            lost: 0,
            empty: view.clock.now(),
            unshown: Allowance::new(limits::SOCKETS, limits::SAVED_SECONDS, view.clock.boot_micros()),
            left: LeftOut::default(),
            view: view.clone(),
            shown: Shown::default(),
            early: Vec::new(),
            strange: Vec::new(),
            unplaced: (0, None),
            small: small.map(|error| format!("the queue stays small: {error}")),
        })
    }

    /// Takes all messages that wait, and says what was lost.
    fn receive(
        &mut self,
        out: &mut Vec<Notice>,
        mut each: impl FnMut(&mut Self, Gone, Option<u32>, &mut Vec<Notice>),
    ) -> Result<(), CollectError> {
        let (mut overrun, mut is_all) = (false, false);
        for _ in 0..limits::SOCKETS_AT_ONCE {
            let (length, origin) = match receive_with_origin(self.netlink.as_fd(), &mut self.buffer) {
                Ok(received) => received,
                Err(Errno::AGAIN) => {
                    is_all = true;
                    break;
                }
                Err(Errno::INTR) => continue,
                Err(Errno::NOBUFS) => {
                    overrun = true;
                    continue;
                }
                Err(error) => {
                    return Err(CollectError::Unavailable {
                        what: "sock_diag destroy groups".to_owned(),
                        cause: error.into(),
                    });
                }
            };
            let told = parse(&self.buffer[..length]).map_err(|detail| CollectError::Malformed {
                what: "message of the sock_diag destroy groups".to_owned(),
                detail,
            })?;
            let Some(gone) = told.filter(|gone| !self.view.is_socket_excluded(gone.cookie)) else { continue };
            match origin {
                None => each(self, gone, self.netns, out),
                Some(number) => match self.view.peers.of(number) {
                    Some(netns) => each(self, gone, Some(netns), out),
                    None => self.set_aside(gone, number),
                },
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

    /// Keeps an end in a namespace that is not known yet.
    fn set_aside(&mut self, gone: Gone, number: i32) {
        let now = self.view.clock.now();
        if self.strange.len() < MOST_STRANGE {
            self.strange.push((gone, number, now, false));
        } else {
            self.unplaced.0 += 1;
            self.unplaced.1.get_or_insert(now);
        }
    }

    /// Tells the ends in namespaces that are known by now, and says how many there were in those that are not found by the second
    /// reading.
    fn place_strange(&mut self, out: &mut Vec<Notice>) {
        for (gone, number, at, waited) in std::mem::take(&mut self.strange) {
            match self.view.peers.of(number) {
                Some(netns) => self.hold_or_tell(gone, Some(netns), at, out),
                None if !waited => self.strange.push((gone, number, at, true)),
                None => {
                    self.unplaced.0 += 1;
                    self.unplaced.1 = self.unplaced.1.into_iter().chain([at]).min();
                }
            }
        }
        if let (lost, Some(from)) = std::mem::take(&mut self.unplaced) {
            out.push(Notice::Lost(Gap {
                source: Some(Source::Endpoint),
                severity: Severity::Thin,
                reason: "unreadable: sockets of a network namespace that was not found have ended".to_owned(),
                from,
                to: Some(self.view.clock.now()),
                lost: Some(lost),
            }));
        }
    }

    /// Keeps the end of what the reading that is not written yet still shows, and tells any other.
    fn hold_or_tell(&mut self, gone: Gone, netns: Option<u32>, at: WallMicros, out: &mut Vec<Notice>) {
        if self.shown.shows(&gone, netns) {
            self.early.push((gone, netns, at));
        } else {
            self.tell(gone, netns, at, false, out);
        }
    }

    /// Tells an end, unless the last reading `is_written` and has told already that the socket is gone; of a socket that no sample has
    /// shown as long as there are not too many.
    fn tell(
        &mut self,
        gone: Gone,
        netns: Option<u32>,
        at: WallMicros,
        is_written: bool,
        out: &mut Vec<Notice>,
    ) {
        let was_shown = self.shown.shows(&gone, netns) || self.shown.misses(&gone);
        let Some(socket) = self.shown.announced(&gone, netns, is_written) else { return };
        let now = self.view.clock.boot_micros();
        if was_shown || self.unshown.take(self.view.effort.dearness(), now) {
            out.push(closed(gone, socket, netns, at));
        } else {
            self.left.add(1, at);
        }
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

/// Says that a socket is gone.
fn closed(gone: Gone, socket: SocketId, netns: Option<u32>, at: WallMicros) -> Notice {
    let Gone { transport, local, remote, state, .. } = gone;
    let key = EndpointKey { transport, local, remote, state, socket, netns, holder: None };
    Notice::Closed { endpoint: Endpoint { key, details: EndpointDetails::default() }, at }
}

impl EventSource for SocketEvents {
    fn name(&self) -> &str {
        NAME
    }

    fn descriptor(&self) -> BorrowedFd<'_> {
        self.netlink.as_fd()
    }

    fn drain(&mut self, out: &mut Vec<Notice>) -> Result<(), CollectError> {
        for (gone, netns, at) in std::mem::take(&mut self.early) {
            self.tell(gone, netns, at, true, out);
        }
        self.receive(out, |this, gone, netns, out| {
            this.tell(gone, netns, this.view.clock.now(), true, out);
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
        let peers = &self.view.peers;
        let is_heard = |netns: Option<u32>| netns == self.netns || netns.is_some_and(|of| peers.is_heard(of));
        self.shown.update(seen, is_heard);
        self.place_strange(out);
        let mut patience = PATIENCE.0;
        loop {
            self.receive(out, |this, gone, netns, out| {
                this.hold_or_tell(gone, netns, this.view.clock.now(), out);
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
