//! What every format makes of the same few facts, held against files that stay: `tests/golden/export/`.
//!
//! After a change that is meant: `POFR_UPDATE=1 cargo test -p pofrs golden`, and look at the difference.

use super::{
    Exporter,
    csv::Csv,
    ecs,
    item::Item,
    lines::{Dialect, Lines},
};
use pofr_core::{
    digest::Sha256,
    fact::{
        Cut, Endpoint, EndpointDetails, EndpointKey, Fact, FileDetails, FileKey, FileMode, Files, Ids,
        OpenFile, Process, ProcessDetails, ProcessKey, ProcessMarks, SocketId, TcpState, Totals, Transport,
    },
    gap::{Gap, Severity},
    identity::{BootId, Cid, Entity, Pid, RunId, StartTicks},
    lifetime::{Lifetime, Row},
    raw::{RawText, Reading},
    source::Source,
    time::{WallMicros, ZoneOffset},
};
use pofr_schema::query::{Direction, Found, Subject};
use serde_json::Value as Json;
use std::{collections::BTreeSet, path::Path, sync::Arc};

/// 2026-11-23T10:00:00Z, µs.
const T0: i64 = 1_795_428_000_000_000;

fn at(micros: i64) -> Option<WallMicros> {
    Some(WallMicros(T0 + micros))
}

fn row(life: Lifetime, fact: Fact) -> Row {
    let zone = ZoneOffset::parse("+0100").unwrap();
    Row { run: RunId([1; 16]), zone, digest: fact.digest(), life, fact }
}

fn entity(pid: u32) -> Entity {
    Entity::Started { boot: BootId([7; 16]), pid: Pid(pid), start: StartTicks(u64::from(pid)) }
}

fn process(pid: u32, comm: &[u8], arguments: Option<&[u8]>) -> Process {
    Process {
        key: ProcessKey {
            entity: entity(pid),
            ppid: Pid(700),
            ids: Ids::of([1000, 0, 100, 100]),
            comm: comm.into(),
            arguments: arguments.map(RawText::from),
            exe: Reading::Known("/usr/bin/vi".into()),
            cwd: Reading::Denied,
            session: 700,
            tty: 0x8803,
            login_uid: Some(1000),
            cgroup: Reading::Known(
                format!("0::/system.slice/docker-{}.scope\n", "ab".repeat(32)).as_str().into(),
            ),
            namespaces: Reading::Unknown,
            zombie: false,
            files: Files::Read,
            marks: ProcessMarks::default(),
        },
        details: ProcessDetails {
            started: at(-30_000),
            exit_code: Some(0x0100),
            exe_sha256: Some(Sha256::of(b"vi")),
            totals: Some(Totals { user_micros: 5, system_micros: 7, read_bytes: 4096, write_bytes: 0 }),
            ..ProcessDetails::default()
        },
    }
}

/// Told by events from begin to end.
fn exact() -> Lifetime {
    Lifetime {
        began: at(0),
        first_seen: at(10),
        last_seen: at(300_000),
        ended: at(400_007),
        ..Lifetime::default()
    }
}

/// Between samples.
fn sampled() -> Lifetime {
    let (first_seen, last_seen) = (at(100_000), at(300_000));
    Lifetime { first_seen, last_seen, appeared_after: at(0), gone_by: at(400_000), ..Lifetime::default() }
}

/// At the record's edges.
fn open() -> Lifetime {
    Lifetime {
        first_seen: at(0),
        last_seen: at(300_000),
        cut_left: true,
        cut_right: true,
        ..Lifetime::default()
    }
}

fn endpoint(transport: Transport, local: &str, remote: &str, state: TcpState) -> Fact {
    let (local, remote) = (local.parse().unwrap(), remote.parse().unwrap());
    let socket = SocketId::Cookie(u64::MAX);
    Fact::from(Endpoint {
        key: EndpointKey {
            transport,
            local,
            remote,
            state,
            socket,
            netns: Some(4_026_531_840),
            holder: Some(entity(812)),
        },
        details: EndpointDetails {
            uid: Some(1000),
            inode: Some(4711),
            remote_name: Some("=evil.example.org".into()),
            country: Some("NO".to_owned()),
            city: Some("Troms\u{f8}".to_owned()),
            ..EndpointDetails::default()
        },
    })
}

