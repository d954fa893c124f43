//! What samplers and event sources might hand in: facts of every kind, of every size, in any order, of any time.

use super::recording::BOOT;
use pofr_core::{
    collector::{Extent, Notice, Observation, Reread},
    digest::{KeyDigest, Sha256},
    fact::{
        Custom, Cut, Device, DeviceKey, Endpoint, EndpointDetails, EndpointKey, Fact, FileDetails, FileKey,
        FileMode, Files, Group, Host, Ids, Interface, Module, Namespaces, OpenFile, Process, ProcessDetails,
        ProcessKey, ProcessMarks, Route, SocketId, TcpState, Totals, Transport, User,
    },
    gap::{Gap, Severity},
    identity::{Entity, Pid, StartTicks},
    raw::{RawText, Reading},
    source::Source,
    time::WallMicros,
};
use proptest::{collection::vec, prelude::*, sample::select};
use std::{collections::BTreeMap, net::SocketAddr};

/// One thing that happens to a recorder.
#[derive(Clone, Debug)]
pub(super) enum Step {
    /// A sampler answers; a stamp, where it is not the next.
    Reading { source: Source, seen: Sight, stamp: Option<WallMicros> },
    /// An event source tells.
    Notice(Box<Notice>),
    /// The recorder has something to say.
    Gap(Gap),
    /// The bundle ends.
    Bundle,
}

/// An observation that can be cloned.
#[derive(Clone, Debug)]
pub(super) struct Sight {
    pub(super) facts: Vec<Fact>,
    pub(super) extent: Extent,
}

impl From<Sight> for Observation {
    fn from(sight: Sight) -> Self {
        Self { facts: sight.facts, extent: sight.extent, ..Self::default() }
    }
}

/// A process about which little is known.
pub(super) fn process(entity: Entity, comm: RawText) -> Fact {
    Fact::from(Process {
        key: ProcessKey {
            entity,
            ppid: Pid(1),
            ids: Ids::of([0; 4]),
            comm,
            arguments: Some("a".into()),
            exe: Reading::Absent,
            cwd: Reading::Denied,
            session: 1,
            tty: 0,
            login_uid: None,
            cgroup: Reading::Unknown,
            namespaces: Reading::Absent,
            zombie: false,
            files: Files::Read,
            marks: ProcessMarks::default(),
        },
        details: ProcessDetails::default(),
    })
}

fn entity() -> BoxedStrategy<Entity> {
    prop_oneof![
        9 => (1..4u32).prop_map(|pid| Entity::Started { boot: BOOT, pid: Pid(pid), start: StartTicks(9) }),
        1 => Just(Entity::Described { pid: Pid(1), tag: KeyDigest([5; 20]) }),
    ]
    .boxed()
}

/// Texts, of which the long ones differ only where they are cut.
fn text() -> BoxedStrategy<RawText> {
    let lengths = vec![0, 1, 16, 64, 65, 255, 256, 257, 4_096, 4_097, 32_768, 32_769, 300_000];
    let weights = prop_oneof![8 => 0..6usize, 1 => 0..13usize];
    (weights, 0..3u8)
        .prop_map(move |(length, last)| {
            let mut text = vec![b'\xff'; lengths[length]];
            text.extend([b'a' + last; 1]);
            text.into()
        })
        .boxed()
}

fn reading<T: Clone + std::fmt::Debug + 'static>(
    known: impl Strategy<Value = T> + 'static,
) -> impl Strategy<Value = Reading<T>> {
    prop_oneof![
        3 => known.prop_map(Reading::Known),
        1 => prop_oneof![Just(Reading::Absent), Just(Reading::Denied), Just(Reading::Unknown)],
    ]
}

fn number() -> BoxedStrategy<u32> {
    select(vec![0, 1, 2_147_483_648, u32::MAX]).boxed()
}

/// A time, now and then one that cannot be.
pub(super) fn time() -> BoxedStrategy<WallMicros> {
    let odd = vec![i64::MIN, -315_619_200_000_000, -1, 0, 67_217_558_400_000_000, i64::MAX];
    prop_oneof![4 => 1_000_000..2_000_000i64, 1 => select(odd)].prop_map(WallMicros).boxed()
}

