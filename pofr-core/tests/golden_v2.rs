//! Golden files of bundle format v2: a bundle once written is read the same way for ever.
//!
//! `POFR_BLESS=1` writes the files anew; a difference to those that are committed is a change of the format.

#![expect(clippy::unwrap_used, reason = "a test that unwraps nothing fails, as it should")]

use pofr_core::{
    collector::Closing,
    digest::{KeyDigest, Sha256},
    fact::{Custom, Device, DeviceKey, Fact, Group, Host, Interface, Module, Route, Totals, User},
    gap::{Gap, Severity},
    identity::{BootId, BundleSeq, Cid, Entity, Pid, RunId},
    raw::{RawText, Reading},
    record::{Added, Event, FactId, Learned, Record, Sample},
    source::Source,
    time::{WallMicros, ZoneOffset},
    wire::v2,
};
use pofr_tests::world::{self, Seen, endpoint, file};
use std::{collections::BTreeMap, fs, path::PathBuf};

const START: i64 = 1_700_000_000_000_000;
const BOOT: BootId = BootId([0xb0; 16]);

fn fixture(name: &str) -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../tests/fixtures/pofr-v2").join(name)
}

fn sample(source: Source, tick: i64, keyframe: bool, added: Vec<Fact>) -> Sample {
    Sample {
        source,
        stamp: WallMicros(START + tick * 100_000),
        span_micros: 1234,
        keyframe,
        removed: Vec::new(),
        lost: Vec::new(),
        learned: Vec::new(),
        added: added.into_iter().map(Added::from).collect(),
    }
}

/// The process of the golden bundle, whatever others in tests have for arguments.
fn process(boot: BootId, seen: &Seen) -> Fact {
    let Fact::Process(mut process) = world::process(boot, seen) else { unreachable!() };
    process.key.arguments = Some("sh\0-c".into());
    Fact::Process(process)
}

/// One of every record, with one of every fact, with every field set to something.
fn records() -> Vec<Record> {
    let seen = |pid| Seen { pid, program: 0, readable: true, files: [true, false] };
    let Fact::Process(mut full) = process(BOOT, &seen(2)) else { unreachable!() };
    full.key.exe = Reading::Known("/bin/\u{e9} (deleted)".into());
    full.key.cgroup = Reading::Known(RawText::from(&b"0::/a\xff\n"[..]));
    full.key.login_uid = Some(1000);
    full.key.arguments = None;
    let mut learned = full.clone();
    learned.details.arguments = Some(RawText::from(&b"it's\0; DROP TABLE x--\0\xff\n\0"[..]));
    learned.details.started = Some(WallMicros(START - 5));
    learned.details.exit_code = Some(-9);
    learned.details.totals =
        Some(Totals { user_micros: 1, system_micros: 2, read_bytes: 3, write_bytes: u64::MAX });
    learned.details.exe_sha256 = Some(Sha256([7; 32]));
    let described = Entity::Described { pid: Pid(77), tag: KeyDigest([5; 20]) };
    let Fact::Endpoint(mut held) = endpoint(3) else { unreachable!() };
    held.key.local = "[::1]:53".parse().unwrap();
    held.key.holder = Some(described);
    held.key.netns = Some(4_026_531_840);
    let text = |s: &str| RawText::from(s);
    let cold = [
        (
            Source::Host,
            Fact::Host(Host { hostname: text("h"), timezone: text("Europe/Oslo"), ..Host::default() }),
        ),
        (
            Source::Account,
            Fact::User(User { name: text("ann"), uid: 1000, home: text("/home/ann"), ..User::default() }),
        ),
        (
            Source::Interface,
            Fact::Interface(Interface {
                name: text("lo"),
                mac: text(""),
                address: Some("127.0.0.1".parse().unwrap()),
                prefix: 8,
                up: true,
            }),
        ),
        (
            Source::Route,
            Fact::Route(Route {
                destination: "0.0.0.0".parse().unwrap(),
                prefix: 0,
                gateway: Some("10.0.0.1".parse().unwrap()),
                interface: text("eth0"),
                metric: 100,
            }),
        ),
        (
            Source::Device,
            Fact::Device(Device {
                key: DeviceKey { bus: text("usb"), serial: text("123"), ..DeviceKey::default() },
                users: Some(text("")),
            }),
        ),
        (Source::Module, Fact::Module(Module { name: text("ext4"), size: 1, taint: text("") })),
        (
            Source::parse("acme.sensor").unwrap(),
            Fact::Custom(Custom {
                source: Source::parse("acme.sensor").unwrap(),
                name: text("t0"),
                attributes: BTreeMap::from([("celsius".to_owned(), text("21.5"))]),
            }),
        ),
    ];
    let mut all = vec![Record::Sample(sample(
        Source::Process,
        0,
        true,
        vec![process(BOOT, &seen(1)), file(BOOT, 1, 0), Fact::Process(full.clone())],
    ))];
    all.extend(cold.into_iter().map(|(source, fact)| Record::Sample(sample(source, 0, true, vec![fact]))));
    let mut second = sample(Source::Process, 1, false, vec![file(BOOT, 1, 1)]);
    second.removed = vec![FactId(1)];
    second.learned = vec![Learned { id: FactId(2), fact: Fact::Process(learned) }];
    second.added[0].unsure = true;
    all.extend([
        Record::Sample(sample(Source::Endpoint, 0, true, vec![endpoint(1), Fact::Endpoint(held)])),
        Record::Sample(second),
        Record::Event(Event::Began { fact: endpoint(2), at: WallMicros(START + 150_000) }),
        Record::Event(Event::Ended { id: FactId(10), at: WallMicros(START + 160_000) }),
        Record::Event(Event::Passed { fact: endpoint(4), began: None, ended: WallMicros(START + 170_000) }),
        Record::Sample(sample(
            Source::Account,
            2,
            false,
            vec![Fact::Group(Group { name: text("g"), gid: 5, members: text("a,b") })],
        )),
        Record::Gap(Gap {
            source: Some(Source::Endpoint),
            severity: Severity::Blind,
            reason: "it failed".into(),
            from: WallMicros(START),
            to: None,
            lost: Some(3),
        }),
    ]);
    all
}

