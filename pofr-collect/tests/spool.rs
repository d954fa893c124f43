//! The spool: the chain, what a killed recorder leaves, what is said of bundles that are gone.
#![expect(clippy::unwrap_used, reason = "what a test cannot go on without ends it")]

mod spooled;

use pofr_collect::{Spool, SpoolError, SpoolSettings};
use pofr_core::{
    Sink as _,
    collector::Closing,
    gap::{Gap, Severity},
    time::WallMicros,
    wire::v2::{Bundle, Limits, open},
};
use spooled::{opening, sample, view};
use std::path::{Path, PathBuf};

fn at(dir: &Path) -> SpoolSettings {
    SpoolSettings { state_dir: dir.join("state"), ..SpoolSettings::beside(dir.join("spool")) }
}

/// Writes a whole bundle of one sample; returns the gaps that came with its beginning.
fn bundle(spool: &mut Spool, stamp: i64, bytes: usize) -> Vec<Gap> {
    let gaps = spool.begin(&opening(stamp)).unwrap();
    spool.accept(&sample(stamp, bytes)).unwrap();
    spool.finish(&Closing::default()).unwrap();
    gaps
}

fn tars(dir: &Path) -> Vec<PathBuf> {
    let list = std::fs::read_dir(dir.join("spool")).unwrap().map(|e| e.unwrap().path());
    let mut tars: Vec<_> = list.filter(|p| p.extension().is_some_and(|e| e == "tar")).collect();
    tars.sort();
    tars
}

/// Opens all bundles, in the order of their numbers.
fn bundles(dir: &Path) -> Vec<(Bundle, String)> {
    let mut bundles: Vec<_> = tars(dir)
        .iter()
        .map(|path| {
            let tar = std::fs::read(path).unwrap();
            let sha256 = pofr_core::digest::Sha256::of(&tar).to_string();
            let name = path.file_name().unwrap().to_str().unwrap();
            assert!(name.ends_with(&format!("#-0330#{sha256}.tar")), "{name}");
            (open(&tar, Limits::default()).unwrap(), sha256)
        })
        .collect();
    bundles.sort_by_key(|(bundle, _)| bundle.manifest.seq);
    bundles
}

fn seqs(bundles: &[(Bundle, String)]) -> Vec<u64> {
    bundles.iter().map(|(bundle, _)| bundle.manifest.seq).collect()
}

/// Checks that each bundle names the one before.
fn assert_chain(bundles: &[(Bundle, String)]) {
    for two in bundles.windows(2) {
        if two[1].0.manifest.seq == two[0].0.manifest.seq + 1 {
            assert_eq!(two[1].0.manifest.previous.as_ref(), Some(&two[0].1));
        }
    }
}

/// Forgets a spool as a kill would: nothing more is written, the locks go.
fn kill(spool: Spool) {
    drop(spool);
}

#[test]
fn the_chain_goes_on_over_restarts_and_the_time_between_is_blind() {
    let dir = tempfile::tempdir().unwrap();
    let mut spool = Spool::open(&view(), at(dir.path())).unwrap();
    let cid = spool.cid();
    assert_eq!(bundle(&mut spool, 1_000, 10), []);
    assert_eq!(bundle(&mut spool, 2_000, 10), []);
    drop(spool);
    let mut spool = Spool::open(&view(), at(dir.path())).unwrap();
    assert_eq!(spool.cid(), cid, "the client's id stays");
    let gaps = bundle(&mut spool, 9_000, 10);
    assert_eq!(gaps.len(), 1);
    assert_eq!((gaps[0].severity, gaps[0].source.clone()), (Severity::Blind, None));
    assert_eq!((gaps[0].from, gaps[0].to), (WallMicros(2_000), Some(WallMicros(9_000))));
    assert_eq!(bundle(&mut spool, 10_000, 10), [], "it is said once");
    let bundles = bundles(dir.path());
    assert_eq!(seqs(&bundles), [1, 2, 3, 4]);
    assert_eq!(bundles[0].0.manifest.previous, None);
    assert!(bundles.iter().all(|(b, _)| b.manifest.complete && b.manifest.missing.is_empty()));
    assert_chain(&bundles);
}

#[test]
fn a_clock_set_back_does_not_turn_the_gap_around() {
    let dir = tempfile::tempdir().unwrap();
    let mut spool = Spool::open(&view(), at(dir.path())).unwrap();
    bundle(&mut spool, 5_000_000, 10);
    drop(spool);
    let mut spool = Spool::open(&view(), at(dir.path())).unwrap();
    let gaps = bundle(&mut spool, 1_000_000, 10);
    assert_eq!((gaps[0].from, gaps[0].to), (WallMicros(1_000_000), Some(WallMicros(1_000_000))));
    assert!(gaps[0].reason.contains("set back"));
}

