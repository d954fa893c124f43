//! What event sources tell, as records and as the rows that come of them.

#![expect(clippy::unwrap_used, reason = "a test that unwraps nothing fails, as it should")]

use pofr_core::{
    collector::{Extent, Notice, Observation, Reread},
    diff::{DiffError, Differ},
    digest::Sha256,
    fact::{Endpoint, Fact, Process, Subject, TcpState, Totals},
    identity::{BootId, RunId},
    lifetime::{Row, Tracker},
    raw::{RawText, Reading},
    record::Record,
    source::Source,
    time::{WallMicros, ZoneOffset},
};
use pofr_tests::world::{Seen, endpoint, facts, file, process};

const BOOT: BootId = BootId([1; 16]);

fn seen(pid: u32, program: u8) -> Seen {
    Seen { pid, program, readable: true, files: [true, false] }
}

fn at(t: i64) -> WallMicros {
    WallMicros(1_000_000 + t)
}

fn a_process(pid: u32, program: u8) -> Process {
    match process(BOOT, &seen(pid, program)) {
        Fact::Process(process) => *process,
        other => panic!("{other:?}"),
    }
}

/// A stream that goes through differ and tracker.
struct Stream {
    differ: Differ,
    tracker: Tracker,
}

impl Stream {
    fn new() -> Self {
        Self { differ: Differ::default(), tracker: Tracker::new(RunId([1; 16]), ZoneOffset::UTC) }
    }

    fn sample(&mut self, t: i64, seen: impl Into<Observation>) {
        let sample = self.differ.observe(&Source::Process, at(t), 1, seen.into()).unwrap();
        self.tracker.apply(Record::Sample(sample)).unwrap();
    }

    fn tell(&mut self, notice: Notice) -> usize {
        let records = self.differ.notice(notice);
        let count = records.len();
        records.into_iter().for_each(|record| self.tracker.apply(record).unwrap());
        count
    }

    /// Ends the stream: the rows, those that began or were seen first first.
    fn rows(self) -> Vec<Row> {
        let mut rows = self.tracker.finish().rows;
        rows.sort_by_key(|row| (row.life.first_seen, row.life.began, row.fact.kind()));
        rows
    }
}

fn reading(pids: &[u32], facts: Vec<Fact>) -> Observation {
    let read = pids.iter().map(|pid| {
        let Fact::Process(process) = process(BOOT, &seen(*pid, 0)) else { unreachable!() };
        Reread::from(Subject::Entity(process.key.entity))
    });
    Observation { facts, extent: Extent::Subjects(read.collect()), ..Observation::default() }
}

#[test]
fn an_exit_ends_the_process_and_its_files_and_tells_its_code() {
    let mut stream = Stream::new();
    stream.sample(0, facts(BOOT, &[seen(1, 0), seen(2, 0)]));
    let mut gone = a_process(1, 0);
    // What it was last may be other than what a sample has shown.
    gone.key.comm = "another".into();
    gone.details.exit_code = Some(256);
    gone.details.totals = Some(Totals { user_micros: 7, ..Totals::default() });
    stream.tell(Notice::Gone { process: gone, began: None, at: at(5) });
    stream.sample(10, reading(&[1], Vec::new()));
    let rows = stream.rows();
    assert_eq!(rows.len(), 4, "{rows:#?}");
    let ended: Vec<&Row> = rows.iter().filter(|row| row.life.ended == Some(at(5))).collect();
    assert_eq!(ended.len(), 2, "the process and its file");
    let Fact::Process(first) = &ended[0].fact else { panic!("{:?}", ended[0]) };
    assert_eq!((first.key.comm.as_bytes(), first.details.exit_code), (&b"sh"[..], Some(256)));
    assert!(rows.iter().filter(|row| row.life.ended.is_none()).all(|row| row.life.cut_right));
}

#[test]
fn an_exit_of_what_nobody_saw_is_a_process_that_passed() {
    let mut stream = Stream::new();
    stream.sample(0, Vec::new());
    stream.tell(Notice::Gone { process: a_process(3, 1), began: Some(at(2)), at: at(3) });
    let rows = stream.rows();
    assert_eq!((rows.len(), rows[0].life.began, rows[0].life.ended), (1, Some(at(2)), Some(at(3))));
}

