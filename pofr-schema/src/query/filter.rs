//! Filters: what is asked of a process, a file, an endpoint.

use super::TextMatch;
use ipnet::IpNet;
use jiff::civil::Time;
use pofr_core::{
    digest::Sha256,
    fact::{FactKind, TcpState, Transport},
    identity::Pid,
    raw::RawText,
};
use std::collections::BTreeSet;

/// What is to be found.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, serde::Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Subject {
    /// Processes.
    Processes,
    /// Open files.
    Files,
    /// Network endpoints.
    Endpoints,
}

impl Subject {
    /// Returns the kind of its facts.
    #[must_use]
    pub const fn kind(self) -> FactKind {
        match self {
            Self::Processes => FactKind::Process,
            Self::Files => FactKind::File,
            Self::Endpoints => FactKind::Endpoint,
        }
    }
}

/// Conditions, all of which must hold; a list or set holds where one of its members does, and asks nothing where it is empty.
///
/// Conditions on a process hold for a file or an endpoint where they hold for its holder. Conditions on a file
/// hold for no process or endpoint, those on an endpoint for no process or file.
#[derive(Clone, Debug, Default)]
pub struct Filter {
    /// The user of the process, real or effective: by a name that the client's own accounts had for the id at that time, or by
    /// the id.
    pub users: Vec<RawText>,
    /// The user who logged in, whatever the process became since (the audit login uid); as `users`.
    pub login_users: Vec<RawText>,
    /// The process's name (comm, at most 15 bytes).
    pub command: Option<TextMatch>,
    /// The argument vector, with a space for each NUL between arguments.
    pub arguments: Option<TextMatch>,
    /// The executable's path.
    pub exe: Option<TextMatch>,
    /// The executable's SHA-256.
    pub exe_sha256: Option<Sha256>,
    /// The process's id.
    pub pids: BTreeSet<Pid>,
    /// Its parent's id.
    pub ppids: BTreeSet<Pid>,
    /// The systemd unit that the process belongs to, by its control group.
    pub unit: Option<TextMatch>,
    /// The container that the process belongs to, by its control group.
    pub container: Option<TextMatch>,
    /// The file's path.
    pub path: Option<TextMatch>,
    /// A directory: the file is this path or lies below it.
    pub under: Option<RawText>,
    /// The file is open for writing.
    pub written: bool,
    /// The file had been unlinked; of a process: its executable had.
    pub deleted: bool,
    /// The endpoint's port, at either end.
    pub ports: BTreeSet<u16>,
    /// The endpoint listens: TCP in LISTEN, UDP without a peer.
    pub listening: bool,
    /// Who connected: the remote side of an inbound connection, the local side of an outbound one.
    pub from_ip: Vec<IpNet>,
    /// To whom: the local side of an inbound connection, the remote side of an outbound one.
    pub to_ip: Vec<IpNet>,
    /// An address at either end. An IPv4-mapped IPv6 address counts as its IPv4 address.
    pub ip: Vec<IpNet>,
    /// TCP or UDP.
    pub transport: Option<Transport>,
    /// The endpoint's state.
    pub states: Vec<TcpState>,
    /// The peer's country: two letters or a name as enrichment wrote it, upper and lower case alike.
    pub countries: Vec<String>,
    /// A name of either end, as enrichment wrote it.
    pub names: Option<TextMatch>,
    /// It held at some time of day between these two in the client's zone, the second excluded; the second may lie before the
    /// first: then over midnight.
    pub daily: Option<(Time, Time)>,
}

impl Filter {
    /// Tells whether anything is asked of a process.
    #[must_use]
    pub fn asks_of_processes(&self) -> bool {
        !self.pids.is_empty() || self.asks_more_than_pids()
    }

    /// Tells whether anything is asked of a process but its id, which a file and an endpoint have themselves.
    pub(super) fn asks_more_than_pids(&self) -> bool {
        !(self.users.is_empty()
            && self.login_users.is_empty()
            && self.command.is_none()
            && self.arguments.is_none()
            && self.exe.is_none()
            && self.exe_sha256.is_none()
            && self.ppids.is_empty()
            && self.unit.is_none()
            && self.container.is_none())
    }
}
