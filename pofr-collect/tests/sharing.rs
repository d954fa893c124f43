//! The spool between two processes: what the server has leaves it and is never called lost; who else may read it, and that what
//! is in it is signed.
#![expect(clippy::unwrap_used, reason = "what a test cannot go on without ends it")]

use pofr_collect::{
    HostView, Signer, Spool, SpoolSettings,
    spool::{own_client_id, share_spool},
};
use pofr_core::{
    Sink as _, Source,
    collector::{Closing, Opening},
    gap::{Gap, Severity},
    identity::RunId,
    record::Record,
    time::{WallMicros, ZoneOffset},
    wire::v2::{Bundle, Limits, open},
};
use std::{
    error::Error,
    os::unix::fs::{MetadataExt as _, PermissionsExt as _, symlink},
    path::{Path, PathBuf},
    sync::Arc,
};

fn view() -> HostView {
    HostView::live().unwrap()
}

fn at(dir: &Path) -> SpoolSettings {
    SpoolSettings { state_dir: dir.join("state"), ..SpoolSettings::beside(dir.join("spool")) }
}

fn begin(spool: &mut Spool, stamp: i64) {
    let opening = Opening {
        run: RunId([7; 16]),
        boot: view().boot,
        zone: ZoneOffset::UTC,
        interval_micros: 1_000,
        opened_wall: WallMicros(stamp),
        opened_boot_micros: stamp,
        recorder_pids: Vec::new(),
        sources: vec![Source::parse("test").unwrap()],
    };
    let gap = Gap {
        source: None,
        severity: Severity::Thin,
        reason: "a test".to_owned(),
        from: WallMicros(stamp),
        to: None,
        lost: None,
    };
    spool.begin(&opening).unwrap();
    spool.accept(&Record::Gap(gap)).unwrap();
    spool.idle(10_000_000).unwrap();
}

fn bundle(spool: &mut Spool, stamp: i64) {
    begin(spool, stamp);
    spool.finish(&Closing::default()).unwrap();
}

fn tars(dir: &Path) -> Vec<PathBuf> {
    let list = std::fs::read_dir(dir.join("spool")).unwrap().map(|e| e.unwrap().path());
    let mut tars: Vec<_> = list.filter(|p| p.extension().is_some_and(|e| e == "tar")).collect();
    tars.sort();
    tars
}

fn read(path: &Path) -> Bundle {
    open(&std::fs::read(path).unwrap(), Limits::default()).unwrap()
}

fn ack(dir: &Path, name: &std::ffi::OsStr) {
    std::fs::write(dir.join("spool/.acked").join(name), "").unwrap();
}

#[test]
fn what_the_server_has_goes_and_is_never_called_lost() {
    let dir = tempfile::tempdir().unwrap();
    let mut spool = Spool::open(&view(), at(dir.path())).unwrap();
    (1..=3).for_each(|n| bundle(&mut spool, n * 1_000));
    let all = tars(dir.path());
    ack(dir.path(), all[0].file_name().unwrap());
    // What is not ours is not touched, whatever somebody writes there.
    for name in ["lock", "nothing.tar"] {
        ack(dir.path(), name.as_ref());
    }
    begin(&mut spool, 4_000);
    assert_eq!(tars(dir.path()), all[1..]);
    assert_eq!(spool.status().bundles, 2);
    // While no recorder runs another is acknowledged; then the machine boots, and the spool is gone.
    drop(spool);
    ack(dir.path(), all[1].file_name().unwrap());
    let mut spool = Spool::open(&view(), at(dir.path())).unwrap();
    assert!(!all[1].exists() && all[2].exists());
    bundle(&mut spool, 5_000);
    drop(spool);
    std::fs::remove_dir_all(dir.path().join("spool")).unwrap();
    let mut spool = Spool::open(&view(), at(dir.path())).unwrap();
    bundle(&mut spool, 9_000);
    // 4 was the open one that was sealed by the next recorder.
    assert_eq!(read(&tars(dir.path())[0]).manifest.missing, [3, 4, 5]);
}

#[test]
fn a_full_spool_drops_nothing_that_the_server_took_meanwhile() {
    let dir = tempfile::tempdir().unwrap();
    let mut spool = Spool::open(&view(), at(dir.path())).unwrap();
    bundle(&mut spool, 1_000);
    bundle(&mut spool, 2_000);
    let all = tars(dir.path());
    drop(spool);
    let bytes = all[1].metadata().unwrap().len();
    let mut spool =
        Spool::open(&view(), SpoolSettings { max_bytes: Some(2 * bytes + bytes / 2), ..at(dir.path()) })
            .unwrap();
    ack(dir.path(), all[0].file_name().unwrap());
    bundle(&mut spool, 3_000);
    assert_eq!((spool.status().dropped, tars(dir.path()).len()), (0, 2));
}

