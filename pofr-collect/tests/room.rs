//! A spool without room: nothing of it ends the recording, nothing is lost silently, no number is used twice.
#![expect(clippy::unwrap_used, reason = "what a test cannot go on without ends it")]

#[path = "spooled/mod.rs"]
mod spooled;
#[path = "../../tests/src/tmpfs.rs"]
#[expect(unreachable_pub, reason = "tests of other crates use it, too")]
mod tmpfs;

use pofr_collect::{Spool, SpoolSettings};
use pofr_core::{
    Sink as _,
    collector::Closing,
    gap::{Gap, Severity},
    record::Record,
    time::WallMicros,
    wire::v2::{Bundle, Limits, open},
};
use spooled::{opening, sample, view};
use std::{
    collections::BTreeSet,
    path::{Path, PathBuf},
};
use tmpfs::Tmpfs;

/// Writes a whole bundle of one sample, as a recorder does: what the beginning tells is written, too.
fn bundle(spool: &mut Spool, stamp: i64, bytes: usize) {
    begin(spool, stamp, bytes);
    spool.finish(&Closing::default()).unwrap();
}

fn begin(spool: &mut Spool, stamp: i64, bytes: usize) {
    for gap in spool.begin(&opening(stamp)).unwrap() {
        spool.accept(&Record::Gap(gap)).unwrap();
    }
    spool.accept(&sample(stamp, bytes)).unwrap();
    spool.idle(1_000_000).unwrap();
}

fn bundles(dir: &Path) -> Vec<Bundle> {
    let list = std::fs::read_dir(dir).unwrap().map(|e| e.unwrap().path());
    let tars = list.filter(|path: &PathBuf| path.extension().is_some_and(|e| e == "tar"));
    let mut bundles: Vec<_> =
        tars.map(|path| open(&std::fs::read(path).unwrap(), Limits::default()).unwrap()).collect();
    bundles.sort_by_key(|bundle| bundle.manifest.seq);
    bundles
}

fn seqs(bundles: &[Bundle]) -> Vec<u64> {
    bundles.iter().map(|bundle| bundle.manifest.seq).collect()
}

fn gaps(bundles: &[Bundle], reason: &str) -> Vec<Gap> {
    let records = bundles.iter().flat_map(|bundle| bundle.records().unwrap());
    records
        .filter_map(|record| match record.unwrap() {
            Record::Gap(gap) if gap.reason.starts_with(reason) => Some(gap),
            _ => None,
        })
        .collect()
}

/// Every number is there or named as missing, and none both.
fn assert_nothing_is_lost_silently(bundles: &[Bundle]) {
    let there: BTreeSet<u64> = bundles.iter().map(|bundle| bundle.manifest.seq).collect();
    assert_eq!(there.len(), bundles.len(), "no number is used twice");
    let named: BTreeSet<u64> = bundles.iter().flat_map(|bundle| bundle.manifest.missing.clone()).collect();
    assert!(there.is_disjoint(&named), "{there:?} {named:?}");
    let last = there.last().copied().unwrap_or(0);
    let silent: Vec<u64> = (1..=last).filter(|seq| !there.contains(seq) && !named.contains(seq)).collect();
    assert!(silent.is_empty(), "{silent:?} are neither there nor missed");
}

/// A spool and a state, each in a file system of its own.
struct Place {
    spool: Tmpfs,
    state: Tmpfs,
}

impl Place {
    fn new(kib: u64) -> Option<Self> {
        Some(Self { spool: Tmpfs::mount(kib)?, state: Tmpfs::mount(512)? })
    }

    fn settings(&self, max_bytes: Option<u64>) -> SpoolSettings {
        SpoolSettings {
            state_dir: self.state.path().to_owned(),
            max_bytes,
            ..SpoolSettings::beside(self.spool.path())
        }
    }

    fn open(&self) -> Spool {
        Spool::open(&view(), self.settings(None)).unwrap()
    }
}

