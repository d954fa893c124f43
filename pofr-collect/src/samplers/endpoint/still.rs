//! Stillness: whether anything can have happened to the TCP sockets of our own network namespace since they were last listed.
//!
//! Listing them has the kernel walk its whole table, the dearest single part of a sample of a quiet machine. But it also counts
//! what could change that list: every segment, every connection opened, failed and ended (`Tcp` in `/proc/net/snmp`, RFC 4022),
//! and how many sockets listen, are orphaned or wait for their time to be over (`/proc/net/sockstat`, `sockstat6`;
//! net/ipv4/proc.c). While none of those has moved, and no process has got or lost a socket, the list of before is the list.
//!
//! What that does not show is a socket that is bound and does nothing more, and one that begins to listen in the very interval
//! in which another that stays open ceases to. So the list is asked for once a second in any case, and what it then shows is
//! told as what may have been so since the last time. Where something that counts comes first, such a socket is taken to be of
//! that moment: up to a second late, and not said to be.

use super::Socket;
use crate::HostView;
use pofr_core::time::WallMicros;
use std::{fs::File, io, os::unix::fs::FileExt as _};

/// How long a list may stand for the next ones, µs.
const STANDS: i64 = 1_000_000;

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
    list: Option<List>,
}

/// What was listed.
#[derive(Debug)]
struct List {
    sockets: Vec<Socket>,
    /// When, on `CLOCK_BOOTTIME`, µs, and the stamp.
    at: (i64, WallMicros),
    /// Whether it stood for a later one, too.
    stood: bool,
}

impl Stillness {
    /// Reads the counts; must be called once in each tick, before a list is asked for. Returns the list of before where it
    /// still stands for one asked for `now`, as it will until the tick after; `changed` says that a process has got or lost a
    /// socket.
    pub(super) fn standing(
        &mut self,
        view: &HostView,
        now: i64,
        last: Option<i64>,
        changed: bool,
    ) -> Option<&[Socket]> {
        let is_same = self.read(view).unwrap_or(false);
        let next = now + last.map_or(0, |last| now - last);
        let list = self.list.as_mut()?;
        if !is_same || changed {
            // Something happened since the last tick, and what the next list shows is taken to be that.
            list.stood = false;
            return None;
        }
        if next > list.at.0 + STANDS {
            return None;
        }
        list.stood = true;
        Some(&list.sockets)
    }

    /// Takes a list that was asked for after [`Self::standing`] was. Returns since when what is new in it may have been so,
    /// where that is not the tick before.
    pub(super) fn take(&mut self, sockets: &[Socket], at: (i64, WallMicros)) -> Option<WallMicros> {
        let since = match &mut self.list {
            Some(list) => {
                let since = (list.stood && list.sockets != sockets).then_some(list.at.1);
                list.sockets.clear();
                list.sockets.extend_from_slice(sockets);
                (list.at, list.stood) = (at, false);
                return since;
            }
            None => None,
        };
        self.list = Some(List { sockets: sockets.to_vec(), at, stood: false });
        since
    }

    /// Forgets the list.
    pub(super) fn forget(&mut self) {
        self.list = None;
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
        for file in &self.files {
            self.buffer.resize(8 << 10, 0);
            let length = file.read_at(&mut self.buffer, 0)?;
            let lines = self.buffer[..length].split(|byte| *byte == b'\n');
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
