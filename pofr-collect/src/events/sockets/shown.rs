//! What the samples show of the sockets, as far as it decides when an end is told, and of what: before a sample that misses the socket,
//! after one that still shows it.
//!
//! The kernel announces a cookie, which is one of a kind in all namespaces. Where a namespace is read from `/proc`, the samples know
//! no cookies but inodes: there the addresses tell which socket it is, if there is one with them only.

use super::message::Gone;
use pofr_core::{
    collector::{Extent, Observation},
    fact::{Endpoint, Fact, SocketId, Subject, TcpState, Transport},
};
use std::{
    collections::{HashMap, HashSet},
    net::SocketAddr,
};

/// The sockets that the last reading shows and the kernel will announce the end of.
#[derive(Debug, Default)]
pub(super) struct Shown {
    /// Those with cookies, and their namespaces.
    live: HashMap<u64, Option<u32>>,
    /// Those that the reading before showed, the last does not, and whose end has not been announced.
    vanished: HashSet<u64>,
    /// The namespaces in which there are inodes in place of cookies.
    tables: HashMap<Option<u32>, Table>,
}

type Addresses = (Transport, SocketAddr, SocketAddr);

/// The sockets of a namespace that is read from `/proc`.
#[derive(Debug, Default)]
struct Table {
    addresses: HashMap<u64, Addresses>,
    inodes: HashMap<Addresses, HashSet<u64>>,
    /// What has no inode any more: the sample will say that it is gone.
    left: HashSet<Addresses>,
    /// What the last reading showed no more, and has not been announced.
    gone: HashMap<Addresses, HashSet<u64>>,
}

impl Shown {
    /// Takes note of a reading of the endpoints; of what is gone from a namespace that is not `heard` nothing will be announced.
    pub(super) fn update(&mut self, seen: &Observation, heard: impl Fn(Option<u32>) -> bool) {
        self.vanished.clear();
        let before = match &seen.extent {
            Extent::Whole => {
                self.tables.clear();
                std::mem::take(&mut self.live)
            }
            Extent::Subjects(read) => {
                self.tables.values_mut().for_each(|table| table.gone.clear());
                let mut before = HashMap::new();
                for reread in read {
                    match reread.subject {
                        Subject::Socket(netns, SocketId::Cookie(cookie)) => {
                            before.extend(self.live.remove(&cookie).map(|_| (cookie, netns)));
                        }
                        Subject::Socket(netns, SocketId::Inode(inode)) => {
                            if let Some(table) = self.tables.get_mut(&netns)
                                && let Some(addresses) = table.take(inode)
                            {
                                table.gone.entry(addresses).or_default().insert(inode);
                            }
                        }
                        Subject::Socket(netns, SocketId::None) => {
                            self.tables.entry(netns).or_default().left.clear();
                        }
                        _ => {}
                    }
                }
                before
            }
        };
        for fact in &seen.facts {
            if let Fact::Endpoint(endpoint) = fact {
                self.show(endpoint);
            }
        }
        let is_gone = |(cookie, netns): &(u64, Option<u32>)| !self.live.contains_key(cookie) && heard(*netns);
        self.vanished.extend(before.into_iter().filter(is_gone).map(|(cookie, _)| cookie));
    }

    fn show(&mut self, endpoint: &Endpoint) {
        let key = &endpoint.key;
        let addresses = plain(key.transport, key.local, key.remote);
        match key.socket {
            SocketId::Cookie(cookie) if is_socket(key.state) => {
                self.live.insert(cookie, key.netns);
            }
            SocketId::Inode(inode) => {
                let table = self.tables.entry(key.netns).or_default();
                table.take(inode);
                if let Some(gone) = table.gone.get_mut(&addresses) {
                    gone.remove(&inode);
                }
                table.addresses.insert(inode, addresses);
                table.inodes.entry(addresses).or_default().insert(inode);
            }
            SocketId::None => {
                self.tables.entry(key.netns).or_default().left.insert(addresses);
            }
            SocketId::Cookie(_) => {}
        }
    }

