//! Any fact at all, for property tests.

use pofr_core::{
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
};
use proptest::{option, prelude::*};
use std::net::{IpAddr, SocketAddr, SocketAddrV6};

/// Bytes with all that hurts: NUL, quotes, newlines, invalid UTF-8, nothing, much.
pub(super) fn raw() -> BoxedStrategy<RawText> {
    let hostile = prop::sample::select(vec![
        b"".to_vec(),
        b"\0".to_vec(),
        b"it's; DROP TABLE x--".to_vec(),
        b"a\0b c\0".to_vec(),
        b"\xff\xfe\x00\xc3\x28".to_vec(),
        "naïve \u{1F600} \u{202e}".as_bytes().to_vec(),
        b"100%_\\`\"'".to_vec(),
        b"\n\r\t ".to_vec(),
        vec![b'x'; 100_000],
    ]);
    prop_oneof![
        3 => prop::collection::vec(any::<u8>(), 0..40),
        3 => "[ -~]{0,20}".prop_map(String::into_bytes),
        1 => hostile,
    ]
    .prop_map(RawText::from)
    .boxed()
}

fn digest() -> impl Strategy<Value = KeyDigest> {
    any::<[u8; 20]>().prop_map(KeyDigest)
}

fn entity() -> impl Strategy<Value = Entity> {
    let boot = prop_oneof![Just(BootId::UNKNOWN), any::<[u8; 16]>().prop_map(BootId)];
    prop_oneof![
        (boot, any::<u32>(), any::<u64>()).prop_map(|(boot, pid, start)| Entity::Started {
            boot,
            pid: Pid(pid),
            start: StartTicks(start)
        }),
        (any::<u32>(), digest()).prop_map(|(pid, tag)| Entity::Described { pid: Pid(pid), tag }),
    ]
}

fn reading<T: std::fmt::Debug + Clone>(value: impl Strategy<Value = T>) -> impl Strategy<Value = Reading<T>> {
    prop_oneof![
        4 => value.prop_map(Reading::Known),
        1 => Just(Reading::Absent),
        1 => Just(Reading::Denied),
        1 => Just(Reading::Unknown),
    ]
}

fn ids() -> impl Strategy<Value = Ids> {
    let id = || option::weighted(0.8, 0..Ids::UNKNOWN);
    (id(), id(), id(), id()).prop_map(|(ruid, euid, rgid, egid)| Ids { ruid, euid, rgid, egid })
}

/// Marks, and with whom the files are told where the process has a start time.
fn marks() -> impl Strategy<Value = (ProcessMarks, Option<(Pid, StartTicks)>)> {
    let cut = (any::<u64>(), option::of(any::<[u8; 32]>()))
        .prop_map(|(bytes, sha256)| Cut { bytes, sha256: sha256.map(Sha256) });
    let table = option::of((any::<u32>().prop_map(Pid), any::<u64>().prop_map(StartTicks)));
    (any::<bool>(), option::of(cut), any::<bool>(), option::of(any::<u32>().prop_map(Pid)), table).prop_map(
        |(unreadable, arguments_cut, exe_named_deleted, thread_of, table)| {
            let files_of = None;
            (ProcessMarks { unreadable, arguments_cut, exe_named_deleted, thread_of, files_of }, table)
        },
    )
}

fn namespaces() -> impl Strategy<Value = Namespaces> {
    any::<[u32; 8]>().prop_map(|[cgroup, ipc, mnt, net, pid, time, user, uts]| Namespaces {
        cgroup,
        ipc,
        mnt,
        net,
        pid,
        time,
        user,
        uts,
    })
}

fn process() -> impl Strategy<Value = Fact> {
    let key = (
        (entity(), any::<u32>(), ids(), raw(), option::of(raw()), reading(raw()), reading(raw())),
        (any::<u32>(), any::<u32>(), option::of(any::<u32>()), reading(raw()), reading(namespaces())),
        any::<bool>(),
        prop::sample::select(vec![Files::Read, Files::Denied, Files::Unknown, Files::Unreadable]),
        prop_oneof![Just((ProcessMarks::default(), None)), marks()],
    );
    let totals = any::<[u64; 4]>().prop_map(|[user_micros, system_micros, read_bytes, write_bytes]| Totals {
        user_micros,
        system_micros,
        read_bytes,
        write_bytes,
    });
    let details = (
        option::of(raw()),
        option::of(any::<i64>()),
        option::of(any::<i32>()),
        option::of(totals),
        option::of(any::<[u8; 32]>()),
        option::of(digest()),
    );
    (key, details).prop_map(|((a, b, zombie, files, (mut marks, table)), d)| {
        let (entity, ppid, ids, comm, arguments, exe, cwd) = a;
        let (session, tty, login_uid, cgroup, namespaces) = b;
        if let Entity::Started { boot, .. } = entity {
            marks.files_of = table.map(|(pid, start)| Entity::Started { boot, pid, start });
        }
        // The details hold the vector only where the key lacks it.
        let late = if arguments.is_none() { d.0 } else { None };
        Fact::from(Process {
            key: ProcessKey {
                entity,
                ppid: Pid(ppid),
                ids,
                comm,
                arguments,
                exe,
                cwd,
                session,
                tty,
                login_uid,
                cgroup,
                namespaces,
                zombie,
                files,
                marks,
            },
            details: ProcessDetails {
                arguments: late,
                started: d.1.map(WallMicros),
                exit_code: d.2,
                totals: d.3,
                exe_sha256: d.4.map(Sha256),
                with_files: d.5,
            },
        })
    })
}

