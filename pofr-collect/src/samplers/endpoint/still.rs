//! Stillness: whether anything can have happened to the TCP sockets of our own network namespace since they were last listed.
//!
//! Listing them has the kernel walk its whole table, the dearest single part of a sample of a quiet machine. But it also counts
//! what could change that list: every segment, every connection opened, failed and ended (`Tcp` in `/proc/net/snmp`, RFC 4022),
//! and how many sockets listen, are orphaned or wait for their time to be over (`/proc/net/sockstat`, `sockstat6`;
//! net/ipv4/proc.c). While none of those has moved, and no process has got or lost a socket, the list of before is the list.
//!
//! What that does not show is a socket that begins to listen in the very interval in which another that stays open ceases to, and
//! one that was open and is now bound, but does nothing more. So those that listen, of which there are few, are asked for once a
//! second in any case, and all of them every five seconds; what that then shows is told as what may have been so since the last
//! time. Where something that counts comes first, such a socket is taken to be of that moment: as much late, and not said to be.

use super::Socket;
use crate::HostView;
use pofr_core::{fact::TcpState, time::WallMicros};
use std::{fs::File, io, os::unix::fs::FileExt as _};

/// How long a list may stand for the next ones, µs.
const STANDS: i64 = 5_000_000;
/// How long its listening sockets may, µs.
const LISTENERS_STAND: i64 = 1_000_000;

/// The files with the kernel's counts, and how the lines that count begin.
const COUNTS: [(&str, &[u8]); 3] = [("snmp", b"Tcp:"), ("sockstat", b"TCP:"), ("sockstat6", b"TCP6:")];

/// The kernel's counts, and the list that was asked for when they were such.
#[derive(Debug, Default)]
pub(super) struct Stillness {
    /// Opened once; empty where the kernel does not count.
    files: Vec<File>,
    opened: bool,
    counts: Vec<u8>,
    now: Vec<u8>,
    buffer: Vec<u8>,
    /// Whether there is no UDP socket over IPv4, and none over IPv6.
    no_udp: [bool; 2],
    list: Option<List>,
}

/// What was listed.
#[derive(Debug)]
struct List {
    sockets: Vec<Socket>,
    /// When all were asked for, and when those that listen last were.
    all: Asked,
    listeners: Asked,
}

/// What a new list comes to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Listed {
    /// Whether it is that of before.
    pub(super) is_same: bool,
    /// Since when what is new in it may have been so, where that is not the tick before.
    pub(super) since: Option<WallMicros>,
}

/// When something was asked for.
#[derive(Clone, Copy, Debug)]
struct Asked {
    /// When, on `CLOCK_BOOTTIME`, µs, and the stamp.
    at: (i64, WallMicros),
    /// Whether the answer stood for a later one, too.
    stood: bool,
}

/// What of the list of before stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Standing {
    /// Nothing.
    Nothing,
    /// Those that do not listen.
    ButListeners,
    /// All.
    All,
}

impl Asked {
    const fn at(at: (i64, WallMicros)) -> Self {
        Self { at, stood: false }
    }

    /// Tells whether the answer stands until `next`, and notes it.
    const fn stands(&mut self, next: i64, within: i64) -> bool {
        let stands = next <= self.at.0 + within;
        self.stood |= stands;
        stands
    }

    /// Returns since when what is new may have been so, where that is not the tick before.
    fn since(self) -> Option<WallMicros> {
        self.stood.then_some(self.at.1)
    }
}

impl Stillness {
    /// Reads the counts; must be called once in each tick, before a list is asked for. Returns what of the list of before still
    /// stands for one asked for `now`, as it will until the tick after; `changed` says that a process has got or lost a socket.
    pub(super) fn standing(
        &mut self,
        view: &HostView,
        now: i64,
        last: Option<i64>,
        changed: bool,
    ) -> Standing {
        let is_same = self.read(view).unwrap_or(false);
        let next = now + last.map_or(0, |last| now - last);
        let Some(list) = &mut self.list else { return Standing::Nothing };
        if !is_same || changed {
            // Something happened since the last tick, and what the next list shows is taken to be that.
            (list.all.stood, list.listeners.stood) = (false, false);
            return Standing::Nothing;
        }
        if !list.all.stands(next, STANDS) {
            return Standing::Nothing;
        }
        if list.listeners.stands(next, LISTENERS_STAND) { Standing::All } else { Standing::ButListeners }
    }

    /// Adds those sockets that still stand to `out`.
    pub(super) fn put(&self, standing: Standing, out: &mut Vec<Socket>) {
        let sockets = self.list.iter().flat_map(|list| &list.sockets);
        match standing {
            Standing::Nothing => {}
            Standing::ButListeners => out.extend(sockets.filter(|socket| socket.state != TcpState::Listen)),
            Standing::All => out.extend(sockets),
        }
    }

    /// Takes a list of which `standing` stood.
    pub(super) fn take(&mut self, sockets: &[Socket], standing: Standing, at: (i64, WallMicros)) -> Listed {
        let Some(list) = &mut self.list else {
            let (all, listeners) = (Asked::at(at), Asked::at(at));
            self.list = Some(List { sockets: sockets.to_vec(), all, listeners });
            return Listed { is_same: false, since: None };
        };
        let asked = match standing {
            Standing::All => return Listed { is_same: true, since: None },
            Standing::ButListeners => list.listeners,
            Standing::Nothing => std::mem::replace(&mut list.all, Asked::at(at)),
        };
        list.listeners = Asked::at(at);
        let is_same = list.sockets == sockets;
        if is_same {
            return Listed { is_same, since: None };
        }
        list.sockets.clear();
        list.sockets.extend_from_slice(sockets);
        Listed { is_same, since: asked.since() }
    }

    /// Tells whether the kernel counted no UDP sockets over a version of IP when the counts were last read: bound ones, which are
    /// those that it would list.
    pub(super) const fn has_no_udp(&self, six: bool) -> bool {
        self.no_udp[six as usize]
    }

    /// Forgets the list and the counts.
    pub(super) fn forget(&mut self) {
        self.list = None;
        self.no_udp = [false; 2];
    }

    /// Reads the counts; tells whether they are those of before. Fails where there are none.
    fn read(&mut self, view: &HostView) -> io::Result<bool> {
        if !self.opened {
            self.opened = true;
            let net = view.proc_root.join("self/net");
            let files = COUNTS.iter().map(|(file, _)| File::open(net.join(file)));
            // Without IPv6 there is no third.
            self.files = files.filter_map(Result::ok).collect();
        }
        self.now.clear();
        self.no_udp = [false; 2];
        for file in &self.files {
            self.buffer.resize(8 << 10, 0);
            let length = file.read_at(&mut self.buffer, 0)?;
            let lines = self.buffer[..length].split(|byte| *byte == b'\n');
            for line in lines.clone() {
                self.no_udp[0] |= line.starts_with(b"UDP: inuse 0 ");
                self.no_udp[1] |= line == b"UDP6: inuse 0";
            }
            for line in lines.filter(|line| COUNTS.iter().any(|(_, start)| line.starts_with(start))) {
                // The memory in use is that of all namespaces.
                let end = line.windows(5).position(|part| part == b" mem ").unwrap_or(line.len());
                self.now.extend_from_slice(&line[..end]);
                self.now.push(b'\n');
            }
        }
        // One that tells of segments, one of tables.
        if self.files.len() < 2 || !self.now.starts_with(b"Tcp:") {
            return Err(io::ErrorKind::Unsupported.into());
        }
        let is_same = self.now == self.counts;
        std::mem::swap(&mut self.now, &mut self.counts);
        Ok(is_same)
    }
}