#[test]
fn an_open_bundle_is_sealed_by_the_next_recorder_up_to_its_last_whole_frame() {
    let dir = tempfile::tempdir().unwrap();
    let mut spool = Spool::open(&view(), at(dir.path())).unwrap();
    bundle(&mut spool, 1_000, 10);
    spool.begin(&opening(2_000)).unwrap();
    spool.accept(&sample(2_000, 10)).unwrap();
    spool.idle(u64::MAX).unwrap();
    spool.accept(&sample(3_000, 10)).unwrap();
    // The second sample waits; and a third was being written when the end came.
    kill(spool);
    let frames = dir.path().join("spool/.open/2.frames");
    let mut bytes = std::fs::read(&frames).unwrap();
    bytes.extend(b"\x28\xb5\x2f\xfd half a frame");
    std::fs::write(&frames, bytes).unwrap();
    let mut spool = Spool::open(&view(), at(dir.path())).unwrap();
    let gaps = bundle(&mut spool, 9_000, 10);
    assert_eq!((gaps[0].from, gaps[0].to), (WallMicros(2_000), Some(WallMicros(9_000))));
    let bundles = bundles(dir.path());
    assert_eq!(seqs(&bundles), [1, 2, 3]);
    assert_chain(&bundles);
    let complete: Vec<_> = bundles.iter().map(|(b, _)| b.manifest.complete).collect();
    assert_eq!(complete, [true, false, true]);
    let kept: Vec<_> = bundles[1].0.records().unwrap().map(Result::unwrap).collect();
    assert_eq!(kept, [sample(2_000, 10)]);
    assert!(!frames.exists());
}

#[test]
fn a_number_without_anything_is_named_as_missing() {
    let dir = tempfile::tempdir().unwrap();
    let mut spool = Spool::open(&view(), at(dir.path())).unwrap();
    bundle(&mut spool, 1_000, 10);
    spool.begin(&opening(2_000)).unwrap();
    kill(spool);
    std::fs::write(dir.path().join("spool/.open/2.frames"), b"").unwrap();
    let mut spool = Spool::open(&view(), at(dir.path())).unwrap();
    let gaps = bundle(&mut spool, 9_000, 10);
    assert_eq!((gaps[0].severity, gaps[0].from), (Severity::Blind, WallMicros(1_000)));
    assert!(gaps[1].severity == Severity::Thin && gaps[1].reason.starts_with("bundle 2 is lost"));
    let bundles = bundles(dir.path());
    assert_eq!(seqs(&bundles), [1, 3]);
    assert_eq!(bundles[1].0.manifest.missing, [2]);
    assert_eq!(bundles[1].0.manifest.previous.as_ref(), Some(&bundles[0].1), "the chain skips it");
}

#[test]
fn what_the_very_first_bundle_lost_is_a_gap_too() {
    let dir = tempfile::tempdir().unwrap();
    let mut spool = Spool::open(&view(), at(dir.path())).unwrap();
    spool.begin(&opening(2_000)).unwrap();
    spool.accept(&sample(2_000, 10)).unwrap();
    kill(spool);
    let mut spool = Spool::open(&view(), at(dir.path())).unwrap();
    let gaps = bundle(&mut spool, 9_000, 10);
    assert_eq!((gaps[0].severity, gaps[0].from), (Severity::Blind, WallMicros(1_999)));
    assert_eq!(seqs(&bundles(dir.path())), [1, 2]);
}

#[test]
fn a_kill_while_sealing_leaves_the_bundle_once() {
    let dir = tempfile::tempdir().unwrap();
    let mut spool = Spool::open(&view(), at(dir.path())).unwrap();
    bundle(&mut spool, 1_000, 10);
    spool.begin(&opening(2_000)).unwrap();
    spool.accept(&sample(2_000, 10)).unwrap();
    spool.idle(u64::MAX).unwrap();
    let open_dir = dir.path().join("spool/.open");
    let frames = std::fs::read(open_dir.join("2.frames")).unwrap();
    spool.finish(&Closing::default()).unwrap();
    kill(spool);
    let sealed = tars(dir.path()).pop().unwrap();
    let tar = std::fs::read(&sealed).unwrap();

    // After the state was written, before the tar had its name.
    std::fs::rename(&sealed, open_dir.join("2.sealing")).unwrap();
    std::fs::write(open_dir.join("2.frames"), &frames).unwrap();
    kill(Spool::open(&view(), at(dir.path())).unwrap());
    assert_eq!(std::fs::read(&sealed).unwrap(), tar);

    // After that, before the frames went.
    std::fs::write(open_dir.join("2.frames"), &frames).unwrap();
    kill(Spool::open(&view(), at(dir.path())).unwrap());
    assert_eq!(seqs(&bundles(dir.path())), [1, 2]);
    assert_eq!(std::fs::read(&sealed).unwrap(), tar);
    let left: Vec<_> = std::fs::read_dir(&open_dir).unwrap().map(|e| e.unwrap().file_name()).collect();
    assert_eq!(left.len(), 3, "lock, mark and reserve alone: {left:?}");
}