fn any_process() -> BoxedStrategy<Process> {
    let marks = (any::<bool>(), any::<bool>(), prop::option::of(entity()), prop::option::of(number()));
    let marks =
        (marks, prop::bool::weighted(0.1)).prop_map(|((unreadable, named, files_of, thread), cut)| {
            ProcessMarks {
                unreadable,
                arguments_cut: cut.then_some(Cut { bytes: 77, sha256: None }),
                exe_named_deleted: named,
                thread_of: thread.map(Pid),
                files_of,
            }
        });
    let marks = prop_oneof![3 => Just(ProcessMarks::default()), 1 => marks];
    let files = select(vec![Files::Read, Files::Read, Files::Denied, Files::Unknown, Files::Unreadable]);
    let ids = [number(), number(), number(), number()];
    let ids =
        ids.prop_map(|[a, b, c, d]| Ids { ruid: Some(a), euid: Some(b), rgid: None, egid: Some(c ^ d) });
    let some = (text(), prop::option::of(text()), reading(text()), reading(text()), reading(text()));
    let namespaces = reading(number().prop_map(|n| Namespaces { net: n, ..Namespaces::default() }));
    let details = (prop::option::of(text()), prop::option::of(time()), prop::option::of(any::<i32>()));
    (entity(), ids, some, namespaces, files, marks, details, prop::bool::weighted(0.1))
        .prop_map(
            |(
                entity,
                ids,
                (comm, arguments, exe, cwd, cgroup),
                namespaces,
                files,
                marks,
                details,
                zombie,
            )| Process {
                key: ProcessKey {
                    entity,
                    ppid: Pid(0),
                    ids,
                    comm,
                    arguments,
                    exe,
                    cwd,
                    session: u32::MAX,
                    tty: 0,
                    login_uid: Some(u32::MAX),
                    cgroup,
                    namespaces,
                    zombie,
                    files,
                    marks,
                },
                details: ProcessDetails {
                    arguments: details.0,
                    started: details.1,
                    exit_code: details.2,
                    totals: details.2.map(|_| Totals::default()),
                    exe_sha256: details.2.map(|_| Sha256([9; 32])),
                    with_files: None,
                },
            },
        )
        .boxed()
}

fn any_file() -> BoxedStrategy<Fact> {
    let modes =
        vec![FileMode::Read, FileMode::Write, FileMode::ReadWrite, FileMode::Neither, FileMode::Unknown];
    (entity(), prop_oneof![3 => 0..30u32, 1 => Just(FileKey::NO_FD)], text(), select(modes), any::<bool>())
        .prop_map(|(entity, fd, path, mode, deleted)| {
            let key = FileKey { entity, fd, path, mode, deleted };
            Fact::File(OpenFile {
                key,
                details: FileDetails { comm: Some("c".into()), ..FileDetails::default() },
            })
        })
        .boxed()
}

fn address() -> BoxedStrategy<SocketAddr> {
    use std::net::{Ipv6Addr, SocketAddrV6};
    prop_oneof![
        any::<[u8; 4]>().prop_map(|ip| (ip, 80).into()),
        (0..2u32, 0..2u32)
            .prop_map(|(flow, scope)| SocketAddrV6::new(Ipv6Addr::LOCALHOST, 80, flow, scope).into()),
    ]
    .boxed()
}

fn any_endpoint() -> BoxedStrategy<Endpoint> {
    let socket = prop_oneof![
        Just(SocketId::None),
        (0..3u64).prop_map(SocketId::Cookie),
        (0..3u64).prop_map(SocketId::Inode),
    ];
    let state = (1..14u8).prop_map(|n| TcpState::from_kernel(n).unwrap());
    (address(), address(), state, socket, prop::option::of(number()), prop::option::of(entity()))
        .prop_map(|(local, remote, state, socket, netns, holder)| Endpoint {
            key: EndpointKey { transport: Transport::Udp, local, remote, state, socket, netns, holder },
            details: EndpointDetails {
                uid: netns,
                inode: Some(u64::MAX),
                local_name: Some("is on no wire".into()),
                ..EndpointDetails::default()
            },
        })
        .boxed()
}

fn any_custom() -> BoxedStrategy<Fact> {
    let sources = ["x", "y", "No Name", "process"].map(|name| Source::Custom(name.into()));
    let sources =
        sources.into_iter().chain([Source::Process, Source::Custom("x".into())]).collect::<Vec<_>>();
    let many = prop_oneof![9 => 0..5usize, 1 => 200..400usize];
    (select(sources), text(), many, "[é]{0,200}", text())
        .prop_map(|(source, name, many, long, value)| {
            let attributes: BTreeMap<String, RawText> =
                (0..many).map(|i| (format!("{i}{long}"), value.clone())).collect();
            Fact::Custom(Custom { source, name, attributes })
        })
        .boxed()
}

