//! sock_diag(7): the kernel's own list of sockets, over netlink(7).
//!
//! The kernel walks its whole table of TCP sockets for each question, which is most of what a sample of a quiet machine costs. The
//! question that was there before sock_diag, `TCPDIAG_GETSOCK`, is answered with the sockets of both versions of IP in
//! one walk; so that is asked, and the one question for each version only where the kernel does not know it any more.

use super::{Family, Socket};
use crate::netlink::{self, DONE, DUMP, ERROR, INTERRUPTED, REQUEST, messages, push_header};
use pofr_core::{
    collector::CollectError,
    fact::{SocketId, TcpState, Transport},
};
use rustix::net::{AddressFamily, netlink::SOCK_DIAG};
use std::{
    io,
    net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr},
};

/// The kernel fills at most 32 KiB at a time (netlink_dump in net/netlink/af_netlink.c).
const BUFFER_BYTES: usize = 64 << 10;
/// How often an inconsistent dump is asked for again.
const TRIES: usize = 3;
/// `TCPDIAG_GETSOCK` (include/uapi/linux/inet_diag.h).
const TCP_OF_BOTH: u16 = 18;
/// `SOCK_DIAG_BY_FAMILY` (include/uapi/linux/sock_diag.h).
const BY_FAMILY: u16 = 20;
/// Bytes of `struct inet_diag_sockid`, which restricts no dump.
const SOCKET_ID: usize = 48;
/// `TCP_LISTEN` (include/net/tcp_states.h).
const LISTEN: u32 = 10;

/// The states that are asked for.
#[derive(Clone, Copy, Debug)]
pub(super) enum States {
    /// Every one, those that we have no name for included.
    All,
    /// The one of those that listen, which the kernel has in a table of their own.
    Listening,
}

impl States {
    /// Returns the bits of the states.
    const fn bits(self) -> [u8; 4] {
        match self {
            Self::All => u32::MAX.to_ne_bytes(),
            Self::Listening => (1_u32 << LISTEN).to_ne_bytes(),
        }
    }
}

/// Why there is no list.
#[derive(Debug)]
pub(super) enum DiagError {
    /// The kernel does not do this, or not for us: there is no use in asking again.
    Refused(io::Error),
    /// It went wrong this time.
    Failed(CollectError),
}

/// A connection to the kernel.
#[derive(Debug)]
pub(super) struct Diag {
    socket: netlink::Socket,
    buffer: Vec<u8>,
    request: Vec<u8>,
    sequence: u32,
    /// Whether one question is answered for both versions of IP.
    both: bool,
}

impl Diag {
    /// Connects.
    pub(super) fn open() -> Result<Self, DiagError> {
        let socket = netlink::Socket::open(SOCK_DIAG, 0).map_err(|e| DiagError::Refused(e.into()))?;
        Ok(Self { socket, buffer: vec![0; BUFFER_BYTES], request: Vec::new(), sequence: 0, both: true })
    }

    /// Adds the sockets of a family that are in one of `states` to `out`; those of TCP over IPv6 come with those over IPv4 if the kernel can do that.
    pub(super) fn dump(
        &mut self,
        family: Family,
        states: States,
        out: &mut Vec<Socket>,
    ) -> Result<(), DiagError> {
        if family.transport == Transport::Tcp && self.both {
            if family.six {
                return Ok(());
            }
            match self.dump_as(TCP_OF_BOTH, family, states, out) {
                Err(DiagError::Refused(_)) => self.both = false,
                result => return result,
            }
        }
        self.dump_as(BY_FAMILY, family, states, out)
    }

    fn dump_as(
        &mut self,
        kind: u16,
        family: Family,
        states: States,
        out: &mut Vec<Socket>,
    ) -> Result<(), DiagError> {
        let before = out.len();
        for _ in 0..TRIES {
            out.truncate(before);
            if self.try_dump(kind, family, states, out)? {
                return Ok(());
            }
        }
        // Three times other sockets came or went while it was told: what was told last is true of each socket in it.
        Ok(())
    }

    /// Asks once; false where the kernel says that the list is not consistent.
    fn try_dump(
        &mut self,
        kind: u16,
        family: Family,
        states: States,
        out: &mut Vec<Socket>,
    ) -> Result<bool, DiagError> {
        self.ask(kind, family, states);
        self.socket.send(&self.request).map_err(|cause| unavailable(family, cause.into()))?;
        let mut consistent = true;
        loop {
            let datagram = self.socket.wait(&mut self.buffer);
            let datagram = datagram.map_err(|cause| unavailable(family, cause.into()))?;
            for message in messages(datagram).filter(|message| message.sequence == self.sequence) {
                consistent &= message.flags & INTERRUPTED == 0;
                match message.kind {
                    // The end may say that it is none: an errno in place of a 0.
                    DONE | ERROR => {
                        let code = netlink::u32_at(message.payload, 0).unwrap_or(0).cast_signed();
                        return if code == 0 { Ok(consistent) } else { Err(refusal(family, code)) };
                    }
                    _ => out.extend(read(family.transport, message.payload)),
                }
            }
        }
    }