#[test]
fn a_kill_before_the_state_was_written_seals_again() {
    let dir = tempfile::tempdir().unwrap();
    let mut spool = Spool::open(&view(), at(dir.path())).unwrap();
    spool.begin(&opening(2_000)).unwrap();
    spool.accept(&sample(2_000, 10)).unwrap();
    spool.idle(u64::MAX).unwrap();
    kill(spool);
    std::fs::write(dir.path().join("spool/.open/1.sealing"), b"half a tar").unwrap();
    kill(Spool::open(&view(), at(dir.path())).unwrap());
    let bundles = bundles(dir.path());
    assert_eq!(seqs(&bundles), [1]);
    assert!(!bundles[0].0.manifest.complete);
}

#[test]
fn a_spool_that_is_gone_is_named_bundle_by_bundle() {
    let dir = tempfile::tempdir().unwrap();
    let mut spool = Spool::open(&view(), at(dir.path())).unwrap();
    for stamp in [1_000, 2_000, 3_000] {
        bundle(&mut spool, stamp, 10);
    }
    // The first was fetched before the machine went down.
    std::fs::remove_file(&tars(dir.path())[0]).unwrap();
    bundle(&mut spool, 4_000, 10);
    spool.begin(&opening(5_000)).unwrap();
    kill(spool);
    std::fs::remove_dir_all(dir.path().join("spool")).unwrap();
    let mut spool = Spool::open(&view(), at(dir.path())).unwrap();
    let gaps = bundle(&mut spool, 9_000, 10);
    assert_eq!((gaps[0].severity, gaps[0].from), (Severity::Blind, WallMicros(4_000)));
    let spans: Vec<_> = gaps[1..].iter().map(|gap| (gap.from.0, gap.to.unwrap().0)).collect();
    assert_eq!(spans, [(2_000, 2_000), (3_000, 3_000), (4_000, 4_000), (9_000, 9_000)]);
    assert_eq!(bundle(&mut spool, 10_000, 10), [], "they are named once");
    let bundles = bundles(dir.path());
    assert_eq!(seqs(&bundles), [6, 7]);
    assert_eq!(bundles[0].0.manifest.missing, [2, 3, 4, 5]);
    assert_eq!(bundles[1].0.manifest.missing, [0; 0]);
}

#[test]
fn bundles_that_were_taken_out_are_not_missing() {
    let dir = tempfile::tempdir().unwrap();
    let mut spool = Spool::open(&view(), at(dir.path())).unwrap();
    bundle(&mut spool, 1_000, 10);
    drop(spool);
    for tar in tars(dir.path()) {
        std::fs::remove_file(tar).unwrap();
    }
    let mut spool = Spool::open(&view(), at(dir.path())).unwrap();
    let gaps = bundle(&mut spool, 2_000, 10);
    assert_eq!(gaps.len(), 1, "the recorder was down, and no more: {gaps:?}");
    assert_eq!(bundles(dir.path())[0].0.manifest.missing, [0; 0]);
}

#[test]
fn a_full_spool_drops_the_oldest_and_says_so() {
    let dir = tempfile::tempdir().unwrap();
    let settings = SpoolSettings { max_bytes: Some(60_000), ..at(dir.path()) };
    let mut spool = Spool::open(&view(), settings).unwrap();
    let told: Vec<_> = (1..=5).map(|n| bundle(&mut spool, n * 1_000, 20_000)).collect();
    let reasons: Vec<Vec<String>> =
        told.into_iter().map(|gaps| gaps.into_iter().map(|gap| gap.reason).collect()).collect();
    let lost = |seq: u32| vec![format!("bundle {seq} is lost: the spool was full")];
    // Two fit beside a third that is being written or has just been.
    assert_eq!(reasons, [vec![], vec![], vec![], lost(1), lost(2)]);
    let bundles = bundles(dir.path());
    assert_eq!(seqs(&bundles), [4, 5]);
    assert_eq!(
        (&bundles[0].0.manifest.missing[..], &bundles[1].0.manifest.missing[..]),
        (&[1][..], &[2][..])
    );
    assert_chain(&bundles);
}

#[test]
fn two_recorders_cannot_share_anything() {
    let dir = tempfile::tempdir().unwrap();
    let first = Spool::open(&view(), at(dir.path())).unwrap();
    let same_state = SpoolSettings { dir: dir.path().join("other"), ..at(dir.path()) };
    let same_spool = SpoolSettings { state_dir: dir.path().join("other-state"), ..at(dir.path()) };
    for settings in [at(dir.path()), same_state, same_spool] {
        assert!(matches!(Spool::open(&view(), settings), Err(SpoolError::Locked(_))));
    }
    drop(first);
    assert!(Spool::open(&view(), at(dir.path())).is_ok());
}

#[test]
fn only_the_owner_may_look() {
    use std::os::unix::fs::PermissionsExt as _;
    let dir = tempfile::tempdir().unwrap();
    let mut spool = Spool::open(&view(), at(dir.path())).unwrap();
    bundle(&mut spool, 1_000, 10);
    let mode = |path: &Path| std::fs::metadata(path).unwrap().permissions().mode() & 0o777;
    assert_eq!(mode(&tars(dir.path())[0]), 0o600);
    assert_eq!((mode(&dir.path().join("spool")), mode(&dir.path().join("state"))), (0o700, 0o700));
}