fn file(path: &[u8], mode: FileMode, deleted: bool) -> Fact {
    let key = FileKey { entity: entity(812), fd: 4, path: path.into(), mode, deleted };
    Fact::File(OpenFile { key, details: FileDetails::default() })
}

/// Facts of every subject, hostile ones among them.
pub(super) fn samples() -> Vec<(Subject, Found)> {
    let holder = Arc::new(process(812, b"vi", Some(b"vi\0notes of ann\0")));
    let user = Some(RawText::from("ann"));
    let found = |row: Row, process: Option<&Arc<Process>>, direction| Found {
        parts: vec![row],
        breaks: Vec::new(),
        process: process.cloned(),
        user: user.clone(),
        direction,
        shared_by: None,
    };
    let hostile: &[u8] = b"=HYPERLINK(\"http://x\")\0\x1b[2J</script>\0\xff\xfe\0a\nb\0";
    let mut zombie = process(9, b"\xff\x1b]0;x\x07", Some(hostile));
    zombie.key.exe = Reading::Absent;
    zombie.details = ProcessDetails { exit_code: Some(9), ..ProcessDetails::default() };
    let mut nobody = found(row(open(), Fact::from(process(2, b"kthreadd", Some(b"")))), None, None);
    nobody.user = None;
    let mut orphan = found(row(sampled(), file(b"pipe:[12]", FileMode::Write, false)), None, None);
    orphan.user = None;
    let mut marked = process(813, b"huge", Some(b"huge\0aaaa"));
    marked.key.ids = Ids::default();
    marked.key.exe = Reading::Known("/tmp/huge (deleted)".into());
    marked.key.files = Files::Unreadable;
    marked.key.marks = ProcessMarks {
        unreadable: true,
        arguments_cut: Some(Cut { bytes: 9_437_184, sha256: Some(Sha256::of(b"huge")) }),
        exe_named_deleted: false,
        thread_of: Some(Pid(812)),
        files_of: Some(entity(812)),
    };
    let mut named = process(814, b"app", Some(b"app\0"));
    named.key.exe = Reading::Known("/opt/app (deleted)".into());
    named.key.marks.exe_named_deleted = true;
    let [mut marked, named] =
        [marked, named].map(|process| found(row(sampled(), Fact::from(process)), None, None));
    marked.user = None;
    let mut shared =
        found(row(sampled(), file(b"/home/ann/notes", FileMode::Read, false)), Some(&holder), None);
    shared.shared_by = Some(entity(813));
    let net = |life, fact, way| (Subject::Endpoints, found(row(life, fact), Some(&holder), Some(way)));
    use TcpState::{Close, Established, Listen};
    vec![
        (Subject::Processes, found(row(exact(), Fact::from((*holder).clone())), None, None)),
        (Subject::Processes, found(row(sampled(), Fact::from(zombie)), None, None)),
        (Subject::Processes, nobody),
        (Subject::Processes, marked),
        (Subject::Processes, named),
        (
            Subject::Files,
            found(row(sampled(), file(b"/home/ann/notes", FileMode::ReadWrite, false)), Some(&holder), None),
        ),
        (
            Subject::Files,
            found(row(open(), file(b"/tmp/\xff\n@SUM(1)<b>", FileMode::Read, true)), Some(&holder), None),
        ),
        (Subject::Files, found(row(sampled(), file(b"/", FileMode::Neither, false)), Some(&holder), None)),
        (Subject::Files, orphan),
        (Subject::Files, shared),
        net(
            exact(),
            endpoint(Transport::Tcp, "10.0.0.2:40000", "192.0.2.7:443", Established),
            Direction::Outbound,
        ),
        net(
            sampled(),
            endpoint(Transport::Tcp, "[fd00::2]:22", "[fd00::7]:5000", Established),
            Direction::Inbound,
        ),
        net(open(), endpoint(Transport::Tcp, "0.0.0.0:22", "0.0.0.0:0", Listen), Direction::Listening),
        net(open(), endpoint(Transport::Udp, "[::]:53", "[::]:0", Close), Direction::Listening),
        net(
            sampled(),
            endpoint(Transport::Tcp, "[fe80::1%3]:45877", "[fe80::2%4]:50000", Established),
            Direction::Inbound,
        ),
    ]
}

fn gap() -> Gap {
    Gap {
        source: Some(Source::Process),
        severity: Severity::Blind,
        reason: "bundle 2 is missing\u{1b}[2J".to_owned(),
        from: WallMicros(T0 + 300_000),
        to: at(900_000),
        lost: None,
    }
}

