//! Marks of processes, unknown ids and scope ids: what they add to a record, and that nothing changes without them.

#![expect(clippy::unwrap_used, reason = "a test that unwraps nothing fails, as it should")]

use pofr_core::{
    collector::{Closing, Observation},
    diff::Differ,
    digest::{KeyDigest, Sha256},
    fact::{Cut, EndpointKey, Fact, Files, Ids, Process, ProcessKey, ProcessMarks},
    identity::{BootId, BundleSeq, Cid, Entity, Pid, RunId, StartTicks},
    raw::Reading,
    record::{Record, Sample},
    source::Source,
    time::{WallMicros, ZoneOffset},
    wire::v2,
};
use pofr_tests::world::{self, Seen, endpoint, file};
use sha2::Digest as _;

const BOOT: BootId = BootId([0xb0; 16]);

fn process(pid: u32) -> Process {
    let seen = Seen { pid, program: 0, readable: true, files: [false, false] };
    let Fact::Process(process) = world::process(BOOT, &seen) else { unreachable!() };
    *process
}

fn entity(pid: u32) -> Entity {
    Entity::Started { boot: BOOT, pid: Pid(pid), start: StartTicks(u64::from(pid)) }
}

fn marks() -> ProcessMarks {
    ProcessMarks {
        unreadable: true,
        arguments_cut: Some(Cut { bytes: 9_437_184, sha256: Some(Sha256([7; 32])) }),
        exe_named_deleted: true,
        thread_of: Some(Pid(812)),
        files_of: Some(entity(811)),
    }
}

/// Writes a bundle of these facts and returns what is read back.
fn there_and_back(facts: Vec<Fact>) -> Result<Vec<Fact>, String> {
    let source = facts[0].source();
    let header = v2::Header {
        cid: Cid::parse("marks-1").unwrap(),
        run: RunId([1; 16]),
        boot: BOOT,
        seq: BundleSeq(1),
        previous: None,
        zone: ZoneOffset::default(),
        interval_micros: 100_000,
        opened_wall: WallMicros(0),
        opened_boot_micros: 0,
        recorder_pids: Vec::new(),
        sources: vec![source.clone()],
        missing: Vec::new(),
    };
    let sample = Sample {
        source,
        stamp: WallMicros(1_000_000),
        span_micros: 0,
        keyframe: true,
        removed: Vec::new(),
        lost: Vec::new(),
        learned: Vec::new(),
        added: facts.into_iter().map(Into::into).collect(),
    };
    let mut encoder = v2::Encoder::new(&header);
    encoder.push(&Record::Sample(sample));
    let sealed =
        v2::seal(&encoder.flush().unwrap(), false, &Closing::default()).map_err(|e| e.to_string())?;
    let bundle = v2::open(&sealed.tar, v2::Limits::default()).map_err(|e| e.to_string())?;
    let records: Result<Vec<Record>, _> = bundle.records().unwrap().collect();
    let Ok([Record::Sample(sample)]) = records.as_deref() else {
        return Err(format!("{records:?}"));
    };
    Ok(sample.added.iter().map(|added| added.fact.clone()).collect())
}

#[test]
fn marks_and_unknown_ids_come_back() {
    let mut all = vec![process(1)];
    for one in 0..5 {
        let mut marked = process(10 + one);
        let (all_marks, own) = (marks(), &mut marked.key.marks);
        match one {
            0 => own.unreadable = true,
            1 => own.arguments_cut = Some(Cut { bytes: 40_000, sha256: None }),
            2 => own.exe_named_deleted = true,
            3 => own.thread_of = all_marks.thread_of,
            _ => *own = all_marks,
        }
        all.push(marked);
    }
    let mut unknown = process(20);
    unknown.key.ids = Ids { egid: Some(0), ..Ids::default() };
    unknown.key.files = Files::Unreadable;
    all.push(unknown);
    let facts: Vec<Fact> = all.into_iter().map(Fact::from).collect();
    assert_eq!(there_and_back(facts.clone()).unwrap(), facts);
}

#[test]
fn a_table_shared_with_nobody_known_is_refused() {
    let mut process = process(1);
    process.key.marks.files_of = Some(Entity::Described { pid: Pid(7), tag: KeyDigest([1; 20]) });
    there_and_back(vec![Fact::from(process)]).unwrap_err();
}

#[test]
fn two_links_with_one_address_are_two_endpoints() {
    let Fact::Endpoint(one) = endpoint(1) else { unreachable!() };
    let on = |local: &str, remote: &str| EndpointKey {
        local: local.parse().unwrap(),
        remote: remote.parse().unwrap(),
        ..one.key.clone()
    };
    let keys = [
        on("[fe80::1]:45877", "[fe80::2]:1"),
        on("[fe80::1%3]:45877", "[fe80::2]:1"),
        on("[fe80::1%4]:45877", "[fe80::2]:1"),
        on("[fe80::1]:45877", "[fe80::2%3]:1"),
    ];
    for (i, a) in keys.iter().enumerate() {
        for (j, b) in keys.iter().enumerate() {
            assert_eq!(a.digest() == b.digest(), i == j, "{a:?} {b:?}");
        }
    }
    let facts: Vec<Fact> =
        keys.map(|key| Fact::from(pofr_core::fact::Endpoint { key, details: one.details.clone() })).to_vec();
    assert_eq!(there_and_back(facts.clone()).unwrap(), facts);
}

