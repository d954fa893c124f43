//! Days of a small machine, as bundles made by hand: for what takes midnight to happen and must not take a day to test.

use pofr_core::{
    collector::Closing,
    diff::Differ,
    digest::{KeyDigest, Sha256},
    fact::{
        Fact, FileDetails, FileKey, FileMode, Files, Ids, OpenFile, Process, ProcessDetails, ProcessKey,
        ProcessMarks,
    },
    identity::{BootId, BundleSeq, Cid, Entity, Pid, RunId, StartTicks},
    raw::{RawText, Reading},
    record::Record,
    source::Source,
    time::{WallMicros, ZoneOffset},
    wire::v2::{self, Encoder, Header},
};
use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    path::{Path, PathBuf},
};

const BOOT: BootId = BootId([9; 16]);
/// 2026-11-20T00:10:00Z, µs: over for days, whenever this is run.
const START: i64 = 1_795_133_400_000_000;
/// Between two samples, µs.
const STEP: i64 = 300_000_000;
/// Samples in a bundle.
const SAMPLES: i64 = 6;

/// What was recorded.
pub struct Days {
    /// The bundles, in order: half an hour each.
    pub bundles: Vec<PathBuf>,
    /// What each sample showed.
    pub shown: BTreeMap<WallMicros, BTreeSet<KeyDigest>>,
}

/// Writes `count` bundles to `dir`, of a machine with some `processes`.
///
/// # Panics
/// Where they cannot be written.
#[must_use]
pub fn days(dir: &Path, count: i64, processes: u32) -> Days {
    fs::create_dir_all(dir).unwrap();
    let mut days = Days { bundles: Vec::new(), shown: BTreeMap::new() };
    let mut previous = None;
    for seq in 0..count {
        let stamp = |i: i64| WallMicros(START + (seq * SAMPLES + i) * STEP);
        let header = Header {
            cid: Cid::parse("days").unwrap(),
            run: RunId([5; 16]),
            boot: BOOT,
            seq: BundleSeq(seq.cast_unsigned() + 1),
            previous,
            zone: ZoneOffset::UTC,
            interval_micros: STEP.cast_unsigned(),
            opened_wall: stamp(0),
            opened_boot_micros: 0,
            recorder_pids: Vec::new(),
            sources: vec![Source::Process],
            missing: Vec::new(),
        };
        let (mut encoder, mut differ) = (Encoder::new(&header), Differ::default());
        for i in 0..SAMPLES {
            let facts = facts(seq * SAMPLES + i, processes);
            days.shown.insert(stamp(i), facts.iter().map(Fact::digest).collect());
            let sample = differ.observe(&Source::Process, stamp(i), 0, facts.into()).unwrap();
            encoder.push(&Record::Sample(sample));
        }
        let sealed = v2::seal(&encoder.flush().unwrap(), true, &Closing::default()).unwrap();
        previous = Some(Sha256::of(&sealed.tar));
        let path = dir.join(&sealed.name);
        fs::write(&path, &sealed.tar).unwrap();
        days.bundles.push(path);
    }
    days
}

/// What there is at the `n`-th sample: some come and go often, some stay for days.
fn facts(n: i64, processes: u32) -> Vec<Fact> {
    let mut facts = Vec::new();
    for pid in 1..=processes {
        // Now and again there is another process of that pid.
        let life = i64::from(pid % 17 + 1) * 3;
        let start = n / life;
        if start % 4 == 3 {
            continue;
        }
        facts.push(process(pid, start.cast_unsigned()));
        let files = (0..3).filter(|fd| (n / i64::from(fd + 2)) % 3 != i64::from(pid % 3));
        facts.extend(files.map(|fd| file(pid, start.cast_unsigned(), fd)));
    }
    facts
}

fn entity(pid: u32, start: u64) -> Entity {
    Entity::Started { boot: BOOT, pid: Pid(pid), start: StartTicks(start) }
}

fn process(pid: u32, start: u64) -> Fact {
    Fact::from(Process {
        key: ProcessKey {
            entity: entity(pid, start),
            ppid: Pid(1),
            ids: Ids::of([1000, 1000, 100, 100]),
            comm: RawText::from(format!("p{pid}").as_str()),
            arguments: Some(RawText::from("p\0--it's\0")),
            exe: Reading::Denied,
            cwd: Reading::Unknown,
            session: 1,
            tty: 0,
            login_uid: None,
            cgroup: Reading::Absent,
            namespaces: Reading::Denied,
            zombie: false,
            files: Files::Read,
            marks: ProcessMarks::default(),
        },
        details: ProcessDetails::default(),
    })
}

fn file(pid: u32, start: u64, fd: u32) -> Fact {
    let path = RawText::from(format!("/var/{pid}/{fd}").as_str());
    let key = FileKey { entity: entity(pid, start), fd, path, mode: FileMode::Read, deleted: false };
    Fact::File(OpenFile { key, details: FileDetails::default() })
}
