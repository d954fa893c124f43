//! A damaged file of ours costs only itself: the next start goes on, and the next bundle says what is lost.
#![expect(clippy::unwrap_used, reason = "what a test cannot go on without ends it")]

use pofr_collect::{HostView, Spool, SpoolError, SpoolSettings};
use pofr_core::{
    Sink as _, Source,
    collector::{Closing, Opening},
    gap::Gap,
    identity::RunId,
    record::{Record, Sample},
    time::{WallMicros, ZoneOffset},
    wire::v2::{Limits, open},
};
use std::{
    fs,
    path::{Path, PathBuf},
};

fn at(dir: &Path) -> SpoolSettings {
    SpoolSettings { state_dir: dir.join("state"), ..SpoolSettings::beside(dir.join("spool")) }
}

fn start(dir: &Path) -> Spool {
    Spool::open(&HostView::live().unwrap(), at(dir)).unwrap()
}

fn begin(spool: &mut Spool, stamp: i64) -> Vec<Gap> {
    let opening = Opening {
        run: RunId([7; 16]),
        boot: HostView::live().unwrap().boot,
        zone: ZoneOffset::UTC,
        interval_micros: 1_000,
        opened_wall: WallMicros(stamp),
        opened_boot_micros: stamp,
        recorder_pids: Vec::new(),
        sources: vec![Source::Host],
    };
    spool.begin(&opening).unwrap()
}

/// Writes a sample, on the medium when this returns.
fn tick(spool: &mut Spool, stamp: i64, keyframe: bool) {
    let sample = Sample {
        source: Source::Host,
        stamp: WallMicros(stamp),
        span_micros: 1,
        keyframe,
        removed: Vec::new(),
        lost: Vec::new(),
        learned: Vec::new(),
        added: Vec::new(),
    };
    spool.accept(&Record::Sample(sample)).unwrap();
    spool.idle(1_000_000).unwrap();
}

/// Records two bundles and a third that is left open after five ticks.
fn killed(dir: &Path) {
    let mut spool = start(dir);
    for n in 1..=2 {
        begin(&mut spool, n * 1_000);
        tick(&mut spool, n * 1_000, true);
        spool.finish(&Closing::default()).unwrap();
    }
    begin(&mut spool, 3_000);
    for n in 0..5 {
        tick(&mut spool, 3_000 + n, n == 0);
    }
}

/// Begins the next bundle and returns its gaps; ends it, and checks that every bundle there can be read.
fn go_on(dir: &Path) -> (Vec<Gap>, Vec<u64>) {
    let mut spool = start(dir);
    let gaps = begin(&mut spool, 9_000);
    tick(&mut spool, 9_000, true);
    spool.finish(&Closing::default()).unwrap();
    // What was said is said once.
    let again = begin(&mut spool, 9_500);
    assert!(!again.iter().any(|gap| gap.reason.starts_with("set aside:")), "{again:?}");
    let mut numbers: Vec<u64> = spool
        .bundles()
        .map(|path| {
            let bundle = open(&fs::read(path).unwrap(), Limits::default()).unwrap();
            bundle.records().unwrap().for_each(|record| drop(record.unwrap()));
            bundle.manifest.seq
        })
        .collect();
    numbers.sort_unstable();
    (gaps, numbers)
}

fn aside(gaps: &[Gap]) -> Vec<&str> {
    gaps.iter().map(|gap| &*gap.reason).filter(|reason| reason.starts_with("set aside:")).collect()
}

fn frames(dir: &Path) -> PathBuf {
    dir.join("spool/.open/3.frames")
}

#[test]
fn what_is_good_of_a_damaged_bundle_is_kept() {
    let dir = tempfile::tempdir().unwrap();
    killed(dir.path());
    let mut bytes = fs::read(frames(dir.path())).unwrap();
    let last = bytes.len() - 2;
    bytes[last] ^= 1;
    fs::write(frames(dir.path()), &bytes).unwrap();
    let (gaps, numbers) = go_on(dir.path());
    assert_eq!(numbers, [1, 2, 3, 4]);
    let [said] = aside(&gaps)[..] else { panic!("{gaps:?}") };
    assert!(said.contains("3.frames") && said.contains(".aside/3.frames.1"), "{said}");
    assert_eq!(fs::read(dir.path().join("spool/.open/.aside/3.frames.1")).unwrap(), bytes);
    // The blind span begins with the last good sample.
    assert!(
        gaps.iter().any(|gap| gap.from == WallMicros(3_003) && gap.to == Some(WallMicros(9_000))),
        "{gaps:?}"
    );
}

