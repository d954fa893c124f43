//! Facts to messages and back. Details that the server works out itself do not travel.

use super::{
    fields::{self, Fields},
    message::{
        AccountMessage, CustomMessage, EndpointMessage, EntityMessage, FactMessage, FactOneof, FileMessage,
        InterfaceMessage, ModuleMessage, ProcessMessage, ReadingMessage, RouteMessage, TextsMessage,
    },
};
use crate::{
    digest::{KeyDigest, Sha256},
    fact::{
        Custom, Device, DeviceKey, Endpoint, EndpointDetails, EndpointKey, Fact, FileDetails, FileKey,
        FileMode, Files, Group, Host, Ids, Interface, Module, Namespaces, OpenFile, Process, ProcessDetails,
        ProcessKey, Route, SocketId, TcpState, Totals, Transport, User,
    },
    identity::{BootId, Entity, Pid, StartTicks},
    raw::{RawText, Reading},
    source::Source,
    time::WallMicros,
};
use prost::{Message as _, bytes::Bytes};
use std::net::{IpAddr, SocketAddr};

/// Why a message is no fact.
type Bad = String;

/// Makes a fact's message.
pub(super) fn encode(fact: &Fact) -> Vec<u8> {
    let kind = match fact {
        Fact::Process(process) => FactOneof::Process(Box::new(encode_process(process))),
        Fact::File(file) => FactOneof::File(FileMessage {
            entity: Some(encode_entity(&file.key.entity)),
            fd: file.key.fd,
            path: bytes(&file.key.path),
            mode: file.key.mode as u32,
            deleted: file.key.deleted,
        }),
        Fact::Endpoint(endpoint) => FactOneof::Endpoint(Box::new(encode_endpoint(endpoint))),
        Fact::Host(h) => FactOneof::Host(TextsMessage {
            texts: [
                &h.hostname,
                &h.os,
                &h.os_version,
                &h.kernel,
                &h.architecture,
                &h.vendor,
                &h.model,
                &h.timezone,
            ]
            .map(bytes)
            .into(),
        }),
        Fact::User(u) => FactOneof::User(AccountMessage {
            name: bytes(&u.name),
            uid: u.uid,
            gid: u.gid,
            texts: [&u.gecos, &u.home, &u.shell].map(bytes).into(),
        }),
        Fact::Group(g) => FactOneof::Group(AccountMessage {
            name: bytes(&g.name),
            uid: 0,
            gid: g.gid,
            texts: vec![bytes(&g.members)],
        }),
        Fact::Interface(i) => FactOneof::Interface(InterfaceMessage {
            name: bytes(&i.name),
            mac: bytes(&i.mac),
            address: i.address.map(address).unwrap_or_default(),
            prefix: i.prefix.into(),
            up: i.up,
        }),
        Fact::Route(r) => FactOneof::Route(RouteMessage {
            destination: address(r.destination),
            prefix: r.prefix.into(),
            gateway: r.gateway.map(address).unwrap_or_default(),
            interface: bytes(&r.interface),
            metric: r.metric,
        }),
        Fact::Device(Device { key: d, users }) => FactOneof::Device(TextsMessage {
            texts: [&d.bus, &d.address, &d.id, &d.vendor, &d.product, &d.serial]
                .into_iter()
                .chain(users)
                .map(bytes)
                .collect(),
        }),
        Fact::Module(m) => {
            FactOneof::Module(ModuleMessage { name: bytes(&m.name), size: m.size, taint: bytes(&m.taint) })
        }
        Fact::Custom(c) => FactOneof::Custom(CustomMessage {
            source: c.source.name().to_owned(),
            name: bytes(&c.name),
            names: c.attributes.keys().cloned().collect(),
            values: c.attributes.values().map(bytes).collect(),
        }),
    };
    FactMessage { kind: Some(kind) }.encode_to_vec()
}

