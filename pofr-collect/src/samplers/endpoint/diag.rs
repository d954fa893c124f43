//! sock_diag(7): the kernel's own list of sockets, over netlink(7).

use super::{Family, Socket};
use netlink_packet_core::{
    NLM_F_DUMP, NLM_F_REQUEST, NLMSG_DONE, NLMSG_ERROR, NetlinkBuffer, NetlinkHeader, NetlinkMessage,
    Parseable,
};
use netlink_packet_sock_diag::{
    SockDiagMessage,
    constants::{AF_INET, AF_INET6, IPPROTO_TCP, IPPROTO_UDP},
    inet::{self, ExtensionFlags, InetRequest, InetResponseHeader, StateFlags},
};
use netlink_sys::{Socket as Netlink, SocketAddr as NetlinkAddr, protocols::NETLINK_SOCK_DIAG};
use pofr_core::{
    collector::CollectError,
    fact::{SocketId, TcpState, Transport},
};
use std::{io, net::SocketAddr};

/// The kernel fills at most 32 KiB at a time (netlink_dump in net/netlink/af_netlink.c).
const BUFFER_BYTES: usize = 64 << 10;
/// The kernel's mark on a dump that was not consistent (include/uapi/linux/netlink.h).
const DUMP_INTERRUPTED: u16 = 0x10;
/// How often an inconsistent dump is asked for again.
const TRIES: usize = 3;

/// Why there is no list.
#[derive(Debug)]
pub(super) enum DiagError {
    /// The kernel does not do this, or not for us: there is no use in asking again.
    Refused(io::Error),
    /// It went wrong this time.
    Failed(CollectError),
}

/// A connection to the kernel.
pub(super) struct Diag {
    netlink: Netlink,
    buffer: Vec<u8>,
    sequence: u32,
}

impl std::fmt::Debug for Diag {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Diag").field("sequence", &self.sequence).finish_non_exhaustive()
    }
}

impl Diag {
    /// Connects.
    pub(super) fn open() -> Result<Self, DiagError> {
        let open = || {
            let mut netlink = Netlink::new(NETLINK_SOCK_DIAG)?;
            netlink.bind_auto()?;
            netlink.connect(&NetlinkAddr::new(0, 0))?;
            Ok(netlink)
        };
        let netlink = open().map_err(DiagError::Refused)?;
        Ok(Self { netlink, buffer: Vec::with_capacity(BUFFER_BYTES), sequence: 0 })
    }

    /// Adds all sockets of a family to `out`.
    pub(super) fn dump(&mut self, family: Family, out: &mut Vec<Socket>) -> Result<(), DiagError> {
        let before = out.len();
        for _ in 0..TRIES {
            out.truncate(before);
            if self.try_dump(family, out)? {
                return Ok(());
            }
        }
        // Three times other sockets came or went while it was told: what was told last is true of each socket in it.
        Ok(())
    }

    /// Asks once; false where the kernel says that the list is not consistent.
    fn try_dump(&mut self, family: Family, out: &mut Vec<Socket>) -> Result<bool, DiagError> {
        self.ask(family).map_err(|cause| unavailable(family, cause))?;
        let mut consistent = true;
        loop {
            self.buffer.clear();
            let length =
                self.netlink.recv(&mut self.buffer, 0).map_err(|cause| unavailable(family, cause))?;
            let mut rest = &self.buffer[..length];
            while !rest.is_empty() {
                let message = NetlinkBuffer::new_checked(rest).map_err(|e| malformed(family, e))?;
                // Messages are aligned to four bytes; the last one need not be padded.
                let next = (message.length() as usize).next_multiple_of(4).min(rest.len());
                if message.sequence_number() == self.sequence {
                    consistent &= message.flags() & DUMP_INTERRUPTED == 0;
                    match message.message_type() {
                        NLMSG_DONE => return Ok(consistent),
                        NLMSG_ERROR => return Err(refusal(family, message.payload())),
                        _ => {
                            let header = InetResponseHeader::parse(message.payload())
                                .map_err(|e| malformed(family, e))?;
                            out.extend(socket(family.transport, &header));
                        }
                    }
                }
                rest = &rest[next..];
            }
        }
    }

    fn ask(&mut self, family: Family) -> io::Result<()> {
        self.sequence = self.sequence.wrapping_add(1);
        let request = InetRequest {
            family: if family.six { AF_INET6 } else { AF_INET },
            protocol: match family.transport {
                Transport::Tcp => IPPROTO_TCP,
                Transport::Udp => IPPROTO_UDP,
            },
            extensions: ExtensionFlags::empty(),
            // Every state, those that this crate has no name for included.
            states: StateFlags::from_bits_retain(u32::MAX),
            socket_id: if family.six { inet::SocketId::new_v6() } else { inet::SocketId::new_v4() },
        };
        let mut header = NetlinkHeader::default();
        header.flags = NLM_F_REQUEST | NLM_F_DUMP;
        header.sequence_number = self.sequence;
        let mut message = NetlinkMessage::new(header, SockDiagMessage::InetRequest(request).into());
        message.finalize();
        let mut bytes = vec![0; message.buffer_len()];
        message.serialize(&mut bytes);
        self.netlink.send(&bytes, 0).map(drop)
    }
}

/// Understands one answer; `None` for a state that we have no name for.
fn socket(transport: Transport, header: &InetResponseHeader) -> Option<Socket> {
    let id = &header.socket_id;
    Some(Socket {
        transport,
        local: SocketAddr::new(id.source_address, id.source_port),
        remote: SocketAddr::new(id.destination_address, id.destination_port),
        state: TcpState::from_kernel(header.state)?,
        id: SocketId::Cookie(u64::from_ne_bytes(id.cookie)),
        uid: header.uid,
        inode: header.inode.into(),
    })
}

/// Understands an error message: a negative errno, then the request.
fn refusal(family: Family, payload: &[u8]) -> DiagError {
    let code = payload.first_chunk().map_or(0, |code| i32::from_ne_bytes(*code));
    let cause = io::Error::from_raw_os_error(code.wrapping_neg());
    // EINTR and ENOMEM pass; what else there is (EPERM, ENOENT where udp_diag is not built, EOPNOTSUPP …) stays.
    match cause.kind() {
        io::ErrorKind::Interrupted | io::ErrorKind::OutOfMemory => unavailable(family, cause),
        _ => DiagError::Refused(cause),
    }
}

fn unavailable(family: Family, cause: io::Error) -> DiagError {
    DiagError::Failed(CollectError::Unavailable { what: format!("sock_diag for {}", family.table), cause })
}

fn malformed(family: Family, cause: impl std::fmt::Display) -> DiagError {
    DiagError::Failed(CollectError::Malformed {
        what: format!("answer of sock_diag for {}", family.table),
        detail: cause.to_string(),
    })
}