#[test]
fn a_full_spool_costs_nothing_once_there_is_room_again() {
    let Some(place) = Place::new(4_096) else { return };
    let mut spool = place.open();
    bundle(&mut spool, 1_000, 10_000);
    let filler = place.spool.fill_but(0);
    // Somebody fills up the reserve as well, as soon as it is given up.
    begin(&mut spool, 2_000, 400_000);
    let more = place.spool.path().join("more");
    let fill = || {
        let _ = std::io::copy(
            &mut std::io::Read::take(std::io::repeat(0), 8 << 20),
            &mut std::fs::OpenOptions::new().append(true).create(true).open(&more).unwrap(),
        );
    };
    fill();
    spool.accept(&sample(2_001, 400_000)).unwrap();
    spool.finish(&Closing::default()).unwrap();
    for stamp in [3_000, 4_000] {
        fill();
        bundle(&mut spool, stamp, 400_000);
    }
    let status = spool.status();
    assert!(status.no_room.as_ref().is_some_and(|why| why.contains("No space left")), "{status:?}");
    assert!(status.bytes_in_memory > 400_000, "{status:?}");
    for path in [filler, more] {
        std::fs::remove_file(path).unwrap();
    }
    bundle(&mut spool, 5_000, 10_000);
    assert_eq!((spool.status().no_room, spool.status().bytes_in_memory), (None, 0));
    bundle(&mut spool, 6_000, 10_000);
    let bundles = bundles(place.spool.path());
    assert_eq!(seqs(&bundles), [1, 2, 3, 4, 5, 6]);
    assert!(bundles.iter().all(|bundle| bundle.manifest.complete && bundle.manifest.missing.is_empty()));
    let told = gaps(&bundles, "no room: cannot write ");
    assert!(told.iter().all(|gap| gap.severity == Severity::Thin && gap.source.is_none()), "{told:?}");
    let (from, to) = (told.iter().map(|gap| gap.from.0).min(), told.iter().filter_map(|gap| gap.to).max());
    assert!(from >= Some(1_000) && from <= Some(3_000), "{told:?}");
    assert!(to >= Some(WallMicros(4_000)), "{told:?}");
}

#[test]
fn what_memory_cannot_hold_is_named_as_missing_the_oldest_first() {
    let Some(place) = Place::new(2_048) else { return };
    let mut spool = place.open();
    bundle(&mut spool, 1_000, 10_000);
    let filler = place.spool.fill_but(0);
    // The reserve, which is given up, has room for none of these.
    for i in 2..=12 {
        bundle(&mut spool, i * 1_000, 3 << 20);
    }
    assert!(spool.status().bytes_in_memory <= 20 << 20, "{:?}", spool.status());
    assert!(spool.status().dropped >= 5, "{:?}", spool.status());
    std::fs::remove_file(filler).unwrap();
    place.spool.resize(65_536);
    bundle(&mut spool, 13_000, 10_000);
    bundle(&mut spool, 14_000, 10_000);
    let bundles = bundles(place.spool.path());
    assert_nothing_is_lost_silently(&bundles);
    let seqs = seqs(&bundles);
    assert!(seqs[0] == 1 && seqs[1] > 6 && seqs.ends_with(&[11, 12, 13, 14]), "{seqs:?}");
    let told = gaps(&bundles, "bundle ");
    assert!(
        told.iter().any(|gap| gap.reason.ends_with(" is lost: there was no room to write it")),
        "{told:?}"
    );
}

#[test]
fn while_the_state_cannot_be_written_no_number_is_seen_that_could_be_used_again() {
    let Some(place) = Place::new(16_384) else { return };
    for is_killed in [false, true] {
        let mut spool = place.open();
        let first = spool.status().last.map_or(1, |last| last.seq.0 + 1);
        let at = |n: u64| i64::try_from((first + n) * 1_000).unwrap();
        bundle(&mut spool, at(0), 1_000);
        let filler = place.state.fill_but(0);
        for n in 1..4 {
            bundle(&mut spool, at(n), 1_000);
        }
        begin(&mut spool, at(4), 1_000);
        assert!(spool.status().no_room.is_some(), "{:?}", spool.status());
        let seen = seqs(&bundles(place.spool.path()));
        assert_eq!(seen.last(), Some(&first), "what the state does not know of is not seen");
        let frames = |dir: &Path| {
            let names =
                std::fs::read_dir(dir).unwrap().map(|e| e.unwrap().file_name().into_string().unwrap());
            names.filter(|name| name.ends_with(".frames")).collect::<Vec<_>>()
        };
        let frames = frames(&place.spool.path().join(".open"));
        assert!(frames.iter().all(|name| *name == format!("{}.frames", first + 1)), "{frames:?}");
        if is_killed {
            drop(spool);
            std::fs::remove_file(filler).unwrap();
            let mut spool = place.open();
            bundle(&mut spool, at(9), 1_000);
            let bundles = bundles(place.spool.path());
            assert_nothing_is_lost_silently(&bundles);
            let told = gaps(&bundles, "the recorder was not running");
            // From what was written last to what was seen first.
            assert!(
                told.iter().any(|gap| gap.from.0 <= at(1) && gap.to == Some(WallMicros(at(9)))),
                "{told:?}"
            );
        } else {
            spool.finish(&Closing::default()).unwrap();
            std::fs::remove_file(filler).unwrap();
            bundle(&mut spool, at(5), 1_000);
            let bundles = bundles(place.spool.path());
            assert_eq!(seqs(&bundles), (1..=first + 5).collect::<Vec<_>>());
            assert_nothing_is_lost_silently(&bundles);
        }
    }
}