/// Reads a fact's message.
pub(super) fn read(message: &[u8], boot: BootId) -> Result<Fact, Bad> {
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

fn encode_process(process: &Process) -> ProcessMessage {
    let Process { key, details } = process;
    let (namespaces, namespaces_why) = match &key.namespaces {
        Reading::Known(n) => (vec![n.cgroup, n.ipc, n.mnt, n.net, n.pid, n.time, n.user, n.uts], 0),
        other => (Vec::new(), why(other)),
    };
    ProcessMessage {
        entity: Some(encode_entity(&key.entity)),
        ppid: key.ppid.0,
        ruid: key.ids.ruid,
        euid: key.ids.euid,
        rgid: key.ids.rgid,
        egid: key.ids.egid,
        comm: bytes(&key.comm),
        arguments: key.arguments.as_ref().map(bytes),
        exe: Some(encode_reading(&key.exe)),
        cwd: Some(encode_reading(&key.cwd)),
        session: key.session,
        tty: key.tty,
        login_uid: key.login_uid,
        cgroup: Some(encode_reading(&key.cgroup)),
        namespaces,
        namespaces_why,
        zombie: key.zombie,
        files: key.files as u32,
        arguments_later: details.arguments.as_ref().map(bytes),
        started: details.started.map(|t| t.0),
        exit_code: details.exit_code,
        totals: details
            .totals
            .map_or_else(Vec::new, |t| vec![t.user_micros, t.system_micros, t.read_bytes, t.write_bytes]),
        exe_sha256: details.exe_sha256.map(|d| Bytes::copy_from_slice(&d.0)),
    }
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
    Ok(Process {
        key: ProcessKey {
            entity: decode_entity(m.entity, boot)?,
            ppid: Pid(m.ppid),
            ids: Ids { ruid: m.ruid, euid: m.euid, rgid: m.rgid, egid: m.egid },
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
            files: match m.files {
                0 => Files::Read,
                1 => Files::Denied,
                2 => Files::Unknown,
                other => return Err(format!("descriptor table state {other}")),
            },
        },
        details: ProcessDetails {
            arguments: m.arguments_later.map(text),
            started: m.started.map(WallMicros),
            exit_code: m.exit_code,
            totals,
            exe_sha256: m
                .exe_sha256
                .map(|b| {
                    (&*b).try_into().map(Sha256).map_err(|_| "an executable's sha256 that is not 32 bytes")
                })
                .transpose()?,
            with_files: None,
        },
    })
}

fn encode_endpoint(endpoint: &Endpoint) -> EndpointMessage {
    let Endpoint { key, details } = endpoint;
    EndpointMessage {
        transport: key.transport as u32,
        local: address(key.local.ip()),
        local_port: key.local.port().into(),
        remote: address(key.remote.ip()),
        remote_port: key.remote.port().into(),
        state: key.state as u32,
        cookie: if let SocketId::Cookie(n) = key.socket { Some(n) } else { None },
        key_inode: if let SocketId::Inode(n) = key.socket { Some(n) } else { None },
        netns: key.netns,
        holder: key.holder.as_ref().map(encode_entity),
        uid: details.uid,
        inode: details.inode,
    }
}

fn decode_endpoint(m: EndpointMessage, boot: BootId) -> Result<Endpoint, Bad> {
    let at = |ip_bytes: &[u8], port: u32| -> Result<SocketAddr, Bad> {
        Ok(SocketAddr::new(ip(ip_bytes)?, u16::try_from(port).map_err(|_| format!("port {port}"))?))
    };
    Ok(Endpoint {
        key: EndpointKey {
            transport: match m.transport {
                0 => Transport::Tcp,
                1 => Transport::Udp,
                other => return Err(format!("transport {other}")),
            },
            local: at(&m.local, m.local_port)?,
            remote: at(&m.remote, m.remote_port)?,
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
        details: EndpointDetails { uid: m.uid, inode: m.inode, ..EndpointDetails::default() },
    })
}

fn encode_entity(entity: &Entity) -> EntityMessage {
    match entity {
        Entity::Started { pid, start, .. } => EntityMessage { pid: pid.0, start: start.0, tag: Bytes::new() },
        Entity::Described { pid, tag } => {
            EntityMessage { pid: pid.0, start: 0, tag: Bytes::copy_from_slice(&tag.0) }
        }
    }
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

fn encode_reading(reading: &Reading<RawText>) -> ReadingMessage {
    match reading {
        Reading::Known(text) => ReadingMessage { bytes: bytes(text), why: 0 },
        other => ReadingMessage { bytes: Bytes::new(), why: why(other) },
    }
}

fn decode_reading(message: Option<ReadingMessage>) -> Result<Reading<RawText>, Bad> {
    match message {
        None => Ok(Reading::Unknown),
        Some(ReadingMessage { bytes, why: 0 }) => Ok(Reading::Known(text(bytes))),
        Some(ReadingMessage { why, .. }) => absence(why),
    }
}

const fn why<T>(reading: &Reading<T>) -> u32 {
    match reading {
        Reading::Known(_) => 0,
        Reading::Absent => 1,
        Reading::Denied => 2,
        Reading::Unknown => 3,
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

fn bytes(text: &RawText) -> Bytes {
    Bytes::copy_from_slice(text.as_bytes())
}

fn text(bytes: Bytes) -> RawText {
    RawText::from(&*bytes)
}

fn texts<const N: usize>(what: &str, texts: Vec<Bytes>) -> Result<[RawText; N], Bad> {
    let found = texts.len();
    let texts: Vec<RawText> = texts.into_iter().map(text).collect();
    texts.try_into().map_err(|_| format!("{what} with {found} texts instead of {N}"))
}

fn address(ip: IpAddr) -> Bytes {
    match ip {
        IpAddr::V4(ip) => Bytes::copy_from_slice(&ip.octets()),
        IpAddr::V6(ip) => Bytes::copy_from_slice(&ip.octets()),
    }
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
