//! The endpoint sampler: TCP and UDP sockets over IPv4 and IPv6, in all states, with all who hold them.
//!
//! Our own network namespace is asked by sock_diag(7), the others are read from the `/proc/PID/net` of one of
//! their processes. Who holds a socket is what the process sampler found in the same tick; a socket that a process
//! opened after its descriptors were read has no holder until the next tick.

mod diag;
mod table;

use super::{Context, SharedHolders, holders::Holders, process::namespace_inode};
use crate::HostView;
use diag::{Diag, DiagError};
use pofr_core::{
    Collector, Source,
    collector::{CollectError, Observation},
    fact::{Endpoint, EndpointDetails, EndpointKey, Fact, SocketId, TcpState, Transport},
    gap::{Gap, Severity},
    identity::Entity,
};
use std::{
    collections::{BTreeSet, HashSet},
    net::SocketAddr,
};

/// The protocols and families, as sock_diag and `/proc/net` both divide them.
const FAMILIES: [Family; 4] = [
    Family { transport: Transport::Tcp, six: false, table: "tcp" },
    Family { transport: Transport::Tcp, six: true, table: "tcp6" },
    Family { transport: Transport::Udp, six: false, table: "udp" },
    Family { transport: Transport::Udp, six: true, table: "udp6" },
];

/// One protocol over one version of IP.
#[derive(Clone, Copy, Debug)]
struct Family {
    transport: Transport,
    six: bool,
    /// The file in `/proc/net`.
    table: &'static str,
}

/// A socket as the kernel tells it, before it is known who holds it.
#[derive(Clone, Debug)]
struct Socket {
    transport: Transport,
    local: SocketAddr,
    remote: SocketAddr,
    state: TcpState,
    id: SocketId,
    /// The uid, meaningful only where there is an inode.
    uid: u32,
    /// The inode, 0 for a socket that no process can hold any more or yet.
    inode: u64,
}

/// Samples network endpoints.
#[derive(Debug)]
pub struct EndpointSampler {
    view: HostView,
    holders: SharedHolders,
    diag: Option<Diag>,
    /// Families for which the kernel refused sock_diag; `/proc/net` tells of them from then on.
    refused: [bool; FAMILIES.len()],
    sockets: Vec<Socket>,
    /// Namespaces of which it has been said that they cannot be read.
    unreadable: HashSet<u32>,
}

/// Makes the sampler for the registry.
pub(super) fn make(context: &Context) -> Box<dyn Collector> {
    Box::new(EndpointSampler::new(context))
}

impl EndpointSampler {
    /// Makes a sampler; the context's process sampler must be asked before it in each tick.
    #[must_use]
    pub fn new(context: &Context) -> Self {
        Self {
            view: context.view.clone(),
            holders: context.holders.clone(),
            diag: None,
            refused: [!context.view.live; FAMILIES.len()],
            sockets: Vec::new(),
            unreadable: HashSet::new(),
        }
    }

    /// Reads our own namespace.
    fn read_own(&mut self) -> Result<(), CollectError> {
        for (family, refused) in FAMILIES.iter().zip(&mut self.refused) {
            if !*refused {
                let before = self.sockets.len();
                let answer = match &mut self.diag {
                    Some(diag) => diag.dump(*family, &mut self.sockets),
                    none => Diag::open().and_then(|diag| none.insert(diag).dump(*family, &mut self.sockets)),
                };
                match answer {
                    Ok(()) => continue,
                    Err(DiagError::Refused(cause)) => {
                        tracing::warn!("sock_diag for {} refused, reading /proc/net: {cause}", family.table);
                        *refused = true;
                        self.sockets.truncate(before);
                    }
                    Err(DiagError::Failed(error)) => {
                        // A socket with half an answer in it is of no further use.
                        self.diag = None;
                        return Err(error);
                    }
                }
            }
            let path = self.view.proc_root.join("net").join(family.table);
            table::read(&path, *family, &mut self.sockets)?;
        }
        Ok(())
    }

    /// Reads the namespace `inode` through the first of its processes that is still there.
    fn read_other(&mut self, inode: u32, holders: &Holders, out: &mut Observation) {
        let mut failure = None;
        for pid in holders.namespaces.get(&inode).into_iter().flatten() {
            self.sockets.clear();
            let net = self.view.proc_root.join(pid.to_string()).join("net");
            let read = FAMILIES
                .iter()
                .try_for_each(|family| table::read(&net.join(family.table), *family, &mut self.sockets));
            match read {
                Ok(()) => {
                    self.unreadable.remove(&inode);
                    return;
                }
                Err(error) => failure = Some(error),
            }
        }
        self.sockets.clear();
        if let Some(error) = failure
            && self.unreadable.insert(inode)
        {
            out.gaps.push(Gap {
                source: Some(Source::Endpoint),
                severity: Severity::Thin,
                reason: format!("endpoints of network namespace {inode} are unknown: {error}"),
                from: self.view.clock.now(),
                to: None,
                lost: None,
            });
        }
    }

    /// Shows the sockets read, each once per holder; returns the cookies of those that are left out.
    fn show(&mut self, netns: Option<u32>, holders: &Holders, out: &mut Observation) -> BTreeSet<u64> {
        let mut left_out = BTreeSet::new();
        // A dump takes many calls; a socket that moves from one hash bucket to another in between is told twice.
        let mut told = HashSet::with_capacity(self.sockets.len());
        for socket in self.sockets.drain(..) {
            let key = |holder: Option<Entity>| EndpointKey {
                transport: socket.transport,
                local: socket.local,
                remote: socket.remote,
                state: socket.state,
                socket: socket.id,
                netns,
                holder,
            };
            if !told.insert(key(None)) {
                continue;
            }
            let owned = socket.inode != 0;
            let details =
                EndpointDetails { uid: owned.then_some(socket.uid), inode: owned.then_some(socket.inode) };
            let mut show = |holder| {
                out.show(Fact::Endpoint(Endpoint { key: key(holder), details: details.clone() }));
            };
            match if owned { holders.of(socket.inode) } else { &[] } {
                [] => show(None),
                // A socket that only left-out processes hold is left out with them.
                held if held.iter().all(|(_, holder)| holder.is_none()) => {
                    if let SocketId::Cookie(cookie) = socket.id {
                        left_out.insert(cookie);
                    }
                }
                held => held.iter().filter_map(|(_, holder)| *holder).for_each(|holder| show(Some(holder))),
            }
        }
        left_out
    }
}

impl Collector for EndpointSampler {
    fn source(&self) -> Source {
        Source::Endpoint
    }

    fn sample(&mut self, out: &mut Observation) -> Result<(), CollectError> {
        let holders = self.holders.take().ok_or_else(|| CollectError::Malformed {
            what: "holders of sockets".to_owned(),
            detail: "the processes of this tick could not be read".to_owned(),
        })?;
        let own = std::fs::read_link(self.view.proc_root.join("self/ns/net"))
            .ok()
            .and_then(|link| namespace_inode(link.as_os_str().as_encoded_bytes()));
        self.sockets.clear();
        self.read_own()?;
        let left_out = self.show(own, &holders, out);
        self.view.exclude_sockets(left_out);
        if let Some(own) = own {
            for inode in holders.namespaces.keys().filter(|inode| **inode != own && **inode != 0) {
                self.read_other(*inode, &holders, out);
                self.show(Some(*inode), &holders, out);
            }
        }
        self.unreadable.retain(|inode| holders.namespaces.contains_key(inode));
        Ok(())
    }
}
