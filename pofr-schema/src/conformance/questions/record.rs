//! The record that is asked.

use crate::conformance::samples::{BOOT, at, bundle, cut, process, row, span, table};
use pofr_core::{
    digest::Sha256,
    fact::{
        Endpoint, EndpointDetails, EndpointKey, Fact, FactKind, FileDetails, FileKey, FileMode, Ids, Module,
        OpenFile, Process, SocketId, TcpState, Transport, User,
    },
    identity::{Entity, Pid, StartTicks},
    lifetime::{Lifetime, Row},
    raw::Reading,
    source::Source,
    store::{Change, ClientStore, Level, TableRef},
    time::ZoneOffset,
};
/// Tells the record: three slices of one run, of which the last is behind a lost bundle.
pub(super) fn record(writer: &mut dyn ClientStore) {
    let sshd = || Fact::from(is(50, 1, 0, "sshd", "sshd -D"));
    let listener = || endpoint(50, "0.0.0.0:22", "0.0.0.0:0", TcpState::Listen);
    let shell = || Fact::from(is(100, 50, 1000, "sh", "sh -i"));
    let login = || endpoint(100, "192.0.2.1:22", "198.51.100.7:4000", TcpState::Established);
    let curl = || Fact::from(is(101, 100, 1000, "curl", "curl -o /tmp/drop/x"));
    let mut hashed = is(101, 100, 1000, "curl", "curl -o /tmp/drop/x");
    hashed.details.exe_sha256 = Some(Sha256::of(b"curl"));
    let fetch = || endpoint(101, "192.0.2.1:50000", "203.0.113.9:443", TcpState::Established);
    let written = || opened(101, "/tmp/drop/x", FileMode::Write);
    let child = |ppid| Fact::from(is(102, ppid, 1000, "id", "id"));
    let mut exact = there(child(101), 14, 14);
    (exact.life.appeared_after, exact.life.began) = (None, Some(at(13).plus(500_001)));
    let triads = [
        (
            1,
            (0, 10),
            [
                vec![
                    right(left(there(sshd(), 0, 10))),
                    right(there(shell(), 5, 10)),
                    right(there(curl(), 8, 10)),
                ],
                vec![
                    right(there(written(), 9, 10)),
                    there(opened(100, "/tmp/dropped", FileMode::Read), 6, 7),
                ],
                vec![
                    right(left(there(listener(), 0, 10))),
                    right(there(login(), 5, 10)),
                    right(there(fetch(), 9, 10)),
                ],
            ],
        ),
        (
            2,
            (11, 20),
            [
                vec![
                    right(left(there(sshd(), 11, 20))),
                    right(left(there(shell(), 11, 20))),
                    left(there(Fact::from(hashed), 11, 13)),
                    exact,
                    there(child(1), 15, 16),
                ],
                vec![left(there(written(), 11, 12))],
                vec![
                    right(left(there(listener(), 11, 20))),
                    right(left(there(login(), 11, 20))),
                    left(there(fetch(), 11, 13)),
                ],
            ],
        ),
        (
            4,
            (30, 40),
            [
                vec![right(left(there(sshd(), 30, 40))), left(there(shell(), 30, 35))],
                vec![],
                vec![right(left(there(listener(), 30, 40))), left(there(login(), 30, 35))],
            ],
        ),
    ];
    for (seq, (first, last), tables) in triads {
        let triad = writer.create_triad(Level::Slice, false, at(first), at(last), ZoneOffset::UTC).unwrap();
        let mut change = Change {
            bundles: vec![bundle(triad, seq, first, last)],
            insert: FactKind::TRIAD
                .iter()
                .zip(tables)
                .map(|(kind, rows)| (table(triad, *kind), rows))
                .collect(),
            make_live: vec![triad],
            ..Change::default()
        };
        if seq == 1 {
            let user =
                |name: &str, uid| Fact::User(User { name: name.into(), uid, gid: uid, ..User::default() });
            let loose = |kind| TableRef { triad: None, kind };
            let users = vec![
                right(left(there(user("root", 0), 0, 40))),
                left(there(user("toma", 1000), 0, 20)),
                right(there(user("anna", 1000), 30, 40)),
            ];
            change.insert.push((loose(FactKind::User), users));
            let module = |size| Fact::Module(Module { name: "nbd".into(), size, taint: "".into() });
            let modules = vec![left(there(module(1), 0, 12)), right(there(module(2), 13, 40))];
            change.insert.push((loose(FactKind::Module), modules));
            change.bundles[0].spans.extend([span(Source::Account, 0, 40), span(Source::Module, 0, 40)]);
        }
        writer.commit(&change).unwrap();
    }
}

