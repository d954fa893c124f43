//! What the samples show of the sockets, as far as it decides when an end is told: before a sample that misses the socket,
//! after one that still shows it.

use pofr_core::{
    collector::{Extent, Observation},
    fact::{Fact, SocketId, Subject, TcpState},
};
use std::collections::HashSet;

/// The sockets, by their cookies, that the last reading shows and the kernel will announce the end of.
#[derive(Debug, Default)]
pub(super) struct Shown {
    live: HashSet<u64>,
    /// Those that the reading before showed, the last does not, and whose end has not been announced.
    vanished: HashSet<u64>,
}

impl Shown {
    /// Takes note of a reading of the endpoints.
    pub(super) fn update(&mut self, seen: &Observation, netns: Option<u32>) {
        self.vanished.clear();
        let is_ours = |subject: &Subject| match subject {
            Subject::Socket(of, SocketId::Cookie(cookie)) if *of == netns => Some(*cookie),
            _ => None,
        };
        let now: HashSet<u64> = seen
            .facts
            .iter()
            .filter(|fact| is_socket(fact))
            .filter_map(|fact| is_ours(&fact.subject()))
            .collect();
        match &seen.extent {
            Extent::Whole => self.vanished.extend(self.live.difference(&now)),
            Extent::Subjects(read) => {
                let read = read.iter().filter_map(|reread| is_ours(&reread.subject));
                self.vanished
                    .extend(read.filter(|cookie| !now.contains(cookie) && self.live.contains(cookie)));
            }
        }
        self.live.retain(|cookie| !self.vanished.contains(cookie));
        self.live.extend(now);
    }

    /// Tells whether the last reading still shows it.
    pub(super) fn shows(&self, cookie: u64) -> bool {
        self.live.contains(&cookie)
    }

    /// Tells whether the end of something that the last reading misses has not been announced yet.
    pub(super) fn misses_any(&self) -> bool {
        !self.vanished.is_empty()
    }

    /// Takes note that its end was announced; tells whether a reading that is written by now said that it is gone.
    pub(super) fn announced(&mut self, cookie: u64) -> bool {
        self.live.remove(&cookie);
        self.vanished.remove(&cookie)
    }
}

/// Tells whether there is a socket behind an endpoint. There is none behind one in TIME-WAIT, and maybe none behind one in
/// FIN-WAIT-2 or SYN-RECV: such entries of a table go without being announced.
fn is_socket(fact: &Fact) -> bool {
    use TcpState::{FinWait2, NewSynRecv, SynRecv, TimeWait};
    matches!(fact, Fact::Endpoint(e) if !matches!(e.key.state, TimeWait | FinWait2 | SynRecv | NewSynRecv))
}
