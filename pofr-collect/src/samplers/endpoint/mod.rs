//! The endpoint sampler: TCP and UDP sockets over IPv4 and IPv6, in all states, with all who hold them.
//!
//! Our own network namespace is asked by sock_diag(7) at every tick, for TCP unless nothing can have happened there
//! ([`still`]). The [`others`] are found where processes ([`places`]) and their sockets ([`strangers`]) are, and read by sock_diag, too,
//! where we may enter them ([`visit`]), else from the `/proc/PID/net` of one of their threads: when one of their processes ran, and
//! once a second in any case, within a budget of time ([`turns`]). What is found then in one that was not read in the tick
//! before may have been there since it was last read, and is reported so. Who holds a socket is what the process sampler found in
//! the same tick; a socket that a process opened after its descriptors were read has no holder until the next tick.
//!
//! Only sockets that differ from what was last told of them are reported.

pub(crate) mod diag;
mod mounts;
mod namespace;
mod others;
mod pieces;
mod places;
mod still;
mod strangers;
mod table;
mod turns;
mod visit;

use super::{
    Context, SharedHolders,
    holders::{Holder, Holders},
};
use crate::{HostView, namespaces};
use diag::{Diag, DiagError, States};
use hashbrown::HashSet;
use namespace::Namespace;
use others::Others;
use pofr_core::{
    Collector, Source,
    collector::{CollectError, Extent, Observation, Reread},
    fact::{SocketId, TcpState, Transport},
    gap::{Gap, Severity},
    time::WallMicros,
};
use std::{collections::BTreeSet, net::SocketAddr};
use still::{Standing, Stillness};

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

/// A socket as the kernel tells it, before it is known who holds it. In order, those of one subject stand together.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Socket {
    id: SocketId,
    transport: Transport,
    local: SocketAddr,
    remote: SocketAddr,
    state: TcpState,
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
    /// The number of our own namespace, once that was looked for; `None` where it is not known.
    own: Option<Option<u32>>,
    sockets: Vec<Socket>,
    /// The UDP sockets of our own namespace as they were last listed.
    udp: Vec<Socket>,
    still: Stillness,
    /// What was told of our own namespace.
    told: Namespace,
    others: Others,
    /// When the last tick was, on `CLOCK_BOOTTIME`, µs; `None` where the next reading is a whole one.
    last: Option<i64>,
    /// The cookies of sockets that only processes hold that are left out.
    left_out: BTreeSet<u64>,
}

/// What reading our own namespace came to.
enum Own {
    /// Everything is as it was told, holders too.
    AsItWas,
    /// All that there is was listed. What is new in it may have been so since the given time, where that is not the tick before.
    Read { since: Option<WallMicros> },
}