#[test]
fn killed_without_room_it_misses_what_was_in_memory_by_name() {
    let Some(place) = Place::new(2_048) else { return };
    let mut spool = place.open();
    bundle(&mut spool, 1_000, 1_000);
    let filler = place.spool.fill_but(0);
    for i in 2..=4 {
        bundle(&mut spool, i * 1_000, 3 << 20);
    }
    drop(spool);
    std::fs::remove_file(filler).unwrap();
    let mut spool = place.open();
    bundle(&mut spool, 9_000, 1_000);
    let bundles = bundles(place.spool.path());
    assert_eq!(seqs(&bundles), [1, 5]);
    assert_eq!(bundles[1].manifest.missing, [2, 3, 4]);
    let told = gaps(&bundles, "bundle 3 is lost: there was no room to write it");
    assert_eq!((told[0].from.0, told[0].to), (3_000, Some(WallMicros(3_000))));
}

#[test]
fn it_begins_in_a_spool_that_is_full() {
    let Some(place) = Place::new(2_048) else { return };
    // Not a directory, not a mark has room.
    let filler = place.spool.fill_but(0);
    let mut spool = place.open();
    bundle(&mut spool, 1_000, 100_000);
    std::fs::remove_file(filler).unwrap();
    bundle(&mut spool, 2_000, 1_000);
    drop(spool);
    // The next knows it for the same.
    let mut spool = place.open();
    bundle(&mut spool, 3_000, 1_000);
    let bundles = bundles(place.spool.path());
    assert_eq!(seqs(&bundles), [1, 2, 3]);
    assert!(bundles.iter().all(|bundle| bundle.manifest.missing.is_empty()));
}

#[test]
fn a_flood_leaves_half_of_the_spool_to_what_was_before_it() {
    let dir = tempfile::tempdir().unwrap();
    let settings = SpoolSettings { max_bytes: Some(8 << 20), ..SpoolSettings::beside(dir.path()) };
    let mut spool = Spool::open(&view(), settings).unwrap();
    for i in 1..=30 {
        bundle(&mut spool, i * 1_000, 50_000);
    }
    for i in 31..=60 {
        bundle(&mut spool, i * 1_000, 900_000);
    }
    let status = spool.status();
    assert!(status.bytes <= 8 << 20, "{status:?}");
    let held = bundles(dir.path());
    let kept = seqs(&held);
    assert_eq!(kept[..30], (1..=30).collect::<Vec<_>>(), "all that was before it is there");
    assert!(kept.ends_with(&[57, 58, 59, 60]), "and its newest: {kept:?}");
    // Who named the first of the flood went as well; that they are missing shows by their numbers.
    assert!((31..=56).any(|seq| !kept.contains(&seq)), "{kept:?}");
}

#[test]
fn a_bundle_ends_before_it_has_more_than_its_part_of_the_spool() {
    let dir = tempfile::tempdir().unwrap();
    let settings = SpoolSettings { max_bytes: Some(32 << 20), ..SpoolSettings::beside(dir.path()) };
    let mut spool = Spool::open(&view(), settings).unwrap();
    begin(&mut spool, 1_000, 1 << 20);
    assert!(!spool.is_full());
    spool.accept(&sample(2_000, 1 << 20)).unwrap();
    spool.idle(1_000_000).unwrap();
    assert!(spool.is_full());
}