fn exported(exporter: &mut dyn Exporter, only: Option<Subject>) {
    let client = Cid::parse("web-1").unwrap();
    for (subject, found) in samples() {
        if only.is_none_or(|only| only == subject) {
            for item in Item::all(&client, &found) {
                exporter.item(subject, &item).unwrap();
            }
        }
    }
    if only.is_none() {
        exporter.gap(&client, &gap()).unwrap();
    }
}

fn held_against(name: &str, found: &str) {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden/export").join(name);
    if std::env::var_os("POFR_UPDATE").is_some() {
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(&path, found).unwrap();
    }
    let expected = std::fs::read_to_string(&path).unwrap();
    for (i, (found, expected)) in found.lines().zip(expected.lines()).enumerate() {
        assert_eq!(found, expected, "{name}, line {}", i + 1);
    }
    assert_eq!(found.lines().count(), expected.lines().count(), "{name}");
}

fn lines(dialect: Dialect) -> String {
    let mut out = Vec::new();
    exported(&mut Lines::new(dialect, &mut out), None);
    String::from_utf8(out).unwrap()
}

fn json(text: &str) -> Vec<Json> {
    text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

#[test]
fn golden_timesketch() {
    let text = lines(Dialect::Timesketch);
    for event in json(&text) {
        for name in ["message", "datetime", "timestamp_desc"] {
            assert!(event[name].as_str().is_some_and(|text| !text.is_empty()), "{name} in {event}");
        }
        // Both say the same, to the µs.
        let time: jiff::Timestamp = event["datetime"].as_str().unwrap().parse().unwrap();
        assert_eq!(event["timestamp"].as_i64(), Some(time.as_microsecond()), "{event}");
        assert!(event["message"].as_str().unwrap().chars().all(|c| !c.is_control()), "{event}");
    }
    held_against("timesketch.jsonl", &text);
}

#[test]
fn golden_ecs() {
    let text = lines(Dialect::Ecs);
    // Fields of ECS 8.17 that are used, as its reference has them; `pofr` is a producer's own.
    let known: BTreeSet<&str> = "@timestamp ecs.version message event.kind event.category event.type event.action event.id \
        event.module event.provider event.dataset event.start event.end event.duration event.reason host.id host.name \
        process.pid process.entity_id process.name process.args process.args_count process.command_line process.executable \
        process.working_directory process.hash.sha256 process.start process.end process.exit_code process.parent.pid \
        process.session_leader.pid process.tty.char_device.major process.tty.char_device.minor process.real_user.id \
        container.id container.runtime source.domain destination.domain server.domain source.geo.country_iso_code \
        destination.geo.country_iso_code source.geo.city_name destination.geo.city_name source.geo.country_name process.user.id process.real_group.id process.group.id user.id user.name file.path file.directory file.name \
        network.transport network.type network.direction source.address source.ip source.port destination.address \
        destination.ip destination.port server.address server.ip server.port related.user related.ip"
        .split_whitespace()
        .collect();
    for document in json(&text) {
        for field in ecs::fields(&document) {
            assert!(field.starts_with("pofr.") || known.contains(field.as_str()), "{field} in {document}");
        }
        assert_eq!(document["pofr"].get("digest").is_some(), document["event"]["dataset"] != "pofr.gap");
    }
    held_against("ecs.ndjson", &text);
}

#[test]
fn golden_ocsf() {
    let text = lines(Dialect::Ocsf);
    for event in json(&text) {
        let number = |name: &str| event[name].as_i64().unwrap();
        assert_eq!(number("type_uid"), number("class_uid") * 100 + number("activity_id"), "{event}");
        assert_eq!(number("time"), number("start_time"), "{event}");
    }
    held_against("ocsf.ndjson", &text);
}

#[test]
fn golden_csv() {
    for (subject, name) in [
        (Subject::Processes, "process.csv"),
        (Subject::Files, "file.csv"),
        (Subject::Endpoints, "endpoint.csv"),
    ] {
        let mut out = Vec::new();
        exported(&mut Csv::new(subject, &mut out).unwrap(), Some(subject));
        let text = String::from_utf8(out).unwrap();
        assert!(text.chars().all(|c| c == '\n' || !c.is_control()), "{text:?}");
        held_against(name, &text);
    }
}
