//! Limits: whatever is handed in, the bundle that comes of it is one that every reader takes, and what it shows is what was seen.

mod machine;
mod recording;

use machine::{Step, steps};
use pofr_core::{
    collector::{Audit, Closing, Notice, Observation},
    diff::Differ,
    fact::{Fact, FileDetails, FileKey, FileMode, OpenFile},
    identity::{BundleSeq, Entity, Pid, StartTicks},
    limits,
    raw::RawText,
    source::Source,
    time::WallMicros,
    wire::v2::{Encoder, Header, Limits, layout, open, seal},
};
use proptest::prelude::*;
use recording::{BOOT, Recording};
use std::collections::BTreeMap;

proptest! {
    #![proptest_config(ProptestConfig { cases: 200, ..ProptestConfig::default() })]

    #[test]
    fn what_is_written_is_read(steps in steps(), facts in 1..60usize, bytes in 5_000..500_000u64) {
        let mut recording = Recording::new(facts, bytes);
        for step in steps {
            match step {
                Step::Reading { source, seen, stamp } => recording.read(&source, seen, stamp),
                Step::Notice(notice) => recording.tell(*notice),
                Step::Gap(gap) => recording.gap(gap),
                Step::Bundle => recording.end_bundle(),
            }
        }
        recording.end_bundle();
    }
}

#[test]
fn a_header_and_a_manifest_are_no_larger_than_they_may_be() {
    let header = Header {
        missing: (0..200_000).map(|n| BundleSeq(u64::MAX - n)).collect(),
        recorder_pids: (0..200_000).map(Pid).collect(),
        sources: (0..1_000).map(|n| Source::Custom(format!("{n:064}").into())).collect(),
        ..recording::header()
    };
    let long = "n\u{1}".repeat(5_000);
    let notes: BTreeMap<String, String> = (0..500).map(|n| (format!("{n}{long}"), long.clone())).collect();
    let losses = notes.keys().map(|name| (name.clone(), u64::MAX)).collect();
    let audits = notes.keys().map(|name| (name.clone(), Audit::default())).collect();
    let sealed =
        seal(&Encoder::new(&header).flush().unwrap(), true, &Closing { notes, losses, audits }).unwrap();
    let bundle = open(&sealed.tar, Limits::default()).unwrap();
    assert!(bundle.manifest_bytes.len() as u64 <= limits::MANIFEST.written);
    assert_eq!(bundle.header.missing, header.missing[..limits::MISSING.most()]);
    layout(std::io::Cursor::new(&sealed.tar)).unwrap();
}

fn entity(pid: u32) -> Entity {
    Entity::Started { boot: BOOT, pid: Pid(pid), start: StartTicks(1) }
}

fn file(pid: u32, fd: u32, path: &RawText) -> Fact {
    let key = FileKey { entity: entity(pid), fd, path: path.clone(), mode: FileMode::Read, deleted: false };
    Fact::File(OpenFile { key, details: FileDetails::default() })
}

/// Readings of one source after another.
fn read(recording: &mut Recording, readings: &[&[Fact]]) {
    for facts in readings {
        recording.read(&Source::Process, Observation::from(facts.to_vec()), None);
    }
}

#[test]
fn who_has_most_loses_and_the_others_are_whole() {
    let mut recording = Recording::new(100, 1 << 20);
    let path = RawText::from("/f");
    let many: Vec<Fact> =
        (0..500).map(|fd| file(1, fd, &path)).chain((0..300).map(|fd| file(2, fd, &path))).collect();
    let few: Vec<Fact> = (0..20).map(|fd| file(3, fd, &path)).collect();
    let all = [many, few.clone()].concat();
    read(&mut recording, &[&few, &all, &all, &few]);
    let shown = recording.shown_at(1);
    assert!(few.iter().all(|fact| shown.contains(&fact.digest())), "who has few is told in full");
    assert!((80..=100).contains(&shown.len()), "{}", shown.len());
    let bundle = recording.end_bundle_with_gaps();
    let cut: Vec<&str> =
        bundle.gaps.iter().map(|gap| &*gap.reason).filter(|r| r.starts_with("cut:")).collect();
    assert_eq!(cut.len(), 2, "when it begins and when it ends: {cut:?}");
    assert!(
        cut[0].contains("of pid 1,") && cut[0].contains("of pid 2:") && !cut[0].contains("pid 3"),
        "{cut:?}"
    );
    // What was left out is not said to have gone, nor to have come when it is told.
    let hidden = bundle.rows.iter().filter(|row| row.fact.digest() == all[0].digest());
    assert!(
        hidden
            .into_iter()
            .all(|row| row.life.gone_by.is_none() || row.life.gone_by == Some(recording.stamp(3)))
    );
}