pub(super) fn entity(pid: u32) -> Entity {
    Entity::Started { boot: BOOT, pid: Pid(pid), start: StartTicks(u64::from(pid) * 10) }
}

fn is(pid: u32, ppid: u32, uid: u32, comm: &str, arguments: &str) -> Process {
    let mut process = process(pid, comm);
    process.key.ppid = Pid(ppid);
    process.key.ids = Ids::of([uid; 4]);
    process.key.arguments = Some(arguments.replace(' ', "\0").as_str().into());
    process.key.cgroup = Reading::Known("0::/system.slice/ssh.service\n".into());
    process
}

fn opened(pid: u32, path: &str, mode: FileMode) -> Fact {
    let key = FileKey { entity: entity(pid), fd: 3, path: path.into(), mode, deleted: false };
    Fact::File(OpenFile { key, details: FileDetails::default() })
}

fn endpoint(pid: u32, local: &str, remote: &str, state: TcpState) -> Fact {
    let (local, remote) = (local.parse().unwrap(), remote.parse().unwrap());
    let socket = SocketId::Cookie(u64::from(pid));
    let holder = Some(entity(pid));
    let country = (remote == "198.51.100.7:4000".parse().unwrap()).then(|| "NO".to_owned());
    Fact::from(Endpoint {
        key: EndpointKey { transport: Transport::Tcp, local, remote, state, socket, netns: None, holder },
        details: EndpointDetails { country, ..EndpointDetails::default() },
    })
}

/// A fact of samples from `first` to `last`, at both ends of which samples miss it.
fn there(fact: Fact, first: i64, last: i64) -> Row {
    let life = Lifetime {
        first_seen: Some(at(first)),
        last_seen: Some(at(last)),
        appeared_after: Some(at(first - 1)),
        gone_by: Some(at(last + 1)),
        ..Lifetime::default()
    };
    row(fact, life)
}

fn left(mut row: Row) -> Row {
    row.life.appeared_after = None;
    cut(row.clone(), true, row.life.cut_right)
}

fn right(mut row: Row) -> Row {
    row.life.gone_by = None;
    cut(row.clone(), row.life.cut_left, true)
}

/// Tells the record of processes with marks: in one slice, all of them from 1 to 9.
pub(super) fn marked(writer: &mut dyn ClientStore) {
    let runs = |pid, comm: &str, exe: &str| {
        let mut process = is(pid, 1, 0, comm, comm);
        process.key.exe = Reading::Known(exe.into());
        process
    };
    let mut named = runs(200, "app", "/opt/app (deleted)");
    named.key.marks.exe_named_deleted = true;
    let mut unknown = runs(203, "t", "/bin/t");
    unknown.key.ids = Ids::default();
    let mut sharer = runs(205, "clone", "/bin/clone");
    sharer.key.ids = Ids::of([1000; 4]);
    sharer.key.marks.files_of = Some(entity(204));
    let all = [
        named,
        runs(201, "gone", "/opt/gone (deleted)"),
        runs(202, "m", "/memfd:m (deleted)"),
        unknown,
        runs(204, "table", "/bin/table"),
        sharer,
    ];
    let files = vec![there(opened(204, "/tmp/shared", FileMode::Read), 1, 9)];
    let triad = writer.create_triad(Level::Slice, false, at(0), at(10), ZoneOffset::UTC).unwrap();
    let change = Change {
        bundles: vec![bundle(triad, 1, 0, 10)],
        insert: vec![
            (table(triad, FactKind::Process), all.map(|process| there(Fact::from(process), 1, 9)).to_vec()),
            (table(triad, FactKind::File), files),
        ],
        make_live: vec![triad],
        ..Change::default()
    };
    writer.commit(&change).unwrap();
}