/// A tick in progress.
struct Tick<'a> {
    holders: &'a mut Holders,
    /// Sockets whose holders have changed.
    changed: HashSet<u64>,
    /// Namespaces in which something ran.
    stirred: HashSet<u32>,
    left_out: &'a mut BTreeSet<u64>,
    out: &'a mut Observation,
    read: Vec<Reread>,
    now: i64,
    stamp: WallMicros,
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
            own: None,
            sockets: Vec::new(),
            udp: Vec::new(),
            still: Stillness::default(),
            told: Namespace::default(),
            others: Others::new(context),
            last: None,
            left_out: BTreeSet::new(),
        }
    }

    /// Reads our own namespace.
    fn read_own(&mut self, tick: &Tick<'_>) -> Result<Own, CollectError> {
        let standing = self.still_standing(tick);
        self.sockets.clear();
        for (at, family) in FAMILIES.into_iter().enumerate() {
            if family.transport == Transport::Udp && !self.still.has_no_udp(family.six) {
                self.list(at, standing)?;
            }
        }
        let is_udp_same = self.udp == self.sockets;
        std::mem::swap(&mut self.udp, &mut self.sockets);
        if is_udp_same && standing == Standing::All {
            return Ok(Own::AsItWas);
        }
        self.sockets.clear();
        for (at, family) in FAMILIES.into_iter().enumerate() {
            if family.transport == Transport::Tcp && standing != Standing::All {
                self.list(at, standing)?;
            }
        }
        // The kernel lists those first that listen: so the order is what it was where all is as it was.
        self.still.put(standing, &mut self.sockets);
        let listed = self.still.take(&self.sockets, standing, (tick.now, tick.stamp));
        if is_udp_same && listed.is_same && tick.changed.is_empty() {
            return Ok(Own::AsItWas);
        }
        self.sockets.extend_from_slice(&self.udp);
        Ok(Own::Read { since: listed.since })
    }

    /// Tells what still stands of the TCP sockets that were listed before. `/proc/net` lists all or none.
    fn still_standing(&mut self, tick: &Tick<'_>) -> Standing {
        if !self.view.live || self.refused.contains(&true) {
            self.still.forget();
            return Standing::Nothing;
        }
        self.still.standing(&self.view, tick.now, self.last, !tick.changed.is_empty())
    }

    /// Lists what of a family does not stand.
    fn list(&mut self, at: usize, standing: Standing) -> Result<(), CollectError> {
        let family = FAMILIES[at];
        if !self.refused[at] {
            self.refused[at] = !self.ask(family, standing)?;
        }
        if self.refused[at] {
            let path = self.view.proc_root.join("net").join(family.table);
            table::read(&path, family, &mut self.sockets)?;
        }
        Ok(())
    }

    /// Asks sock_diag for what of a family does not stand; false where the kernel refuses that.
    fn ask(&mut self, family: Family, standing: Standing) -> Result<bool, CollectError> {
        let before = self.sockets.len();
        let states = match standing {
            Standing::ButListeners if family.transport == Transport::Tcp => States::Listening,
            _ => States::All,
        };
        let answer = match &mut self.diag {
            Some(diag) => diag.dump(family, states, &mut self.sockets),
            none => Diag::open().and_then(|diag| none.insert(diag).dump(family, states, &mut self.sockets)),
        };
        match answer {
            Ok(()) => Ok(true),
            Err(DiagError::Refused(cause)) => {
                tracing::warn!("sock_diag for {} refused, reading /proc/net: {cause}", family.table);
                self.sockets.truncate(before);
                Ok(false)
            }
            Err(DiagError::Failed(error)) => {
                // A socket with half an answer in it is of no further use.
                self.diag = None;
                Err(error)
            }
        }
    }

    fn tick(&mut self, tick: &mut Tick<'_>) -> Result<(), CollectError> {
        let own = *self.own.get_or_insert_with(|| {
            let link = std::fs::read_link(self.view.proc_root.join("self/ns/net")).ok()?;
            namespaces::inode(link.as_os_str().as_encoded_bytes())
        });
        match self.read_own(tick)? {
            Own::AsItWas => self.told.stay(tick),
            Own::Read { since } => {
                let before = tick.read.len();
                self.told.tell(own, &mut self.sockets, since, tick);
                if let Some(from) = since.filter(|_| tick.read.len() > before) {
                    tick.thin(
                        "TCP sockets were not listed while the kernel counted nothing that concerned them",
                        from,
                    );
                }
            }
        }
        if let Some(own) = own {
            self.others.tick(own, &self.told, self.last, tick);
        }
        Ok(())
    }
}

impl Tick<'_> {
    /// Says that less was known from `from` to this tick.
    fn thin(&mut self, reason: &str, from: WallMicros) {
        self.out.gaps.push(Gap {
            source: Some(Source::Endpoint),
            severity: Severity::Thin,
            reason: reason.to_owned(),
            from,
            to: Some(self.stamp),
            lost: None,
        });
    }

    /// Returns who holds a socket. One that only left-out processes hold is left out with them: then there is none.
    fn holders(&self, socket: &Socket) -> Vec<Holder> {
        let held = if socket.inode == 0 { &[] } else { self.holders.of(socket.inode) };
        if held.is_empty() { vec![None] } else { held.iter().copied().filter(Option::is_some).collect() }
    }
}

impl Collector for EndpointSampler {
    fn source(&self) -> Source {
        Source::Endpoint
    }

    fn sample(&mut self, out: &mut Observation) -> Result<(), CollectError> {
        let now = self.view.clock.boot_micros();
        let stamp = self.view.clock.at_boot(now);
        let whole = self.last.is_none();
        let shared = self.holders.clone();
        let result = shared.ask(|holders| {
            let (changed, stirred) = (holders.take_changed(), holders.take_stirred());
            let mut left_out = std::mem::take(&mut self.left_out);
            let read = Vec::new();
            let mut tick = Tick { holders, changed, stirred, left_out: &mut left_out, out, read, now, stamp };
            self.tick(&mut tick)?;
            if !whole {
                tick.out.extent = Extent::Subjects(tick.read);
            }
            // Their ends are not announced either.
            self.view.exclude_sockets(left_out.clone());
            self.left_out = left_out;
            Ok(())
        });
        let result = result.unwrap_or_else(|| {
            Err(CollectError::Malformed {
                what: "holders of sockets".to_owned(),
                detail: "the processes of this tick could not be read".to_owned(),
            })
        });
        match &result {
            Ok(()) => self.last = Some(now),
            Err(_) => self.restart(),
        }
        result
    }

    fn restart(&mut self) {
        self.told = Namespace::default();
        self.others.restart();
        self.still.forget();
        self.udp.clear();
        self.left_out.clear();
        self.last = None;
    }
}