fn file() -> impl Strategy<Value = Fact> {
    let modes =
        vec![FileMode::Read, FileMode::Write, FileMode::ReadWrite, FileMode::Neither, FileMode::Unknown];
    let key = (entity(), any::<u32>(), raw(), prop::sample::select(modes), any::<bool>());
    let known = |ids: Option<Ids>| ids.filter(Ids::are_known);
    let details = (option::of(any::<u32>()), option::of(ids()).prop_map(known), option::of(raw()));
    (key, details).prop_map(|((entity, fd, path, mode, deleted), (ppid, ids, comm))| {
        Fact::File(OpenFile {
            key: FileKey { entity, fd, path, mode, deleted },
            details: FileDetails { ppid: ppid.map(Pid), ids, comm },
        })
    })
}

fn address() -> impl Strategy<Value = SocketAddr> {
    prop_oneof![
        (any::<[u8; 4]>(), any::<u16>()).prop_map(|(ip, port)| SocketAddr::new(IpAddr::from(ip), port)),
        (any::<[u8; 16]>(), any::<u16>()).prop_map(|(ip, port)| SocketAddr::new(IpAddr::from(ip), port)),
        (any::<[u8; 4]>(), any::<u16>(), any::<u32>(), any::<u32>()).prop_map(|(ip, port, flow, scope)| {
            let mapped = std::net::Ipv4Addr::from(ip).to_ipv6_mapped();
            SocketAddr::V6(SocketAddrV6::new(mapped, port, flow, scope))
        }),
    ]
}

fn endpoint() -> impl Strategy<Value = Fact> {
    let socket = prop_oneof![
        any::<u64>().prop_map(SocketId::Cookie),
        any::<u64>().prop_map(SocketId::Inode),
        Just(SocketId::None)
    ];
    let key = (
        prop::sample::select(vec![Transport::Tcp, Transport::Udp]),
        address(),
        address(),
        (1u8..=13).prop_map(|n| TcpState::from_kernel(n).unwrap()),
        socket,
        option::of(any::<u32>()),
        option::of(entity()),
    );
    let name = || option::of("[ -~]{0,30}".prop_map(|name| RawText::from(name.as_str())));
    let place = || option::of("\\PC{0,8}");
    let details = (option::of(any::<u32>()), option::of(any::<u64>()), name(), name(), place(), place());
    (key, details).prop_map(|(key, (uid, inode, local_name, remote_name, country, city))| {
        let (transport, local, remote, state, socket, netns, holder) = key;
        Fact::from(Endpoint {
            key: EndpointKey { transport, local, remote, state, socket, netns, holder },
            details: EndpointDetails { uid, inode, local_name, remote_name, country, city },
        })
    })
}

fn ip() -> impl Strategy<Value = IpAddr> {
    address().prop_map(|a| a.ip())
}

fn others() -> impl Strategy<Value = Fact> {
    let source = "[a-z0-9._-]{1,64}".prop_filter_map("a custom source", |name| {
        Source::parse(&name).filter(|s| matches!(s, Source::Custom(_)))
    });
    prop_oneof![
        prop::collection::vec(raw(), 8).prop_map(|t| Fact::Host(Host {
            hostname: t[0].clone(),
            os: t[1].clone(),
            os_version: t[2].clone(),
            kernel: t[3].clone(),
            architecture: t[4].clone(),
            vendor: t[5].clone(),
            model: t[6].clone(),
            timezone: t[7].clone(),
        })),
        (prop::collection::vec(raw(), 4), any::<u32>(), any::<u32>()).prop_map(|(t, uid, gid)| Fact::User(
            User {
                name: t[0].clone(),
                uid,
                gid,
                gecos: t[1].clone(),
                home: t[2].clone(),
                shell: t[3].clone(),
            }
        )),
        (raw(), any::<u32>(), raw()).prop_map(|(name, gid, members)| Fact::Group(Group {
            name,
            gid,
            members
        })),
        (raw(), raw(), option::of(ip()), any::<u8>(), any::<bool>()).prop_map(
            |(name, mac, address, prefix, up)| Fact::Interface(Interface { name, mac, address, prefix, up })
        ),
        (ip(), any::<u8>(), option::of(ip()), raw(), any::<u32>()).prop_map(
            |(destination, prefix, gateway, interface, metric)| Fact::Route(Route {
                destination,
                prefix,
                gateway,
                interface,
                metric
            })
        ),
        (prop::collection::vec(raw(), 6), option::of(raw())).prop_map(|(t, users)| Fact::Device(Device {
            key: DeviceKey {
                bus: t[0].clone(),
                address: t[1].clone(),
                id: t[2].clone(),
                vendor: t[3].clone(),
                product: t[4].clone(),
                serial: t[5].clone(),
            },
            users,
        })),
        (raw(), any::<u64>(), raw()).prop_map(|(name, size, taint)| Fact::Module(Module {
            name,
            size,
            taint
        })),
        (source, raw(), prop::collection::btree_map(any::<String>(), raw(), 0..4))
            .prop_map(|(source, name, attributes)| Fact::Custom(Custom { source, name, attributes })),
    ]
}

/// Any fact.
pub(super) fn any_fact() -> BoxedStrategy<Fact> {
    // Boxed: a tree of all kinds by value is too large for a test's stack.
    prop_oneof![3 => process().boxed(), 2 => file().boxed(), 2 => endpoint().boxed(), 5 => others().boxed()]
        .boxed()
}