    /// Tells whether the last reading still shows it.
    pub(super) fn shows(&self, gone: &Gone, netns: Option<u32>) -> bool {
        let addresses = plain(gone.transport, gone.local, gone.remote);
        let in_table = || Some(self.tables.get(&netns)?.inodes.contains_key(&addresses));
        self.live.contains_key(&gone.cookie) || in_table().unwrap_or(false)
    }

    /// Tells whether the end of something that the last reading misses has not been announced yet.
    pub(super) fn misses_any(&self) -> bool {
        !self.vanished.is_empty()
    }

    /// Tells whether the last reading misses it and its end has not been announced yet.
    pub(super) fn misses(&self, gone: &Gone) -> bool {
        self.vanished.contains(&gone.cookie)
    }

    /// Takes note that an end was announced; tells of which socket. `None` where the last reading, if that `is_written` by now, said that
    /// it is gone, or where the next will say so and it cannot be told which of several it is.
    pub(super) fn announced(
        &mut self,
        gone: &Gone,
        netns: Option<u32>,
        is_written: bool,
    ) -> Option<SocketId> {
        let was_live = self.live.remove(&gone.cookie).is_some();
        let is_told = self.vanished.remove(&gone.cookie);
        let by_cookie = SocketId::Cookie(gone.cookie);
        if is_told || was_live {
            return (!is_told || !is_written).then_some(by_cookie);
        }
        let addresses = plain(gone.transport, gone.local, gone.remote);
        let Some(table) = self.tables.get_mut(&netns) else { return Some(by_cookie) };
        let only = |inodes: Option<&HashSet<u64>>| {
            let mut inodes = inodes.into_iter().flatten().copied();
            (inodes.next(), inodes.next().is_some())
        };
        match (only(table.inodes.get(&addresses)), only(table.gone.get(&addresses))) {
            ((Some(inode), false), (None, _)) => {
                table.take(inode);
                Some(SocketId::Inode(inode))
            }
            ((None, _), (Some(inode), false)) => {
                table.gone.remove(&addresses);
                (!is_written).then_some(SocketId::Inode(inode))
            }
            // No reading has shown it, unless as something that is left of another.
            ((None, _), (None, _)) => (!table.left.contains(&addresses)).then_some(by_cookie),
            _ => None,
        }
    }
}

impl Table {
    /// Forgets a socket; returns its addresses.
    fn take(&mut self, inode: u64) -> Option<Addresses> {
        let addresses = self.addresses.remove(&inode)?;
        if let Some(inodes) = self.inodes.get_mut(&addresses) {
            inodes.remove(&inode);
            if inodes.is_empty() {
                self.inodes.remove(&addresses);
            }
        }
        Some(addresses)
    }
}

/// Leaves scope ids out, which `/proc` does not tell.
fn plain(transport: Transport, local: SocketAddr, remote: SocketAddr) -> Addresses {
    let plain = |address: SocketAddr| SocketAddr::new(address.ip(), address.port());
    (transport, plain(local), plain(remote))
}

/// Tells whether there is a socket behind an endpoint. There is none behind one in TIME-WAIT, and maybe none behind one in
/// FIN-WAIT-2 or SYN-RECV: such entries of a table go without being announced.
const fn is_socket(state: TcpState) -> bool {
    use TcpState::{FinWait2, NewSynRecv, SynRecv, TimeWait};
    !matches!(state, TimeWait | FinWait2 | SynRecv | NewSynRecv)
}

#[cfg(test)]
mod tests {
    use super::*;
    use pofr_core::{
        collector::Reread,
        fact::{EndpointDetails, EndpointKey},
    };

    const NETNS: Option<u32> = Some(7);

