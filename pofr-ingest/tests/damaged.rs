//! Of a bundle with a bad record, what stands before it is taken, and a gap stands for the rest.

#![expect(clippy::unwrap_used, reason = "a test that unwraps nothing fails, as it should")]

use pofr_core::{
    collector::Closing,
    gap::Severity,
    identity::{BootId, BundleSeq, Cid, RunId},
    record::{FactId, Record, Sample},
    source::Source,
    time::{WallMicros, ZoneOffset},
    wire::v2::{Encoder, Header, Limits, open, seal},
};
use pofr_ingest::{Inbox, track};

fn sample(stamp: i64, keyframe: bool, removed: Vec<FactId>) -> Record {
    Record::Sample(Sample {
        source: Source::Host,
        stamp: WallMicros(stamp),
        span_micros: 1,
        keyframe,
        removed,
        lost: Vec::new(),
        learned: Vec::new(),
        added: Vec::new(),
    })
}

/// Seals these samples as one bundle.
fn bundle(records: &[Record]) -> pofr_core::wire::v2::Sealed {
    let header = Header {
        cid: Cid::parse("c").unwrap(),
        run: RunId([1; 16]),
        boot: BootId([2; 16]),
        seq: BundleSeq(5),
        previous: None,
        zone: ZoneOffset::UTC,
        interval_micros: 1,
        opened_wall: WallMicros(1_000),
        opened_boot_micros: 0,
        recorder_pids: Vec::new(),
        sources: Vec::new(),
        missing: Vec::new(),
    };
    let mut encoder = Encoder::new(&header);
    records.iter().for_each(|record| encoder.push(record));
    seal(&encoder.flush().unwrap(), true, &Closing::default()).unwrap()
}

#[test]
fn a_blind_gap_stands_for_what_follows_a_bad_record() {
    let bad = sample(1_002, false, vec![FactId(77)]);
    let sealed = bundle(&[
        sample(1_000, true, vec![]),
        sample(1_001, false, vec![]),
        bad,
        sample(1_009, false, vec![]),
    ]);
    let opened = open(&sealed.tar, Limits::default()).unwrap();
    let tracked = track::track_v2(&sealed.name.parse().unwrap(), &opened, WallMicros(2_000)).unwrap();
    let entry = &tracked.stored.entry;
    assert_eq!((entry.first, entry.last, entry.samples), (WallMicros(1_000), WallMicros(1_001), 2));
    assert_eq!(
        (entry.complete, entry.sha256),
        (false, sealed.sha256),
        "it is the original that is in the chain"
    );
    let gap = track::damage(&tracked.stored).unwrap();
    assert_eq!((gap.severity, &gap.source), (Severity::Blind, &None));
    assert_eq!((gap.from, gap.to), (WallMicros(1_001), Some(WallMicros(1_009))));
    assert!(gap.reason.contains("after record 2: ") && gap.reason.contains("names fact 77"), "{gap:?}");
    assert!(tracked.stored.spans.iter().all(|span| !span.joins_right), "nothing joins what follows it");
    assert!(tracked.damage.is_some());
}

#[test]
fn a_bundle_whose_first_sample_is_bad_is_refused() {
    let sealed = bundle(&[sample(1_000, false, vec![]), sample(1_001, true, vec![])]);
    let opened = open(&sealed.tar, Limits::default()).unwrap();
    track::track_v2(&sealed.name.parse().unwrap(), &opened, WallMicros(2_000)).unwrap_err();
}

#[test]
fn what_is_taken_in_part_lies_in_quarantine_once() {
    let dir = tempfile::tempdir().unwrap();
    std::fs::write(dir.path().join("x.tar"), "bytes").unwrap();
    let inbox = Inbox::new(dir.path(), 100);
    let candidates = inbox.candidates().unwrap();
    for _ in 0..2 {
        inbox.copy_to_quarantine(&candidates[0], "why").unwrap();
    }
    let read = |name: &str| std::fs::read_to_string(inbox.quarantine_dir().join(name)).unwrap();
    assert_eq!((read("x.tar"), read("x.tar.reason")), ("bytes".to_owned(), "why\n".to_owned()));
    assert_eq!(std::fs::read_dir(inbox.quarantine_dir()).unwrap().count(), 2);
    assert!(candidates[0].path().exists(), "the ingest clears it when the record has it");
}