#[test]
fn a_zombie_outlives_the_exit_that_made_it() {
    let mut stream = Stream::new();
    let mut zombie = a_process(1, 0);
    zombie.key.zombie = true;
    stream.sample(0, vec![Fact::from(zombie)]);
    let mut gone = a_process(1, 0);
    gone.details.exit_code = Some(9);
    stream.tell(Notice::Gone { process: gone, began: None, at: at(1) });
    stream.sample(2, reading(&[], Vec::new()));
    let rows = stream.rows();
    let Fact::Process(row) = &rows[0].fact else { panic!() };
    assert_eq!((rows.len(), row.details.exit_code, rows[0].life.ended), (1, Some(9), None));
    assert_eq!(rows[0].life.last_seen, Some(at(2)));
}

#[test]
fn an_exec_ends_one_fact_and_begins_the_next_while_the_files_stay() {
    let mut stream = Stream::new();
    stream.sample(0, facts(BOOT, &[seen(1, 0)]));
    assert_eq!(stream.tell(Notice::Became(a_process(1, 0), at(1))), 0, "what it is already");
    assert_eq!(stream.tell(Notice::Became(a_process(1, 1), at(4))), 2);
    stream.sample(10, facts(BOOT, &[seen(1, 1)]));
    let rows = stream.rows();
    assert_eq!(rows.len(), 3, "{rows:#?}");
    let programs: Vec<_> = rows.iter().filter(|r| matches!(r.fact, Fact::Process(_))).collect();
    assert_eq!((programs[0].life.ended, programs[1].life.began), (Some(at(4)), Some(at(4))));
    assert_eq!(programs[1].life.first_seen, Some(at(10)));
    let file = rows.iter().find(|r| matches!(r.fact, Fact::File(_))).unwrap();
    assert_eq!((file.life.first_seen, file.life.last_seen), (Some(at(0)), Some(at(10))));
}

#[test]
fn a_programs_digest_is_learned_by_those_who_run_it_and_told_again_in_the_next_bundle() {
    let mut stream = Stream::new();
    let exe = RawText::from("/bin/sh");
    let running = |seen: &[Seen]| {
        let mut facts = facts(BOOT, seen);
        for fact in &mut facts {
            if let Fact::Process(process) = fact {
                process.key.exe = Reading::Known("/bin/sh".into());
            }
        }
        facts
    };
    stream.sample(0, running(&[seen(1, 0), seen(2, 0)]));
    let process = a_process(1, 0);
    let notice = |exe: &RawText, byte| Notice::Program {
        entity: process.key.entity,
        exe: exe.clone(),
        sha256: Sha256([byte; 32]),
    };
    assert_eq!(stream.tell(notice(&RawText::from("/another"), 1)), 0, "it runs something else by now");
    assert_eq!(stream.tell(notice(&exe, 2)), 1);
    assert_eq!(stream.tell(notice(&exe, 3)), 0, "the first answer stays");
    let known = |fact: &Fact| match fact {
        Fact::Process(p) if p.key.entity == process.key.entity => p.details.exe_sha256,
        Fact::Process(p) => p.details.exe_sha256.map(|_| Sha256([0; 32])),
        _ => None,
    };
    stream.differ.begin_bundle();
    let next = stream.differ.observe(&Source::Process, at(9), 1, running(&[seen(1, 0)]).into()).unwrap();
    assert_eq!(next.added.iter().find_map(|added| known(&added.fact)), Some(Sha256([2; 32])));
    let learned: Vec<_> = stream.rows().iter().filter_map(|row| known(&row.fact)).collect();
    assert_eq!(learned, [Sha256([2; 32])]);
}

#[test]
fn what_an_event_says_and_the_next_reading_does_not_show_is_put_right() {
    let mut stream = Stream::new();
    stream.sample(0, facts(BOOT, &[seen(1, 0)]));
    stream.tell(Notice::Gone { process: a_process(1, 0), began: None, at: at(1) });
    stream.tell(Notice::Began(Fact::from(a_process(2, 0)), at(2)));
    // The sampler saw no reason to look again.
    stream.sample(10, reading(&[], Vec::new()));
    let rows = stream.rows();
    let live: Vec<&Row> = rows.iter().filter(|r| r.life.cut_right).collect();
    assert_eq!(live.len(), 2, "process 1 and its file are shown: {rows:#?}");
    let other = rows.iter().find(|r| r.life.began == Some(at(2))).unwrap();
    assert_eq!((other.life.first_seen, other.life.gone_by), (None, Some(at(10))));
}

