//! A net half: the four network tables of a snapshot.
//!
//! `scanpid,sendpid###<tcp>###<tcp6>###<udp>###<udp6>`: each part is the text of that file of `/proc/net`, header included,
//! and empty where the kernel lacks the family. Perl joined the lines with a space, so every line but a
//! part's first has one more at its start. Two lines of a tcp part (proc_net(5), net/ipv4/tcp_ipv4.c):
//!
//! ```text
//!     3: 0100007F:918F 0100007F:CD92 01 00000000:00000000 00:00000000 00000000     0        0 2208205 1 0000000026e51ab7 20 0 0 10 -1
//!    36: 0100007F:AFCF 0100007F:C3BD 06 00000000:00000000 03:0000176C 00000000     0        0 0 3 0000000033043be7
//! ```
//!
//! The kernel prints an address word by word as numbers of its own byte order. All machines that the first POFR
//! runs on are x86, so the words are read as little-endian; ports are printed in network order and need no care.

use super::{
    proc::{ProcHalf, SeenProcess, socket_inode},
    recorder::{Recorder, number},
};
use crate::{
    fact::{Endpoint, EndpointDetails, EndpointKey, Fact, SocketId, TcpState, Transport},
    identity::Entity,
};
use hashbrown::{HashMap, HashSet};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

/// The four parts in their order.
const PARTS: [(&str, Transport, bool); 4] = [
    ("tcp", Transport::Tcp, false),
    ("tcp6", Transport::Tcp, true),
    ("udp", Transport::Udp, false),
    ("udp6", Transport::Udp, true),
];
/// How many columns a line has at least: up to the inode.
const COLUMNS: usize = 10;
/// How many columns the line of a closed connection has that is no socket any more.
const REMNANT_COLUMNS: usize = 12;

/// Why a net half cannot be read. Lines count from 1 in each part, the header being the first.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum NetError {
    /// It does not begin with the recorder's pids.
    #[error("net half does not begin with the recorder's two pids")]
    Recorder,
    /// It is not four tables.
    #[error("net half has {found} tables, not 4")]
    Parts {
        /// How many it has.
        found: usize,
    },
    /// A line is not as the kernel writes it.
    #[error("net half, table {table}, line {line}: {problem}")]
    Line {
        /// Which table.
        table: &'static str,
        /// The line.
        line: usize,
        /// What is wrong.
        problem: &'static str,
    },
}

/// A net half, read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NetHalf {
    /// The recorder's own pids.
    pub recorder: Recorder,
    /// The sockets in the order of their lines.
    pub sockets: Vec<Socket>,
}

/// A line of a table.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Socket {
    /// TCP or UDP.
    pub transport: Transport,
    /// Our address and port.
    pub local: SocketAddr,
    /// The peer's.
    pub remote: SocketAddr,
    /// The state.
    pub state: TcpState,
    /// The owner; `None` for what is left of a closed connection, where the kernel prints 0 whoever had it.
    pub uid: Option<u32>,
    /// The inode; 0 for a socket without one: closed, or not accepted yet.
    pub inode: u64,
}

impl NetHalf {
    /// Reads a net half's text.
    ///
    /// # Errors
    /// Where it is not four tables, or a line is not as the kernel writes it.
    pub fn parse(text: &[u8]) -> Result<Self, NetError> {
        let text = String::from_utf8_lossy(text);
        let mut parts = text.split("###");
        let recorder =
            parts.next().and_then(|tag| Recorder::parse(tag.as_bytes())).ok_or(NetError::Recorder)?;
        let parts: Vec<&str> = parts.collect();
        if parts.len() != PARTS.len() {
            return Err(NetError::Parts { found: parts.len() });
        }
        let mut sockets = Vec::new();
        for (part, (table, transport, v6)) in parts.into_iter().zip(PARTS) {
            read_table(part, transport, v6, &mut sockets).map_err(|(line, problem)| NetError::Line {
                table,
                line,
                problem,
            })?;
        }
        Ok(Self { recorder, sockets })
    }

    /// Returns the facts: one for each process that holds a socket, one without a holder where none does.
    ///
    /// A socket that only the recorder holds is left out, as the recorder is; a line that the kernel printed twice
    /// is one fact.
    #[must_use]
    pub fn facts(&self, holders: &Holders) -> Vec<Fact> {
        let mut seen = HashSet::new();
        let mut facts = Vec::with_capacity(self.sockets.len());
        for socket in self.sockets.iter().filter(|socket| seen.insert(**socket)) {
            match holders.of(socket.inode) {
                [] if holders.is_recorders(socket.inode) => {}
                [] => facts.push(socket.fact(None)),
                many => facts.extend(many.iter().map(|holder| socket.fact(Some(*holder)))),
            }
        }
        facts
    }
}

impl Socket {
    fn fact(&self, holder: Option<Entity>) -> Fact {
        let inode = (self.inode != 0).then_some(self.inode);
        Fact::from(Endpoint {
            key: EndpointKey {
                transport: self.transport,
                local: self.local,
                remote: self.remote,
                state: self.state,
                socket: inode.map_or(SocketId::None, SocketId::Inode),
                netns: None,
                holder,
            },
            details: EndpointDetails { uid: self.uid, inode, ..EndpointDetails::default() },
        })
    }
}

