//! Facts to messages.

use crate::{
    fact::{Device, Endpoint, Fact, Files, Process, ProcessKey, ProcessMarks, SocketId, scope},
    identity::Entity,
    raw::{RawText, Reading},
    wire::v2::message::{
        AccountMessage, CustomMessage, EndpointMessage, EntityMessage, FactMessage, FactOneof, FileMessage,
        InterfaceMessage, MarksMessage, ModuleMessage, ProcessMessage, ReadingMessage, RouteMessage,
        TextsMessage,
    },
};
use prost::{Message as _, bytes::Bytes};
use std::net::IpAddr;

/// Makes a fact's message.
pub(in crate::wire::v2) fn encode(fact: &Fact) -> Vec<u8> {
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

fn encode_process(process: &Process) -> ProcessMessage {
    let Process { key, details } = process;
    let [ruid, euid, rgid, egid] = key.ids.numbers();
    let (namespaces, namespaces_why) = match &key.namespaces {
        Reading::Known(n) => (vec![n.cgroup, n.ipc, n.mnt, n.net, n.pid, n.time, n.user, n.uts], 0),
        other => (Vec::new(), why(other)),
    };
    ProcessMessage {
        entity: Some(encode_entity(&key.entity)),
        ppid: key.ppid.0,
        ruid,
        euid,
        rgid,
        egid,
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
        files: match key.files {
            Files::Read => 0,
            Files::Denied => 1,
            Files::Unknown | Files::Unreadable => 2,
        },
        arguments_later: details.arguments.as_ref().map(bytes),
        started: details.started.map(|t| t.0),
        exit_code: details.exit_code,
        totals: details
            .totals
            .map_or_else(Vec::new, |t| vec![t.user_micros, t.system_micros, t.read_bytes, t.write_bytes]),
        exe_sha256: details.exe_sha256.map(|d| Bytes::copy_from_slice(&d.0)),
        marks: encode_marks(key).map(Box::new),
    }
}

fn encode_marks(key: &ProcessKey) -> Option<MarksMessage> {
    let files_unreadable = key.files == Files::Unreadable;
    let ProcessMarks { unreadable, arguments_cut, exe_named_deleted, thread_of, files_of } = &key.marks;
    (files_unreadable || !key.marks.is_default()).then(|| MarksMessage {
        unreadable: *unreadable,
        files_unreadable,
        arguments_bytes: arguments_cut.map(|cut| cut.bytes),
        arguments_sha256: arguments_cut
            .and_then(|cut| cut.sha256)
            .map_or_else(Bytes::new, |sha256| Bytes::copy_from_slice(&sha256.0)),
        exe_named_deleted: *exe_named_deleted,
        thread_of: thread_of.map(|pid| pid.0),
        files_of: files_of.as_ref().map(encode_entity),
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
        local_scope: scope(&key.local),
        remote_scope: scope(&key.remote),
    }
}

fn encode_entity(entity: &Entity) -> EntityMessage {
    match entity {
        Entity::Started { pid, start, .. } => EntityMessage { pid: pid.0, start: start.0, tag: Bytes::new() },
        Entity::Described { pid, tag } => {
            EntityMessage { pid: pid.0, start: 0, tag: Bytes::copy_from_slice(&tag.0) }
        }
    }
}

fn encode_reading(reading: &Reading<RawText>) -> ReadingMessage {
    match reading {
        Reading::Known(text) => ReadingMessage { bytes: bytes(text), why: 0 },
        other => ReadingMessage { bytes: Bytes::new(), why: why(other) },
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

fn bytes(text: &RawText) -> Bytes {
    Bytes::copy_from_slice(text.as_bytes())
}

fn address(ip: IpAddr) -> Bytes {
    match ip {
        IpAddr::V4(ip) => Bytes::copy_from_slice(&ip.octets()),
        IpAddr::V6(ip) => Bytes::copy_from_slice(&ip.octets()),
    }
}
