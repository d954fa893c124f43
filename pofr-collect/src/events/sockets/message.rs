//! Messages of the destroy groups, and the kernel's count of those that it had no room for.

use crate::netlink::with_scope;
use netlink_packet_core::{NetlinkBuffer, NlasIterator, Parseable};
use netlink_packet_sock_diag::{
    constants::{IPPROTO_TCP, IPPROTO_UDP, SOCK_DIAG_BY_FAMILY},
    inet::InetResponseHeader,
};
use pofr_core::fact::{TcpState, Transport};
use std::net::SocketAddr;

/// `struct inet_diag_msg` (include/uapi/linux/inet_diag.h), bytes.
const HEADER_BYTES: usize = 72;
/// `INET_DIAG_PROTOCOL`: the attribute with the transport.
const PROTOCOL: u16 = 10;

/// A socket that is gone.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Gone {
    pub(super) transport: Transport,
    pub(super) local: SocketAddr,
    pub(super) remote: SocketAddr,
    pub(super) state: TcpState,
    pub(super) cookie: u64,
}

/// Understands a message; `None` for a socket that never had a port, which no sample would have shown, either.
pub(super) fn parse(bytes: &[u8]) -> Result<Option<Gone>, String> {
    let message = NetlinkBuffer::new_checked(bytes).map_err(|e| e.to_string())?;
    if message.message_type() != SOCK_DIAG_BY_FAMILY {
        return Ok(None);
    }
    let payload = message.payload();
    let header = InetResponseHeader::parse(payload).map_err(|e| e.to_string())?;
    let mut transport = None;
    for attribute in NlasIterator::new(payload.get(HEADER_BYTES..).unwrap_or_default()) {
        let attribute = attribute.map_err(|e| e.to_string())?;
        if attribute.kind() == PROTOCOL {
            transport = match attribute.value().first() {
                Some(&IPPROTO_TCP) => Some(Transport::Tcp),
                Some(&IPPROTO_UDP) => Some(Transport::Udp),
                _ => None,
            };
        }
    }
    let (Some(transport), Some(state)) = (transport, TcpState::from_kernel(header.state)) else {
        return Ok(None);
    };
    let id = &header.socket_id;
    let local = with_scope(SocketAddr::new(id.source_address, id.source_port), id.interface_id);
    let remote = with_scope(SocketAddr::new(id.destination_address, id.destination_port), id.interface_id);
    let cookie = u64::from_ne_bytes(id.cookie);
    Ok((local.port() != 0).then_some(Gone { transport, local, remote, state, cookie }))
}

/// Finds in `/proc/net/netlink` how many messages the socket of this inode has lost. Two real lines:
///
/// ```text
/// sk               Eth Pid        Groups   Rmem     Wmem     Dump  Locks    Drops    Inode
/// ffff8d0f0a0d4800 4   0          00000000 0        0        0     2        0        1030
/// ```
pub(super) fn drops(table: &[u8], inode: u64) -> Option<u64> {
    let text = std::str::from_utf8(table).ok()?;
    text.lines().find_map(|line| {
        let fields: Vec<&str> = line.split_whitespace().collect();
        let [.., drops, found] = fields[..] else { return None };
        (found.parse() == Ok(inode)).then(|| drops.parse().ok())?
    })
}

/// What must hold of any bytes: what is told as gone had a port.
#[cfg(any(test, feature = "fuzzing"))]
pub(crate) fn fuzz(bytes: &[u8]) {
    if let Ok(Some(gone)) = parse(bytes) {
        assert!(gone.local.port() != 0 && bytes.len() >= HEADER_BYTES);
    }
    let _ = drops(bytes, 1030);
}
