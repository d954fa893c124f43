//! Who had an address or a port.

use super::{
    Direction, QueryError, Span,
    accounts::Accounts,
    ancestry::Ancestry,
    find::holder,
    listeners::{Listeners, listens},
    processes::Processes,
};
use pofr_core::{
    fact::{Fact, FactKind},
    identity::Entity,
    lifetime::{Row, Standing},
    raw::RawText,
    store::ClientReader,
    time::WallMicros,
};
use serde::Serialize;
use std::{
    collections::BTreeSet,
    net::{IpAddr, SocketAddr},
};

/// An end of an endpoint, ours or the peer's. An IPv4-mapped IPv6 address counts as its IPv4 address.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Had {
    /// This address and port.
    Socket(SocketAddr),
    /// This address, any port.
    Address(IpAddr),
    /// This port, any address.
    Port(u16),
}

/// A holder of an endpoint.
#[derive(Clone, Debug, Serialize)]
pub struct Holder {
    /// The endpoint.
    pub row: Row,
    /// How sure it is that it held.
    pub standing: Standing,
    /// Who connected.
    pub direction: Option<Direction>,
    /// The process, where there is one in the record.
    pub process: Option<Row>,
    /// The name of its user, by the client's accounts at that time; without a process, of the user that the kernel has for the
    /// socket.
    pub user: Option<RawText>,
    /// Its parent, that one's parent, and so on: the nearest first.
    pub ancestors: Vec<Row>,
}

impl Had {
    /// Tells whether an end of an endpoint is meant.
    fn fits(&self, end: SocketAddr) -> bool {
        let same = |ip: IpAddr| ip == end.ip() || ip.to_canonical() == end.ip().to_canonical();
        match self {
            Self::Socket(wanted) => wanted.port() == end.port() && same(wanted.ip()),
            Self::Address(ip) => same(*ip),
            Self::Port(port) => *port == end.port(),
        }
    }
}

/// Returns who had an address or a port at a time: who certainly did first.
///
/// An endpoint that listens on every address has each of them: it answers for an address of the machine's with its port.
///
/// # Errors
/// Where the store fails.
pub fn who_had(reader: &mut dyn ClientReader, had: Had, at: WallMicros) -> Result<Vec<Holder>, QueryError> {
    let accounts = Accounts::load(reader)?;
    let listeners = Listeners::load(reader, Span::at(at))?;
    let state = reader.state_at(FactKind::Endpoint, at)?;
    let certain = state.certain.into_iter().map(|row| (Standing::Certain, row));
    let maybe = state.maybe.into_iter().map(|row| (Standing::Maybe, row));
    let mut rows = Vec::new();
    for (standing, row) in certain.chain(maybe) {
        let Fact::Endpoint(endpoint) = &row.fact else { continue };
        let key = &endpoint.key;
        let any_address = match had {
            Had::Socket(wanted) => {
                listens(key) && key.local.ip().is_unspecified() && key.local.port() == wanted.port()
            }
            Had::Address(_) | Had::Port(_) => false,
        };
        if any_address || had.fits(key.local) || had.fits(key.remote) {
            rows.push((standing, row));
        }
    }
    let entities: BTreeSet<Entity> = rows.iter().filter_map(|(_, row)| holder(&row.fact)).collect();
    let processes = Processes::read(reader, &entities, Some(at), Some(at))?;
    let mut ancestry = Ancestry::default();
    let mut holders = Vec::new();
    for (standing, row) in rows {
        let Fact::Endpoint(endpoint) = &row.fact else { continue };
        let direction = listeners.direction(&endpoint.key, at, at);
        let process = endpoint.key.holder.and_then(|entity| processes.at(&entity, at)).cloned();
        let (uid, ancestors) = match process.as_ref().map(|row| &row.fact) {
            Some(Fact::Process(process)) => (process.key.ids.ruid, ancestry.ancestors(reader, process, at)?),
            _ => (endpoint.details.uid, Vec::new()),
        };
        let user = uid.and_then(|uid| accounts.name(uid, at, at)).cloned();
        holders.push(Holder { row, standing, direction, process, user, ancestors });
    }
    Ok(holders)
}