/// A process's key, encoded by hand as docs/format/digests.md has it.
fn by_hand(key: &ProcessKey, marked: bool) -> KeyDigest {
    fn number(out: &mut Vec<u8>, n: u64) {
        out.push(b'i');
        out.extend(n.to_be_bytes());
    }
    fn bytes(out: &mut Vec<u8>, bytes: &[u8]) {
        out.push(b'b');
        out.extend((bytes.len() as u64).to_be_bytes());
        out.extend(bytes);
    }
    let out = &mut Vec::new();
    bytes(out, b"pofr/process/2");
    bytes(out, &BOOT.0);
    number(out, key.entity.pid().0.into());
    number(out, key.entity.start().unwrap().0);
    number(out, key.ppid.0.into());
    for id in [0, 4_294_967_295, 0, 4_294_967_295] {
        number(out, id);
    }
    bytes(out, key.comm.as_bytes());
    bytes(out, key.arguments.as_ref().unwrap().as_bytes());
    for reading in [&key.exe, &key.cwd] {
        match reading {
            Reading::Known(text) => bytes(out, text.as_bytes()),
            Reading::Absent => number(out, 1),
            Reading::Denied => number(out, 2),
            Reading::Unknown => number(out, 3),
        }
    }
    number(out, key.session.into());
    number(out, key.tty.into());
    out.push(b'n');
    number(out, 3);
    number(out, 3);
    number(out, 0);
    number(out, 3);
    if marked {
        bytes(out, b"marks");
        number(out, 1);
        number(out, 9_437_184);
        bytes(out, &[7; 32]);
        number(out, 1);
        number(out, 812);
        bytes(out, &BOOT.0);
        number(out, 811);
        number(out, 811);
    }
    let full: [u8; 32] = sha2::Sha256::digest(out).into();
    KeyDigest(std::array::from_fn(|i| full[i]))
}

#[test]
fn a_processes_digest_is_as_documented() {
    let mut key = process(5).key;
    key.ids = Ids { ruid: Some(0), rgid: Some(0), ..Ids::default() };
    (key.cgroup, key.namespaces, key.login_uid) = (Reading::Unknown, Reading::Unknown, None);
    (key.files, key.zombie) = (Files::Unreadable, false);
    key.arguments = Some("sh".into());
    assert_eq!(key.digest(), by_hand(&key, false));
    key.marks = marks();
    assert_eq!(key.digest(), by_hand(&key, true));
}

#[test]
fn the_kernels_mark_is_told_from_a_name() {
    let program = |exe: &str, named| {
        let mut key = process(1).key;
        key.exe = Reading::Known(exe.into());
        key.marks.exe_named_deleted = named;
        key.program().map(|(path, deleted)| (String::from_utf8(path.to_vec()).unwrap(), deleted))
    };
    let is = |path: &str, deleted| Some((path.to_owned(), deleted));
    assert_eq!(program("/bin/sh", false), is("/bin/sh", false));
    assert_eq!(program("/bin/sh (deleted)", false), is("/bin/sh", true));
    assert_eq!(program("/opt/app (deleted)", true), is("/opt/app (deleted)", false));
    assert_eq!(program("/opt/app (deleted) (deleted)", false), is("/opt/app (deleted)", true));
}

/// Returns what a second reading removes, loses and adds, and whether what it adds may have been there before.
fn second(first: Vec<Fact>, second: Vec<Fact>) -> (usize, usize, Vec<bool>) {
    let mut differ = Differ::default();
    differ.observe(&Source::Process, WallMicros(1_000_000), 0, Observation::from(first)).unwrap();
    let sample = differ.observe(&Source::Process, WallMicros(2_000_000), 0, second.into()).unwrap();
    let files = sample.added.iter().filter(|added| matches!(added.fact, Fact::File(_)));
    (sample.removed.len(), sample.lost.len(), files.map(|added| added.unsure).collect())
}

#[test]
fn files_that_are_not_told_are_unknown_and_not_closed() {
    let told = || vec![Fact::from(process(1)), file(BOOT, 1, 0)];
    let untold = |change: fn(&mut ProcessKey)| {
        let mut process = process(1);
        change(&mut process.key);
        vec![Fact::from(process)]
    };
    let silent: fn(&mut ProcessKey) = |key| key.files = Files::Unreadable;
    let sharing: fn(&mut ProcessKey) = |key| key.marks.files_of = Some(entity(811));
    for change in [silent, sharing] {
        // Its own fact is another now; its file is lost, and may have been there when it is told again.
        assert_eq!(second(told(), untold(change)), (1, 1, vec![]));
        assert_eq!(second(untold(change), told()), (1, 0, vec![true]));
    }
    assert_eq!(second(told(), untold(|_| ())), (1, 0, vec![]), "a file that was closed");
    let unread = |facts: Vec<Fact>| {
        let mut differ = Differ::default();
        differ.observe(&Source::Process, WallMicros(1_000_000), 0, Observation::from(facts)).unwrap();
        differ.shown(&Source::Process).veiled()
    };
    assert_eq!((unread(untold(silent)), unread(untold(sharing)), unread(told())), (1, 0, 0));
}
