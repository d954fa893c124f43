//! Messages to facts.

use crate::{
    digest::{KeyDigest, Sha256},
    fact::{
        Custom, Cut, Device, DeviceKey, Endpoint, EndpointDetails, EndpointKey, Fact, FileDetails, FileKey,
        FileMode, Files, Group, Host, Ids, Interface, Module, Namespaces, OpenFile, Process, ProcessDetails,
        ProcessKey, ProcessMarks, Route, SocketId, TcpState, Totals, Transport, User,
    },
    identity::{BootId, Entity, Pid, StartTicks},
    raw::{RawText, Reading},
    source::Source,
    time::WallMicros,
    wire::v2::{
        fields::{self, Fields},
        message::{
            AccountMessage, CustomMessage, EndpointMessage, EntityMessage, InterfaceMessage, MarksMessage,
            ModuleMessage, ProcessMessage, ReadingMessage, RouteMessage, TextsMessage,
        },
    },
};
use prost::bytes::Bytes;
use std::net::{IpAddr, SocketAddr, SocketAddrV6};

/// Why a message is no fact.
type Bad = String;

/// Reads a fact's message.
pub(in crate::wire::v2) fn read(message: &[u8], boot: BootId) -> Result<Fact, Bad> {
    let (tag, bytes) = fields::kind(message, 1..=11, "fact")?;
    Ok(match tag {
        1 => Fact::from(decode_process(parse(bytes)?, boot)?),
        2 => Fact::File(read_file(bytes, boot)?),
        3 => Fact::from(decode_endpoint(parse(bytes)?, boot)?),
        4 => {
            let m: TextsMessage = parse(bytes)?;
            let [hostname, os, os_version, kernel, architecture, vendor, model, timezone] =
                texts("host", m.texts)?;
            Fact::Host(Host { hostname, os, os_version, kernel, architecture, vendor, model, timezone })
        }
        5 => {
            let m: AccountMessage = parse(bytes)?;
            let [gecos, home, shell] = texts("user", m.texts)?;
            Fact::User(User { name: text(m.name), uid: m.uid, gid: m.gid, gecos, home, shell })
        }
        6 => {
            let m: AccountMessage = parse(bytes)?;
            let [members] = texts("group", m.texts)?;
            Fact::Group(Group { name: text(m.name), gid: m.gid, members })
        }
        7 => {
            let m: InterfaceMessage = parse(bytes)?;
            Fact::Interface(Interface {
                name: text(m.name),
                mac: text(m.mac),
                address: optional_ip(&m.address)?,
                prefix: prefix(m.prefix)?,
                up: m.up,
            })
        }
        8 => {
            let m: RouteMessage = parse(bytes)?;
            Fact::Route(Route {
                destination: ip(&m.destination)?,
                prefix: prefix(m.prefix)?,
                gateway: optional_ip(&m.gateway)?,
                interface: text(m.interface),
                metric: m.metric,
            })
        }
        9 => {
            let mut m: TextsMessage = parse(bytes)?;
            let users = if m.texts.len() == 7 { m.texts.pop().map(text) } else { None };
            let [bus, address, id, vendor, product, serial] = texts("device", m.texts)?;
            Fact::Device(Device { key: DeviceKey { bus, address, id, vendor, product, serial }, users })
        }
        10 => {
            let m: ModuleMessage = parse(bytes)?;
            Fact::Module(Module { name: text(m.name), size: m.size, taint: text(m.taint) })
        }
        _ => Fact::Custom(decode_custom(parse(bytes)?)?),
    })
}

fn parse<M: prost::Message + Default>(message: &[u8]) -> Result<M, Bad> {
    M::decode(message).map_err(|e| e.to_string())
}

fn decode_custom(m: CustomMessage) -> Result<Custom, Bad> {
    if m.names.len() != m.values.len() {
        return Err(format!("custom fact with {} names for {} values", m.names.len(), m.values.len()));
    }
    let source = Source::parse(&m.source)
        .filter(|s| matches!(s, Source::Custom(_)))
        .ok_or_else(|| format!("{:?} is no name for a custom source", m.source))?;
    let attributes = m.names.into_iter().zip(m.values.into_iter().map(text)).collect();
    Ok(Custom { source, name: text(m.name), attributes })
}

