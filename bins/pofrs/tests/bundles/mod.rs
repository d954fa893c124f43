//! Bundles made by hand, for what no machine does on demand: lost ones, two runs at one time, hostile names.

use pofr_core::{
    collector::Closing,
    diff::Differ,
    digest::Sha256,
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
use std::{collections::BTreeSet, path::Path};

const BOOT: BootId = BootId([7; 16]);

/// Writes the bundle `seq` of run `run` to `dir`: the same facts at each stamp. Zone +0100.
pub(crate) fn write(dir: &Path, run: u8, seq: u64, stamps: &[i64], facts: &[Fact]) -> std::path::PathBuf {
    let story: Vec<(i64, Vec<Fact>)> = stamps.iter().map(|stamp| (*stamp, facts.to_vec())).collect();
    tell(dir, "handmade", run, seq, &story)
}

/// Writes the bundle `seq` of run `run` of client `cid` to `dir`: at each stamp the facts that it has. Zone +0100.
pub(crate) fn tell(
    dir: &Path,
    cid: &str,
    run: u8,
    seq: u64,
    story: &[(i64, Vec<Fact>)],
) -> std::path::PathBuf {
    let header = Header {
        cid: Cid::parse(cid).unwrap(),
        run: RunId([run; 16]),
        boot: BOOT,
        seq: BundleSeq(seq),
        previous: None::<Sha256>,
        zone: ZoneOffset::parse("+0100").unwrap(),
        interval_micros: 100_000,
        opened_wall: WallMicros(story[0].0),
        opened_boot_micros: 0,
        recorder_pids: Vec::new(),
        sources: vec![Source::Process],
        missing: Vec::new(),
    };
    let (mut encoder, mut differ) = (Encoder::new(&header), Differ::default());
    let mut sources = BTreeSet::from([Source::Process]);
    sources.extend(story.iter().flat_map(|(_, facts)| facts).map(Fact::source));
    for (stamp, facts) in story {
        for source in &sources {
            let facts: Vec<Fact> = facts.iter().filter(|fact| fact.source() == *source).cloned().collect();
            let sample = differ.observe(source, WallMicros(*stamp), 0, facts.into()).unwrap();
            encoder.push(&Record::Sample(sample));
        }
    }
    let frames = encoder.flush().unwrap();
    let sealed = v2::seal(&frames, true, &Closing::default()).unwrap();
    let path = dir.join(&sealed.name);
    std::fs::write(&path, &sealed.tar).unwrap();
    path
}

/// The process with that id.
pub(crate) fn entity(pid: u32) -> Entity {
    Entity::Started { boot: BOOT, pid: Pid(pid), start: StartTicks(u64::from(pid)) }
}

/// A process of that name and argument vector.
pub(crate) fn process(pid: u32, ppid: u32, comm: &[u8], arguments: &[u8]) -> Fact {
    Fact::from(Process {
        key: ProcessKey {
            entity: entity(pid),
            ppid: Pid(ppid),
            ids: Ids::of([1000, 1000, 100, 100]),
            comm: RawText::from(comm),
            arguments: Some(RawText::from(arguments)),
            exe: Reading::Denied,
            cwd: Reading::Unknown,
            session: pid,
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

/// A file that process `pid` has open.
pub(crate) fn file(pid: u32, fd: u32, path: &[u8]) -> Fact {
    let key = FileKey { entity: entity(pid), fd, path: path.into(), mode: FileMode::Read, deleted: true };
    Fact::File(OpenFile { key, details: FileDetails::default() })
}