fn any_fact() -> BoxedStrategy<Fact> {
    let rest =
        (text(), text(), 0..11usize, any::<u8>(), number()).prop_map(|(a, b, kind, prefix, n)| match kind {
            0 => Fact::Host(Host { hostname: a, timezone: b, ..Host::default() }),
            1 | 2 => {
                Fact::User(User { name: a, uid: n, gid: n, gecos: b, home: "".into(), shell: "".into() })
            }
            3 | 4 => Fact::Group(Group { name: a, gid: n, members: b }),
            5 => Fact::Interface(Interface {
                name: a,
                mac: b,
                address: Some([1, 2, 3, 4].into()),
                prefix,
                up: true,
            }),
            6 => Fact::Route(Route {
                destination: [0; 16].into(),
                prefix,
                gateway: None,
                interface: a,
                metric: n,
            }),
            7 | 8 => {
                let key = DeviceKey { bus: a, serial: b.clone(), ..DeviceKey::default() };
                Fact::Device(Device { key, users: Some(b) })
            }
            _ => Fact::Module(Module { name: a, size: n.into(), taint: b }),
        });
    prop_oneof![
        3 => any_process().prop_map(Fact::from),
        4 => any_file(),
        3 => any_endpoint().prop_map(Fact::from),
        2 => any_custom(),
        2 => rest,
    ]
    .boxed()
}

fn any_gap() -> BoxedStrategy<Gap> {
    let sources =
        vec![None, Some(Source::Process), Some(Source::Custom("x".into())), Some(Source::Custom("".into()))];
    let reason = prop_oneof![3 => "[aé\n]{0,20}", 1 => Just("é".repeat(40_000))];
    (select(sources), any::<bool>(), reason, time(), prop::option::of(time()))
        .prop_map(|(source, blind, reason, from, to)| Gap {
            source,
            severity: if blind { Severity::Blind } else { Severity::Thin },
            reason,
            from,
            to,
            lost: Some(u64::MAX),
        })
        .boxed()
}

fn any_notice() -> BoxedStrategy<Notice> {
    prop_oneof![
        3 => (any_fact(), time()).prop_map(|(fact, at)| Notice::Began(fact, at)),
        2 => (any_fact(), time()).prop_map(|(fact, at)| Notice::Ended(fact, at)),
        1 => (any_fact(), prop::option::of(time()), time())
            .prop_map(|(fact, began, ended)| Notice::Passed { fact, began, ended }),
        3 => (any_process(), time()).prop_map(|(process, at)| Notice::Became(process, at)),
        1 => (any_process(), prop::option::of(time()), time())
            .prop_map(|(process, began, at)| Notice::Gone { process, began, at }),
        1 => (any_endpoint(), time()).prop_map(|(endpoint, at)| Notice::Closed { endpoint, at }),
        1 => (entity(), text()).prop_map(|(entity, exe)| Notice::Program { entity, exe, sha256: Sha256([1; 32]) }),
        1 => any_gap().prop_map(Notice::Lost),
    ]
    .boxed()
}

fn any_reading() -> BoxedStrategy<Step> {
    let sources = [
        Source::Process,
        Source::Process,
        Source::Process,
        Source::Endpoint,
        Source::Host,
        Source::Account,
        Source::Interface,
        Source::Route,
        Source::Device,
        Source::Module,
        Source::Custom("x".into()),
    ];
    let facts = prop_oneof![4 => vec(any_fact(), 0..8), 1 => vec(any_fact(), 0..120)];
    let read = vec((any_fact(), prop::option::of(time())), 0..4);
    let extent = prop::option::of(read).prop_map(|read| match read {
        None => Extent::Whole,
        Some(read) => Extent::Subjects(
            read.into_iter().map(|(fact, since)| Reread { subject: fact.subject(), since }).collect(),
        ),
    });
    let stamp = prop::option::weighted(0.05, time());
    (select(sources.to_vec()), facts, extent, stamp, prop::bool::weighted(0.1))
        .prop_map(|(source, mut facts, extent, stamp, strangers)| {
            if !strangers {
                facts.retain(|fact| fact.source() == source);
            }
            Step::Reading { source, seen: Sight { facts, extent }, stamp }
        })
        .boxed()
}

/// Makes up what a recorder is told.
pub(super) fn steps() -> BoxedStrategy<Vec<Step>> {
    let step = prop_oneof![
        6 => any_reading(),
        6 => any_notice().prop_map(|notice| Step::Notice(Box::new(notice))),
        1 => any_gap().prop_map(Step::Gap),
        1 => Just(Step::Bundle),
    ];
    vec(step, 1..30).boxed()
}
