//! Digests, against docs/format/digests.md: encoded here by hand, part after part.

use pofr_core::{
    digest::KeyDigest,
    fact::{Fact, FileDetails, FileKey, FileMode, OpenFile},
    identity::{BootId, Entity, Pid, RunId, StartTicks},
    lifetime::Tracker,
    record::{Record, Sample},
    source::Source,
    time::{WallMicros, ZoneOffset},
};
use sha2::{Digest as _, Sha256};

/// A key, encoded.
#[derive(Default)]
struct Parts(Vec<u8>);

impl Parts {
    fn number(mut self, n: u64) -> Self {
        self.0.push(b'i');
        self.0.extend(n.to_be_bytes());
        self
    }

    fn bytes(mut self, bytes: &[u8]) -> Self {
        self.0.push(b'b');
        self.0.extend((bytes.len() as u64).to_be_bytes());
        self.0.extend(bytes);
        self
    }

    fn digest(self) -> KeyDigest {
        let full: [u8; 32] = Sha256::digest(self.0).into();
        KeyDigest(std::array::from_fn(|i| full[i]))
    }
}

const STARTED: Entity = Entity::Started { boot: BootId([9; 16]), pid: Pid(4711), start: StartTicks(1 << 40) };
const OTHER: Entity = Entity::Started { boot: BootId([9; 16]), pid: Pid(4711), start: StartTicks(7) };
const DESCRIBED: Entity = Entity::Described { pid: Pid(12), tag: KeyDigest([3; 20]) };

fn file(entity: Entity, fd: u32, path: &str) -> OpenFile {
    let key = FileKey { entity, fd, path: path.into(), mode: FileMode::ReadWrite, deleted: true };
    OpenFile { key, details: FileDetails::default() }
}

fn by_hand(file: &FileKey) -> KeyDigest {
    let key = Parts::default().bytes(b"pofr/file/2");
    let key = match file.entity {
        Entity::Started { boot, pid, start } => key.bytes(&boot.0).number(pid.0.into()).number(start.0),
        Entity::Described { pid, tag } => key.bytes(&tag.0).number(pid.0.into()),
    };
    key.number(file.fd.into()).bytes(file.path.as_bytes()).number(2).number(1).digest()
}

#[test]
fn a_files_digest_is_as_documented() {
    let long = "/x".repeat(1000);
    for entity in [STARTED, DESCRIBED] {
        for (fd, path) in [(0, ""), (3, "/etc/passwd"), (FileKey::NO_FD, &*long)] {
            let file = file(entity, fd, path);
            assert_eq!(file.key.digest(), by_hand(&file.key));
        }
    }
}

/// The tracker hashes what one process's files have in common once: through changing processes, too.
#[test]
fn rows_have_their_facts_digests() {
    let files = [(STARTED, 1), (STARTED, 2), (OTHER, 1), (DESCRIBED, 1), (STARTED, 3), (OTHER, 2)];
    let facts = files.map(|(entity, fd)| Fact::File(file(entity, fd, "/tmp/x")));
    let mut tracker = Tracker::new(RunId([1; 16]), ZoneOffset::default());
    let sample = Sample {
        source: Source::Process,
        stamp: WallMicros(1_000_000),
        span_micros: 0,
        keyframe: true,
        removed: Vec::new(),
        lost: Vec::new(),
        learned: Vec::new(),
        added: facts.into_iter().map(Into::into).collect(),
    };
    tracker.apply(Record::Sample(sample)).unwrap();
    let rows = tracker.finish().rows;
    assert_eq!(rows.len(), files.len());
    for row in rows {
        let Fact::File(file) = &row.fact else { panic!("{row:?}") };
        assert_eq!(row.digest, by_hand(&file.key));
    }
}