#[test]
fn a_keyframe_larger_than_a_message_does_not_end_the_recording() {
    let mut recording = Recording::new(1_000, 100 * limits::PATH.written);
    let path = RawText::from(vec![b'p'; limits::PATH.most()]);
    let all: Vec<Fact> = (0..100).flat_map(|fd| [file(1, fd, &path), file(2, fd, &path)]).collect();
    let few = [file(3, 0, &path)];
    read(&mut recording, &[&[&all[..], &few].concat(), &few]);
    assert!(recording.shown_at(0).contains(&few[0].digest()));
    let bundle = recording.end_bundle_with_gaps();
    assert!(bundle.gaps.iter().any(|gap| gap.reason.starts_with("cut:") && gap.reason.contains("pid 1")));
}

#[test]
fn ten_thousand_events_of_one_process_cost_as_much_each_as_one() {
    let work = |many: u32, files: u32| {
        let mut differ = Differ::default();
        let path = RawText::from("/f");
        let process = |name: u32| match machine::process(entity(1), name.to_string().as_str().into()) {
            Fact::Process(process) => *process,
            other => panic!("{other:?}"),
        };
        let mut seen: Vec<Fact> = (0..files).map(|fd| file(1, fd, &path)).collect();
        seen.push(process(0).into());
        differ.observe(&Source::Process, WallMicros(1), 0, seen.into()).unwrap();
        let before = differ.work();
        let mut records = 0;
        for i in 0..many {
            let at = WallMicros(2 + i64::from(i));
            records += differ.notice(Notice::Became(process(i + 1), at)).len();
            // A file that comes and goes, one that stays, one that is there already.
            records += differ.notice(Notice::Began(file(1, files + 1, &path), at)).len();
            records += differ.notice(Notice::Ended(file(1, files + 1, &path), at)).len();
            records += differ.notice(Notice::Began(file(1, files + 2 + i, &path), at)).len();
            records += differ.notice(Notice::Began(file(1, 0, &path), at)).len();
        }
        assert_eq!(records, 5 * many as usize);
        differ.work() - before
    };
    let (one, four) = (work(2_500, 1_000), work(10_000, 1_000));
    assert!(four < 5 * one, "{one} steps, then {four}");
    // Nor does it matter how many files it has open, but for finding them once.
    assert!(work(2_500, 20_000) < one + 3 * 19_000, "{one}");
}

#[test]
fn the_table_is_the_one_that_is_published() {
    let text = include_str!("../../../../docs/format/bundle-v2.md");
    let number = |cell: &str| cell.replace(',', "").parse::<u64>().ok();
    let published: Vec<(String, u64, u64)> = text
        .lines()
        .filter_map(|line| {
            let cells: Vec<&str> = line.trim().trim_matches('|').split('|').map(str::trim).collect();
            let [what, written, read] = cells[..] else { return None };
            let read = if read == "any" { Some(u64::MAX) } else { number(read) };
            Some((what.to_owned(), number(written)?, read?))
        })
        .collect();
    let table: Vec<_> = limits::TABLE.iter().map(|l| (l.what.to_owned(), l.written, l.read)).collect();
    assert_eq!(published, table);
    assert!(limits::TABLE.iter().all(|limit| limit.written <= limit.read));
}
