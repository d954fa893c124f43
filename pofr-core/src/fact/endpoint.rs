//! Network endpoints.

use crate::{
    digest::{KeyDigest, KeyEncoder},
    fact::details,
    identity::Entity,
    raw::RawText,
};
use serde::Serialize;
use std::net::{IpAddr, SocketAddr};

/// A network endpoint of one holder: a socket that three processes share is three facts.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Endpoint {
    /// What makes it this fact.
    #[serde(flatten)]
    pub key: EndpointKey,
    /// What else is known.
    #[serde(flatten)]
    pub details: EndpointDetails,
}

/// The transport protocol.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
#[expect(missing_docs, reason = "the protocols' own names")]
pub enum Transport {
    Tcp,
    Udp,
}

impl Transport {
    /// Returns `tcp` or `udp`.
    #[must_use]
    pub const fn text(self) -> &'static str {
        match self {
            Self::Tcp => "tcp",
            Self::Udp => "udp",
        }
    }

    /// Reads `tcp` or `udp`.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        [Self::Tcp, Self::Udp].into_iter().find(|t| t.text() == text)
    }
}

macro_rules! tcp_states {
    ($($name:ident = $number:literal $text:literal),+ $(,)?) => {
        /// A socket's state: the kernel's TCP states, which UDP shares (include/net/tcp_states.h).
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize)]
        #[expect(missing_docs, reason = "the kernel's own names")]
        pub enum TcpState { $(#[serde(rename = $text)] $name = $number),+ }

        impl TcpState {
            /// Reads the kernel's number, 1 to 13.
            #[must_use]
            pub const fn from_kernel(number: u8) -> Option<Self> {
                match number { $($number => Some(Self::$name),)+ _ => None }
            }

            /// Returns the name that ss(8) prints.
            #[must_use]
            pub const fn text(self) -> &'static str {
                match self { $(Self::$name => $text),+ }
            }

            /// Reads what [`Self::text`] returns.
            #[must_use]
            pub fn parse(text: &str) -> Option<Self> {
                match text { $($text => Some(Self::$name),)+ _ => None }
            }
        }
    };
}
tcp_states! {
    Established = 1 "ESTAB", SynSent = 2 "SYN-SENT", SynRecv = 3 "SYN-RECV", FinWait1 = 4 "FIN-WAIT-1",
    FinWait2 = 5 "FIN-WAIT-2", TimeWait = 6 "TIME-WAIT", Close = 7 "UNCONN", CloseWait = 8 "CLOSE-WAIT",
    LastAck = 9 "LAST-ACK", Listen = 10 "LISTEN", Closing = 11 "CLOSING", NewSynRecv = 12 "NEW-SYN-RECV",
    BoundInactive = 13 "BOUND-INACTIVE",
}

/// What tells a socket from another with the same addresses.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum SocketId {
    /// The kernel's socket cookie (sock_diag(7)); never used twice in a boot.
    Cookie(u64),
    /// The inode of the socket, where there is no cookie to be had (`/proc/net/tcp`).
    Inode(u64),
    /// Neither: a TIME-WAIT entry of `/proc/net/tcp` has only addresses.
    None,
}

/// What makes two observations the same endpoint.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize)]
pub struct EndpointKey {
    /// TCP or UDP.
    pub transport: Transport,
    /// Our address and port. An IPv4-mapped IPv6 address stays IPv6. The scope id of a
    /// link-local address is the index of its interface (RFC 4007), 0 where there is none; the flow label is 0.
    pub local: SocketAddr,
    /// The peer's address and port; unspecified and 0 where there is none.
    pub remote: SocketAddr,
    /// The state.
    pub state: TcpState,
    /// The socket.
    pub socket: SocketId,
    /// The inode number of the network namespace; `None` where it is not known (v1).
    pub netns: Option<u32>,
    /// The process that holds a descriptor of it; `None` where none does or none could be found.
    pub holder: Option<Entity>,
}

impl EndpointKey {
    /// Returns `shasum`.
    #[must_use]
    pub fn digest(&self) -> KeyDigest {
        let address = |key: KeyEncoder, a: &SocketAddr| {
            match a.ip() {
                IpAddr::V4(ip) => key.bytes(&ip.octets()),
                IpAddr::V6(ip) => key.bytes(&ip.octets()),
            }
            .int(a.port())
        };
        let key = KeyEncoder::new("pofr/endpoint/2").int(self.transport as u8);
        let key = address(address(key, &self.local), &self.remote).int(self.state as u8);
        let key = match self.socket {
            SocketId::Cookie(n) => key.bytes(b"c").int(n),
            SocketId::Inode(n) => key.bytes(b"i").int(n),
            SocketId::None => key.bytes(b""),
        };
        let key = key.option(self.netns, KeyEncoder::int).option(self.holder, |key, e| e.encode(key));
        match [scope(&self.local), scope(&self.remote)] {
            [0, 0] => key,
            [local, remote] => key.bytes(b"scope").int(local).int(remote),
        }
        .finish()
    }
}

/// Returns the scope id of an address: 0 for IPv4, and where there is none.
#[must_use]
pub const fn scope(address: &SocketAddr) -> u32 {
    match address {
        SocketAddr::V4(_) => 0,
        SocketAddr::V6(address) => address.scope_id(),
    }
}

/// What is known of an endpoint besides its key.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct EndpointDetails {
    /// The user id that the kernel has for the socket.
    pub uid: Option<u32>,
    /// The socket's inode; `None` or 0 where it has none any more.
    pub inode: Option<u64>,
    /// The name of our address, as the DNS had it when the server asked, printable ASCII (RFC 4343 section 2.1). This and
    /// what follows is the server's own: it is on no wire.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub local_name: Option<RawText>,
    /// The name of the peer's address; what it says is the peer's, who may say anything.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub remote_name: Option<RawText>,
    /// The peer's country, by the administrator's database: two letters (ISO 3166-1) from most.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub country: Option<String>,
    /// The peer's city, by the same.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub city: Option<String>,
}

details!(EndpointDetails: uid, inode, local_name, remote_name, country, city);