fn read_file(message: &[u8], boot: BootId) -> Result<OpenFile, Bad> {
    let (mut entity, mut fd, mut path, mut mode, mut deleted) = (None, 0, &[][..], 0, false);
    for field in Fields::of(message) {
        let (tag, value) = field?;
        match tag {
            1 => entity = Some(read_entity(value.bytes()?, boot)?),
            2 => fd = value.u32()?,
            3 => path = value.bytes()?,
            4 => mode = value.u32()?,
            5 => deleted = value.flag()?,
            _ => {}
        }
    }
    Ok(OpenFile {
        key: FileKey {
            entity: entity.ok_or(NOBODY)?,
            fd,
            path: RawText::from(path),
            mode: match mode {
                0 => FileMode::Read,
                1 => FileMode::Write,
                2 => FileMode::ReadWrite,
                3 => FileMode::Neither,
                4 => FileMode::Unknown,
                other => return Err(format!("file mode {other}")),
            },
            deleted,
        },
        details: FileDetails::default(),
    })
}

fn decode_process(m: ProcessMessage, boot: BootId) -> Result<Process, Bad> {
    let namespaces = match (m.namespaces.as_slice(), m.namespaces_why) {
        (&[cgroup, ipc, mnt, net, pid, time, user, uts], 0) => {
            Reading::Known(Namespaces { cgroup, ipc, mnt, net, pid, time, user, uts })
        }
        ([], why) => absence(why)?,
        (other, _) => return Err(format!("{} namespaces", other.len())),
    };
    let totals = match m.totals.as_slice() {
        [] => None,
        &[user_micros, system_micros, read_bytes, write_bytes] => {
            Some(Totals { user_micros, system_micros, read_bytes, write_bytes })
        }
        other => return Err(format!("{} totals", other.len())),
    };
    let entity = decode_entity(m.entity, boot)?;
    let (marks, files_unreadable) = decode_marks(m.marks, &entity, boot)?;
    Ok(Process {
        key: ProcessKey {
            entity,
            ppid: Pid(m.ppid),
            ids: Ids::of([m.ruid, m.euid, m.rgid, m.egid]),
            comm: text(m.comm),
            arguments: m.arguments.map(text),
            exe: decode_reading(m.exe)?,
            cwd: decode_reading(m.cwd)?,
            session: m.session,
            tty: m.tty,
            login_uid: m.login_uid,
            cgroup: decode_reading(m.cgroup)?,
            namespaces,
            zombie: m.zombie,
            files: match (m.files, files_unreadable) {
                (0, false) => Files::Read,
                (1, false) => Files::Denied,
                (2, false) => Files::Unknown,
                (2, true) => Files::Unreadable,
                (0 | 1, true) => return Err("a descriptor table that was read and did not answer".into()),
                (other, _) => return Err(format!("descriptor table state {other}")),
            },
            marks,
        },
        details: ProcessDetails {
            arguments: m.arguments_later.map(text),
            started: m.started.map(WallMicros),
            exit_code: m.exit_code,
            totals,
            exe_sha256: m.exe_sha256.map(|bytes| sha256("an executable", &bytes)).transpose()?,
            with_files: None,
        },
    })
}

/// Reads the marks, and whether the descriptor table did not answer.
fn decode_marks(
    message: Option<Box<MarksMessage>>,
    entity: &Entity,
    boot: BootId,
) -> Result<(ProcessMarks, bool), Bad> {
    let Some(m) = message else { return Ok(Default::default()) };
    let hash = match &*m.arguments_sha256 {
        [] => None,
        bytes => Some(sha256("arguments", bytes)?),
    };
    let arguments_cut = match (m.arguments_bytes, hash) {
        (Some(bytes), sha256) => Some(Cut { bytes, sha256 }),
        (None, None) => None,
        (None, Some(_)) => return Err("arguments that are not cut and have a sha256".into()),
    };
    let marks = ProcessMarks {
        unreadable: m.unreadable,
        arguments_cut,
        exe_named_deleted: m.exe_named_deleted,
        thread_of: m.thread_of.map(Pid),
        files_of: m.files_of.map(|holder| decode_entity(Some(holder), boot)).transpose()?,
    };
    if let Some(holder) = &marks.files_of
        && (holder.start().is_none() || entity.start().is_none())
    {
        return Err("a descriptor table shared by processes without start times".into());
    }
    Ok((marks, m.files_unreadable))
}

fn sha256(what: &str, bytes: &[u8]) -> Result<Sha256, Bad> {
    bytes.try_into().map(Sha256).map_err(|_| format!("a sha256 of {what} that is not 32 bytes"))
}