/// Which processes hold which sockets, as the proc half of the same snapshot shows it.
///
/// The client does not look at descriptor 0, so a socket that is open there alone has no holder here.
#[derive(Clone, Debug, Default)]
pub struct Holders {
    by_inode: HashMap<u64, Vec<Entity>>,
    recorders: HashSet<u64>,
}

impl Holders {
    /// Collects the holders from a proc half; each process once for a socket, however many descriptors it has of it.
    #[must_use]
    pub fn of_half(half: &ProcHalf) -> Self {
        Self::of_processes(&half.processes, half.recorder_sockets.iter().copied())
    }

    /// Collects the holders among `processes`, and what the recorder holds.
    pub(super) fn of_processes<'a>(
        processes: impl IntoIterator<Item = &'a SeenProcess>,
        recorders: impl IntoIterator<Item = u64>,
    ) -> Self {
        let mut by_inode: HashMap<u64, Vec<Entity>> = HashMap::new();
        for file in processes.into_iter().flat_map(|p| &p.files) {
            if let Some(inode) = socket_inode(file.key.path.as_bytes()) {
                let holders = by_inode.entry(inode).or_default();
                if !holders.contains(&file.key.entity) {
                    holders.push(file.key.entity);
                }
            }
        }
        Self { by_inode, recorders: recorders.into_iter().collect() }
    }

    fn of(&self, inode: u64) -> &[Entity] {
        self.by_inode.get(&inode).filter(|_| inode != 0).map_or(&[], Vec::as_slice)
    }

    fn is_recorders(&self, inode: u64) -> bool {
        inode != 0 && self.recorders.contains(&inode)
    }
}

/// Reads one table.
fn read_table(
    part: &str,
    transport: Transport,
    v6: bool,
    out: &mut Vec<Socket>,
) -> Result<(), (usize, &'static str)> {
    if part.is_empty() {
        return Ok(());
    }
    let lines: Vec<&str> =
        part.strip_suffix('\n').ok_or((part.lines().count(), "is cut off"))?.split('\n').collect();
    if !lines[0].trim_start().starts_with("sl ") {
        return Err((1, "is not the header of a table"));
    }
    for (line, text) in (2..).zip(&lines[1..]) {
        out.push(read_line(text, transport, v6).map_err(|problem| (line, problem))?);
    }
    Ok(())
}

/// Reads one line.
fn read_line(text: &str, transport: Transport, v6: bool) -> Result<Socket, &'static str> {
    let columns: Vec<&str> = text.split_ascii_whitespace().collect();
    if columns.len() < COLUMNS {
        return Err("fewer than ten columns");
    }
    let state = hex_number(columns[3], 2)
        .and_then(|n| u8::try_from(n).ok())
        .and_then(TcpState::from_kernel)
        .ok_or("the state is none of the kernel's")?;
    let uid = number(columns[7].as_bytes()).ok_or("the uid is not a number")?;
    // Besides TIME-WAIT the kernel keeps some FIN-WAIT-2 so; a request not accepted yet is as short, but has its uid.
    let remnant = transport == Transport::Tcp
        && columns.len() == REMNANT_COLUMNS
        && !matches!(state, TcpState::SynRecv | TcpState::NewSynRecv);
    let inode = columns[9];
    Ok(Socket {
        transport,
        local: address(columns[1], v6).ok_or("the local address is not one of this family")?,
        remote: address(columns[2], v6).ok_or("the remote address is not one of this family")?,
        state,
        uid: (!remnant).then_some(uid),
        inode: inode
            .parse()
            .ok()
            .filter(|_| inode.bytes().all(|b| b.is_ascii_digit()))
            .ok_or("the inode is not a number")?,
    })
}

/// Reads `0100007F:918F`, or 32 digits before the colon for IPv6.
fn address(text: &str, v6: bool) -> Option<SocketAddr> {
    let (ip, port) = text.split_once(':')?;
    let port = u16::try_from(hex_number(port, 4)?).ok()?;
    let word = |digits: &str| hex_number(digits, 8).map(u32::to_le_bytes);
    let ip = if v6 {
        if ip.len() != 32 || !ip.is_ascii() {
            return None;
        }
        let mut bytes = [0; 16];
        for (i, four) in bytes.chunks_exact_mut(4).enumerate() {
            four.copy_from_slice(&word(&ip[8 * i..8 * i + 8])?);
        }
        IpAddr::V6(Ipv6Addr::from(bytes))
    } else {
        IpAddr::V4(Ipv4Addr::from(word(ip)?))
    };
    Some(SocketAddr::new(ip, port))
}

/// Reads exactly `digits` hex digits.
fn hex_number(text: &str, digits: usize) -> Option<u32> {
    let good = text.len() == digits && text.bytes().all(|b| b.is_ascii_hexdigit());
    good.then(|| u32::from_str_radix(text, 16).ok())?
}