#[test]
fn a_bundle_of_which_nothing_can_be_read_is_lost_and_named() {
    let dir = tempfile::tempdir().unwrap();
    killed(dir.path());
    fs::write(frames(dir.path()), b"no frame at all").unwrap();
    let (gaps, numbers) = go_on(dir.path());
    assert_eq!((numbers, aside(&gaps).len()), (vec![1, 2, 4], 1), "{gaps:?}");
    assert!(gaps.iter().any(|gap| gap.reason.starts_with("bundle 3 is lost")), "{gaps:?}");
}

#[test]
fn a_state_that_cannot_be_read_is_made_anew_of_what_is_there() {
    let dir = tempfile::tempdir().unwrap();
    killed(dir.path());
    let path = dir.path().join("state/state.json");
    fs::write(&path, b"\x00").unwrap();
    let (gaps, numbers) = go_on(dir.path());
    assert_eq!((numbers, aside(&gaps).len()), (vec![1, 2, 3, 4], 1), "no number is used twice: {gaps:?}");
    assert_eq!(fs::read(dir.path().join("state/.aside/state.json.1")).unwrap(), b"\x00");
}

#[test]
fn a_state_of_a_later_version_is_not_touched() {
    let dir = tempfile::tempdir().unwrap();
    fs::create_dir(dir.path().join("state")).unwrap();
    let later = br#"{"version": 2, "what": "nobody knows yet"}"#;
    fs::write(dir.path().join("state/state.json"), later).unwrap();
    let refused = Spool::open(&HostView::live().unwrap(), at(dir.path()));
    assert!(matches!(refused, Err(SpoolError::State { .. })), "{refused:?}");
    assert_eq!(fs::read(dir.path().join("state/state.json")).unwrap(), later);
}

/// splitmix64.
fn roll(state: &mut u64) -> usize {
    *state = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
    let mut z = *state;
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    (z ^ (z >> 31)) as usize
}

#[test]
fn whatever_is_flipped_or_cut_the_next_start_goes_on_and_says_so() {
    for seed in 0..60 {
        let dir = tempfile::tempdir().unwrap();
        killed(dir.path());
        let mut dice = seed;
        let sealing = dir.path().join("spool/.open/2.sealing");
        let files = [frames(dir.path()), dir.path().join("state/state.json"), sealing.clone()];
        let path = &files[roll(&mut dice) % files.len()];
        if *path == sealing {
            // As a recorder leaves it that ends before the last step.
            let named = fs::read_dir(dir.path().join("spool")).unwrap().map(|e| e.unwrap().path());
            let named = named.filter(|p| p.to_str().unwrap().ends_with(".tar")).max().unwrap();
            fs::rename(named, &sealing).unwrap();
        }
        let mut bytes = fs::read(path).unwrap();
        let is_cut = roll(&mut dice).is_multiple_of(3);
        if is_cut {
            bytes.truncate(roll(&mut dice) % bytes.len());
        } else {
            for _ in 0..1 + roll(&mut dice) % 4 {
                let at = roll(&mut dice) % bytes.len();
                bytes[at] ^= 1 + (roll(&mut dice) % 255) as u8;
            }
        }
        fs::write(path, &bytes).unwrap();
        let (gaps, numbers) = go_on(dir.path());
        let what = format!("seed {seed}, {}, {numbers:?}, {gaps:#?}", path.display());
        assert!(numbers.contains(&1), "{what}");
        let is_whole = [1, 2, 3].iter().all(|n| numbers.contains(n));
        let last = *numbers.last().unwrap();
        let is_named = |n: u64| gaps.iter().any(|gap| gap.reason.starts_with(&format!("bundle {n} is lost")));
        for lost in (1..last).filter(|n| !numbers.contains(n)) {
            assert!(is_named(lost) || aside(&gaps).len() == 1, "{lost}: {what}");
        }
        // A frame that was cut off is what a kill leaves; everything else is set aside.
        let is_kill = *path == files[0] && is_cut;
        assert!(is_kill || !aside(&gaps).is_empty() || is_whole && *path == files[0], "{what}");
        assert!(gaps.iter().any(|gap| gap.to == Some(WallMicros(9_000))), "{what}");
    }
}