fn decode_endpoint(m: EndpointMessage, boot: BootId) -> Result<Endpoint, Bad> {
    let at = |ip_bytes: &[u8], port: u32, scope: u32| -> Result<SocketAddr, Bad> {
        let port = u16::try_from(port).map_err(|_| format!("port {port}"))?;
        Ok(match ip(ip_bytes)? {
            IpAddr::V6(ip) => SocketAddrV6::new(ip, port, 0, scope).into(),
            IpAddr::V4(_) if scope != 0 => return Err(format!("scope id {scope} of an IPv4 address")),
            IpAddr::V4(ip) => (ip, port).into(),
        })
    };
    Ok(Endpoint {
        key: EndpointKey {
            transport: match m.transport {
                0 => Transport::Tcp,
                1 => Transport::Udp,
                other => return Err(format!("transport {other}")),
            },
            local: at(&m.local, m.local_port, m.local_scope)?,
            remote: at(&m.remote, m.remote_port, m.remote_scope)?,
            state: u8::try_from(m.state)
                .ok()
                .and_then(TcpState::from_kernel)
                .ok_or_else(|| format!("socket state {}", m.state))?,
            socket: match (m.cookie, m.key_inode) {
                (Some(n), None) => SocketId::Cookie(n),
                (None, Some(n)) => SocketId::Inode(n),
                (None, None) => SocketId::None,
                (Some(_), Some(_)) => return Err("a socket with both cookie and inode in its key".into()),
            },
            netns: m.netns,
            holder: m.holder.map(|e| decode_entity(Some(e), boot)).transpose()?,
        },
        details: EndpointDetails {
            uid: m.uid.filter(|uid| *uid != Ids::UNKNOWN),
            inode: m.inode,
            ..EndpointDetails::default()
        },
    })
}

const NOBODY: &str = "no process is named";

fn decode_entity(message: Option<EntityMessage>, boot: BootId) -> Result<Entity, Bad> {
    let m = message.ok_or(NOBODY)?;
    entity(m.pid, m.start, &m.tag, boot)
}

fn read_entity(message: &[u8], boot: BootId) -> Result<Entity, Bad> {
    let (mut pid, mut start, mut tag) = (0, 0, &[][..]);
    for field in Fields::of(message) {
        match field? {
            (1, value) => pid = value.u32()?,
            (2, value) => start = value.number()?,
            (3, value) => tag = value.bytes()?,
            _ => {}
        }
    }
    entity(pid, start, tag, boot)
}

fn entity(pid: u32, start: u64, tag: &[u8], boot: BootId) -> Result<Entity, Bad> {
    if tag.is_empty() {
        return Ok(Entity::Started { boot, pid: Pid(pid), start: StartTicks(start) });
    }
    let tag = tag.try_into().map_err(|_| "a process's tag that is not 20 bytes")?;
    Ok(Entity::Described { pid: Pid(pid), tag: KeyDigest(tag) })
}

fn decode_reading(message: Option<ReadingMessage>) -> Result<Reading<RawText>, Bad> {
    match message {
        None => Ok(Reading::Unknown),
        Some(ReadingMessage { bytes, why: 0 }) => Ok(Reading::Known(text(bytes))),
        Some(ReadingMessage { why, .. }) => absence(why),
    }
}

fn absence<T>(why: u32) -> Result<Reading<T>, Bad> {
    match why {
        1 => Ok(Reading::Absent),
        2 => Ok(Reading::Denied),
        3 => Ok(Reading::Unknown),
        other => Err(format!("reason {other} for a missing value")),
    }
}

fn text(bytes: Bytes) -> RawText {
    RawText::from(&*bytes)
}

fn texts<const N: usize>(what: &str, texts: Vec<Bytes>) -> Result<[RawText; N], Bad> {
    let found = texts.len();
    let texts: Vec<RawText> = texts.into_iter().map(text).collect();
    texts.try_into().map_err(|_| format!("{what} with {found} texts instead of {N}"))
}

fn ip(bytes: &[u8]) -> Result<IpAddr, Bad> {
    if let Ok(four) = <[u8; 4]>::try_from(bytes) {
        Ok(four.into())
    } else if let Ok(sixteen) = <[u8; 16]>::try_from(bytes) {
        Ok(sixteen.into())
    } else {
        Err(format!("an address of {} bytes", bytes.len()))
    }
}

fn optional_ip(bytes: &[u8]) -> Result<Option<IpAddr>, Bad> {
    if bytes.is_empty() { Ok(None) } else { ip(bytes).map(Some) }
}

fn prefix(length: u32) -> Result<u8, Bad> {
    u8::try_from(length).ok().filter(|n| *n <= 128).ok_or_else(|| format!("prefix length {length}"))
}