#[derive(Debug)]
struct Stamp(bool);

impl Signer for Stamp {
    fn sign(&self, manifest: &[u8]) -> Result<Vec<u8>, Box<dyn Error + Send + Sync>> {
        if self.0 { Ok([b"signed: ", manifest].concat()) } else { Err("the key is gone".into()) }
    }
}

#[test]
fn every_bundle_is_signed_the_one_that_was_left_open_too() {
    let dir = tempfile::tempdir().unwrap();
    let signed_by = |works| SpoolSettings { signer: Some(Arc::new(Stamp(works))), ..at(dir.path()) };
    let mut spool = Spool::open(&view(), signed_by(true)).unwrap();
    bundle(&mut spool, 1_000);
    begin(&mut spool, 2_000);
    drop(spool);
    let mut spool = Spool::open(&view(), signed_by(true)).unwrap();
    let bundles: Vec<_> = tars(dir.path()).iter().map(|path| read(path)).collect();
    assert_eq!(bundles.iter().map(|b| b.manifest.complete).collect::<Vec<_>>(), [true, false]);
    for found in &bundles {
        assert_eq!(found.signature, Some([b"signed: ", &*found.manifest_bytes].concat()));
    }
    // A record that nobody signed is better than none.
    bundle(&mut spool, 3_000);
    drop(spool);
    let mut spool = Spool::open(&view(), signed_by(false)).unwrap();
    bundle(&mut spool, 4_000);
    assert_eq!(read(tars(dir.path()).last().unwrap()).signature, None);
}

#[test]
fn a_spool_may_be_shared_while_a_recorder_is_at_work() {
    let dir = tempfile::tempdir().unwrap();
    let place = |name: &str| dir.path().join("spool").join(name);
    let mode = |path: &Path| path.symlink_metadata().unwrap().mode() & 0o7777;
    let mut spool = Spool::open(&view(), at(dir.path())).unwrap();
    bundle(&mut spool, 1_000);
    begin(&mut spool, 2_000);
    let outside = dir.path().join("outside");
    std::fs::write(&outside, "").unwrap();
    std::fs::set_permissions(&outside, std::fs::Permissions::from_mode(0o600)).unwrap();
    symlink(&outside, place("link.tar")).unwrap();
    std::fs::hard_link(&outside, place("second.tar")).unwrap();
    let sealed = place(tars(dir.path())[0].file_name().unwrap().to_str().unwrap());
    assert_eq!((mode(&sealed), mode(&place(".open/2.frames"))), (0o600, 0o600));

    let (uid, gid) = (rustix::process::geteuid().as_raw(), rustix::process::getegid().as_raw());
    // A link is a reason to stop, and nothing behind it is shared.
    assert!(share_spool(&place(""), uid, gid).is_err());
    std::fs::remove_file(place("link.tar")).unwrap();
    share_spool(&place(""), uid, gid).unwrap();
    assert_eq!((mode(&place("")), mode(&place(".open")), mode(&place(".acked"))), (0o2750, 0o2750, 0o755));
    assert_eq!((mode(&sealed), mode(&place(".open/2.frames"))), (0o640, 0o640));
    assert_eq!(mode(&outside), 0o600);
    // What is made from now on is shared as well; the state is not.
    spool.finish(&Closing::default()).unwrap();
    bundle(&mut spool, 3_000);
    begin(&mut spool, 4_000);
    assert_eq!(mode(tars(dir.path()).iter().rfind(|p| **p != place("second.tar")).unwrap()), 0o640);
    assert_eq!(mode(&place(".open/4.frames")), 0o640);
    assert_eq!(mode(&dir.path().join("state/state.json")), 0o600);
}

#[test]
fn the_clients_id_is_known_before_anything_is_recorded_and_stays() {
    let dir = tempfile::tempdir().unwrap();
    let state = dir.path().join("state");
    let cid = own_client_id(&view(), &state).unwrap();
    let spool = Spool::open(&view(), at(dir.path())).unwrap();
    assert_eq!(spool.cid(), cid);
    assert_eq!(own_client_id(&view(), &state).unwrap(), cid, "also while a recorder is at work");
}