    fn endpoint(socket: SocketId, port: u16, state: TcpState) -> Fact {
        let local = SocketAddr::from(([127, 0, 0, 1], port));
        let remote = SocketAddr::from(([127, 0, 0, 1], 9));
        let transport = Transport::Tcp;
        let key = EndpointKey { transport, local, remote, state, socket, netns: NETNS, holder: None };
        Fact::from(Endpoint { key, details: EndpointDetails::default() })
    }

    fn gone(cookie: u64, port: u16) -> Gone {
        let local = SocketAddr::from(([127, 0, 0, 1], port));
        let remote = SocketAddr::from(([127, 0, 0, 1], 9));
        Gone { transport: Transport::Tcp, local, remote, state: TcpState::Close, cookie }
    }

    fn read(facts: Vec<Fact>, subjects: &[SocketId]) -> Observation {
        let read = subjects.iter().map(|id| Reread { subject: Subject::Socket(NETNS, *id), since: None });
        Observation { facts, extent: Extent::Subjects(read.collect()), ..Observation::default() }
    }

    #[test]
    fn where_samples_know_inodes_the_addresses_tell_which_one_it_is() {
        use TcpState::{Established, FinWait1};
        let mut shown = Shown::default();
        let of = |inode, port| endpoint(SocketId::Inode(inode), port, Established);
        let ids = [1, 2, 3, 4].map(SocketId::Inode);
        shown.update(&read(vec![of(1, 10), of(2, 20), of(3, 30), of(4, 30)], &ids), |_| true);
        assert!(shown.shows(&gone(100, 10), NETNS) && !shown.shows(&gone(100, 10), Some(8)));
        assert_eq!(shown.announced(&gone(100, 10), NETNS, true), Some(SocketId::Inode(1)));
        // The same addresses again: another socket, that no reading has shown.
        assert_eq!(shown.announced(&gone(101, 10), NETNS, true), Some(SocketId::Cookie(101)));
        // Two with the same addresses (SO_REUSEPORT).
        assert_eq!(shown.announced(&gone(102, 30), NETNS, true), None);
        // A reading misses it, or shows it without a socket: that is told already.
        let left = endpoint(SocketId::None, 20, FinWait1);
        shown.update(&read(vec![left], &[SocketId::Inode(2), SocketId::Inode(3), SocketId::None]), |_| true);
        assert_eq!(shown.announced(&gone(103, 20), NETNS, true), None);
        // It may be that of the one that went, or of the one that is still shown.
        assert_eq!(shown.announced(&gone(104, 30), NETNS, true), None);
        shown.update(&read(vec![], &[]), |_| true);
        assert_eq!(shown.announced(&gone(103, 20), NETNS, true), None, "still left");
        assert_eq!(shown.announced(&gone(105, 30), NETNS, true), Some(SocketId::Inode(4)));
        assert!(!shown.misses_any());
    }

    #[test]
    fn an_end_that_comes_before_the_reading_that_misses_it_is_written_is_told() {
        for id in [SocketId::Cookie(5), SocketId::Inode(5)] {
            for is_written in [true, false] {
                let mut shown = Shown::default();
                shown.update(&read(vec![endpoint(id, 10, TcpState::Established)], &[id]), |_| true);
                shown.update(&read(vec![], &[id]), |_| true);
                let told = shown.announced(&gone(5, 10), NETNS, is_written);
                assert_eq!(told, (!is_written).then_some(id));
            }
        }
    }

    #[test]
    fn nobody_waits_for_the_end_of_a_socket_in_a_namespace_that_is_not_heard() {
        let mut shown = Shown::default();
        let id = SocketId::Cookie(5);
        for heard in [true, false] {
            shown.update(&read(vec![endpoint(id, 10, TcpState::Established)], &[id]), |_| heard);
            assert!(shown.shows(&gone(5, 10), NETNS));
            shown.update(&read(vec![], &[id]), |_| heard);
            assert_eq!(shown.misses_any(), heard);
        }
        assert_eq!(shown.announced(&gone(5, 10), NETNS, true), Some(id));
    }
}