#[test]
fn a_closed_socket_ends_for_all_its_holders() {
    let shared = |pid| {
        let Fact::Endpoint(mut shared) = endpoint(1) else { unreachable!() };
        shared.key.holder = Some(a_process(pid, 0).key.entity);
        shared
    };
    let mut differ = Differ::default();
    let mut tracker = Tracker::new(RunId([1; 16]), ZoneOffset::UTC);
    let both: Vec<Fact> = [1, 2].map(|pid| Fact::Endpoint(shared(pid))).into();
    let sample = differ.observe(&Source::Endpoint, at(0), 1, both.into()).unwrap();
    tracker.apply(Record::Sample(sample)).unwrap();
    let Fact::Endpoint(unheld) = endpoint(1) else { unreachable!() };
    let Fact::Endpoint(other) = endpoint(2) else { unreachable!() };
    let mut close = |endpoint: Endpoint, t| {
        let records = differ.notice(Notice::Closed { endpoint, at: at(t) });
        records.into_iter().for_each(|record| tracker.apply(record).unwrap());
    };
    close(*unheld, 3);
    close(*other, 4);
    let rows = tracker.finish().rows;
    assert_eq!(rows.iter().filter(|row| row.life.ended == Some(at(3))).count(), 2);
    let passed: Vec<_> = rows.iter().filter(|row| row.life.ended == Some(at(4))).collect();
    assert_eq!((passed.len(), passed[0].life.first_seen), (1, None));
}

#[test]
fn a_connection_in_time_wait_outlives_its_socket() {
    let Fact::Endpoint(mut left) = endpoint(1) else { unreachable!() };
    let closed = left.clone();
    left.key.state = TcpState::TimeWait;
    let mut differ = Differ::default();
    differ.observe(&Source::Endpoint, at(0), 1, vec![Fact::Endpoint(left)].into()).unwrap();
    let records = differ.notice(Notice::Closed { endpoint: *closed, at: at(3) });
    assert_eq!(records, [], "neither an end nor another endpoint that passed");
}

#[test]
fn what_an_audit_finds_appeared_after_the_last_real_reading() {
    let mut stream = Stream::new();
    stream.sample(0, facts(BOOT, &[seen(1, 0)]));
    stream.sample(10, reading(&[], Vec::new()));
    let mut found = reading(&[1], facts(BOOT, &[Seen { files: [true, true], ..seen(1, 0) }]));
    let Extent::Subjects(read) = &mut found.extent else { unreachable!() };
    read[0].since = Some(at(0));
    assert!(stream.differ.would_lose(&Source::Process, &found), "no keyframe can say that");
    stream.sample(20, found);
    let rows = stream.rows();
    let late = rows.iter().find(|row| row.fact.same(&file(BOOT, 1, 1))).unwrap();
    assert_eq!((late.life.first_seen, late.life.appeared_after), (Some(at(20)), Some(at(0))));
}

#[test]
fn no_bundle_begins_while_an_event_knows_more_of_a_veiled_process_than_readings_do() {
    let mut stream = Stream::new();
    let veiled = facts(BOOT, &[Seen { readable: false, ..seen(1, 0) }]);
    stream.sample(0, veiled.clone());
    stream.tell(Notice::Began(file(BOOT, 1, 0), at(3)));
    for next in [reading(&[], Vec::new()), reading(&[1], veiled.clone()), veiled.into()] {
        assert!(stream.differ.would_lose(&Source::Process, &next), "a keyframe would say that it is closed");
    }
    stream.sample(10, reading(&[], Vec::new()));
    assert!(!stream.differ.would_lose(&Source::Process, &reading(&[], Vec::new())), "now it can begin");
    let rows = stream.rows();
    let told = rows.iter().find(|row| row.fact.same(&file(BOOT, 1, 0))).unwrap();
    assert_eq!((told.life.began, told.life.gone_by), (Some(at(3)), None));
}

#[test]
fn a_keyframe_shows_what_was_not_read_again() {
    let mut stream = Stream::new();
    stream.sample(0, facts(BOOT, &[seen(1, 0), seen(2, 0)]));
    stream.differ.begin_bundle();
    let sample = stream
        .differ
        .observe(&Source::Process, at(10), 1, reading(&[1], facts(BOOT, &[seen(1, 1)])))
        .unwrap();
    assert!(sample.keyframe && sample.removed.is_empty());
    assert_eq!((sample.added.len(), stream.differ.shown(&Source::Process).count()), (4, 4));
}

#[test]
fn changes_of_nothing_are_refused() {
    let mut differ = Differ::default();
    let part = reading(&[1], Vec::new());
    let error = differ.observe(&Source::Process, at(0), 1, part).unwrap_err();
    assert!(matches!(error, DiffError::NothingBefore { .. }), "{error}");
    differ.observe(&Source::Process, at(1), 1, Observation::default()).unwrap();
    differ.forget(&Source::Process);
    assert!(differ.observe(&Source::Process, at(2), 1, reading(&[1], Vec::new())).is_err());
}