    /// Writes the question.
    fn ask(&mut self, kind: u16, family: Family, states: States) {
        self.sequence = self.sequence.wrapping_add(1);
        self.request.clear();
        let version = if family.six { AddressFamily::INET6 } else { AddressFamily::INET };
        let version = u8::try_from(version.as_raw()).unwrap_or(0);
        push_header(
            &mut self.request,
            8 + SOCKET_ID + if kind == BY_FAMILY { 0 } else { 4 },
            kind,
            REQUEST | DUMP,
            self.sequence,
        );
        if kind == BY_FAMILY {
            // struct inet_diag_req_v2: family, protocol, no extensions, padding; states; the socket.
            let protocol = match family.transport {
                Transport::Tcp => 6,
                Transport::Udp => 17,
            };
            self.request.extend([version, protocol, 0, 0]);
            self.request.extend(states.bits());
            self.request.extend([0; SOCKET_ID]);
        } else {
            // struct inet_diag_req: family, lengths of prefixes, no extensions; the socket; states; nothing.
            self.request.extend([version, 0, 0, 0]);
            self.request.extend([0; SOCKET_ID]);
            self.request.extend(states.bits());
            self.request.extend([0; 4]);
        }
    }
}

/// Reads one answer, `struct inet_diag_msg`; `None` for a state that we have no name for, or for less than an answer.
fn read(transport: Transport, message: &[u8]) -> Option<Socket> {
    let word = |offset| netlink::u32_at(message, offset);
    let port = |offset: usize| message.get(offset..)?.first_chunk().map(|b| u16::from_be_bytes(*b));
    let six = i32::from(*message.first()?) == i32::from(AddressFamily::INET6.as_raw());
    let address = |offset: usize| -> Option<IpAddr> {
        let bytes = message.get(offset..)?;
        Some(if six {
            Ipv6Addr::from(*bytes.first_chunk::<16>()?).into()
        } else {
            Ipv4Addr::from(*bytes.first_chunk::<4>()?).into()
        })
    };
    Some(Socket {
        id: SocketId::Cookie(netlink::u64_at(message, 44)?),
        transport,
        local: netlink::with_scope(SocketAddr::new(address(8)?, port(4)?), word(40)?),
        remote: netlink::with_scope(SocketAddr::new(address(24)?, port(6)?), word(40)?),
        state: TcpState::from_kernel(*message.get(1)?)?,
        uid: word(64)?,
        inode: word(68)?.into(),
    })
}

/// Understands a negative errno.
fn refusal(family: Family, code: i32) -> DiagError {
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

/// What must hold of any datagram: who is cut off is no socket, and a family decides what addresses are.
#[cfg(any(test, feature = "fuzzing"))]
pub(crate) fn fuzz(datagram: &[u8]) {
    for message in messages(datagram) {
        for transport in [Transport::Tcp, Transport::Udp] {
            let Some(socket) = read(transport, message.payload) else { continue };
            assert_eq!((socket.transport, socket.local.is_ipv6()), (transport, socket.remote.is_ipv6()));
            assert!(message.payload.len() >= 72 && read(transport, &message.payload[..71]).is_none());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::samplers::endpoint::FAMILIES;
    use std::net::{TcpListener, TcpStream, UdpSocket};

    #[test]
    fn both_ways_of_asking_tell_the_same_of_ones_own_sockets() {
        let listeners = ["127.0.0.1:0", "[::1]:0"].map(|address| TcpListener::bind(address).unwrap());
        let ends = listeners.each_ref().map(|l| TcpStream::connect(l.local_addr().unwrap()).unwrap());
        let udp = ["127.0.0.1:0", "[::1]:0"].map(|address| UdpSocket::bind(address).unwrap());
        // By address and transport: others on this machine may have sockets with the same port.
        let tcp = listeners.iter().map(TcpListener::local_addr).chain(ends.iter().map(TcpStream::local_addr));
        let own: Vec<(Transport, SocketAddr)> = tcp
            .map(|address| (Transport::Tcp, address.unwrap()))
            .chain(udp.iter().map(|socket| (Transport::Udp, socket.local_addr().unwrap())))
            .collect();
        let mut told = [true, false].map(|both| {
            let mut diag = Diag::open().unwrap();
            diag.both = both;
            let mut sockets = Vec::new();
            for family in FAMILIES {
                diag.dump(family, States::All, &mut sockets).unwrap();
            }
            assert_eq!(diag.both, both, "this kernel answers the old question");
            sockets.retain(|s| own.contains(&(s.transport, s.local)));
            sockets
        });
        told.iter_mut().for_each(|sockets| sockets.sort_unstable());
        assert_eq!(told[0], told[1]);
        // Two listeners, two ends of each of two connections, two of UDP.
        assert_eq!(told[0].len(), 8, "{told:?}");
        assert!(told[0].iter().all(|s| s.inode != 0 || s.remote.port() != 0));
        // And those that listen alone.
        for both in [true, false] {
            let mut diag = Diag::open().unwrap();
            diag.both = both;
            let mut sockets = Vec::new();
            for family in &FAMILIES[..2] {
                diag.dump(*family, States::Listening, &mut sockets).unwrap();
            }
            assert!(sockets.iter().all(|s| s.state == TcpState::Listen), "{sockets:?}");
            sockets.retain(|s| own.contains(&(s.transport, s.local)));
            assert_eq!(sockets.len(), 2, "{sockets:?}");
        }
        drop((listeners, ends, udp));
    }

    #[test]
    fn less_than_an_answer_is_none() {
        let mut answer = vec![0; 72];
        (answer[0], answer[1]) = (2, 1);
        assert!(read(Transport::Tcp, &answer).is_some());
        for length in 0..72 {
            assert_eq!(read(Transport::Tcp, &answer[..length]), None);
        }
        answer[1] = 99;
        assert_eq!(read(Transport::Tcp, &answer), None);
    }
}