fn made() -> v2::Sealed {
    let header = v2::Header {
        cid: Cid::parse("golden-1").unwrap(),
        run: RunId([0xab; 16]),
        boot: BOOT,
        seq: BundleSeq(42),
        previous: Some(Sha256([1; 32])),
        zone: ZoneOffset::from_minutes(-210).unwrap(),
        interval_micros: 100_000,
        opened_wall: WallMicros(START),
        opened_boot_micros: 5_000_000,
        recorder_pids: vec![Pid(99)],
        sources: vec![Source::Process, Source::Endpoint],
        missing: vec![BundleSeq(40)],
    };
    let mut encoder = v2::Encoder::new(&header);
    let mut frames = Vec::new();
    for record in records() {
        encoder.push(&record);
        frames.extend(encoder.flush().unwrap());
    }
    let closing = Closing { losses: BTreeMap::from([("endpoint".to_owned(), 3)]), ..Closing::default() };
    v2::seal(&frames, false, &closing).unwrap()
}

fn read(tar: &[u8]) -> String {
    let bundle = v2::open(tar, v2::Limits::default()).unwrap();
    let mut lines = vec![
        serde_json::to_string(&bundle.manifest).unwrap(),
        serde_json::to_string(&bundle.header).unwrap(),
    ];
    lines.extend(bundle.records().unwrap().map(|record| serde_json::to_string(&record.unwrap()).unwrap()));
    lines.join("\n") + "\n"
}

#[test]
fn a_bundle_once_written_reads_the_same_for_ever() {
    let (tar, text) = (fixture("every-record.tar"), fixture("every-record.ndjson"));
    if std::env::var_os("POFR_BLESS").is_some() {
        let sealed = made();
        fs::create_dir_all(tar.parent().unwrap()).unwrap();
        fs::write(&tar, &sealed.tar).unwrap();
        fs::write(&text, read(&sealed.tar)).unwrap();
    }
    let golden = fs::read(&tar).unwrap();
    assert_eq!(read(&golden), fs::read_to_string(&text).unwrap());
    // What we write today says the same; its bytes may differ with the compressor.
    let bundle = v2::open(&golden, v2::Limits::default()).unwrap();
    let today: Vec<Record> = bundle.records().unwrap().map(Result::unwrap).collect();
    assert_eq!(today, records());
}
