//! Hostile and broken bundles: each kind has its own clear message, goes to quarantine with it, and leaves the store as it was.

#![expect(clippy::unwrap_used, reason = "a test that unwraps nothing fails, as it should")]

mod bundles;

use bundles::{BEGINNING_GOOD, START, cid, header, keyframe, kinds, named, seal};
use pofr_core::{
    digest::Sha256,
    gap::{Gap, Severity},
    store::{ClientEntry, Store, StoredBundle},
    time::WallMicros,
    wire::v2,
};
use pofr_ingest::{
    Inbox, Kept, Options, Report,
    inbox::After,
    ingest, track,
    verify_chain::{self, Finding},
};
use pofr_schema::Access;
use pofr_tests::stores::TestStore;
use std::{fs, os::unix::fs::symlink, path::Path};

fn setup(dir: &Path) -> (Box<dyn Store>, Inbox) {
    setup_in(&format!("sqlite:{}", dir.join("db").display()), dir)
}

fn setup_in(url: &str, dir: &Path) -> (Box<dyn Store>, Inbox) {
    let store = pofr_schema::open(url, Access::Write).unwrap();
    let client = ClientEntry {
        cid: cid(),
        uuid: "victim".into(),
        ciduser: "0".repeat(32),
        last_ip: None,
        registered: WallMicros(0),
    };
    store.add_client(&client).unwrap();
    let inbox = dir.join("inbox");
    fs::create_dir(&inbox).unwrap();
    for seq in 1..=3 {
        let tar = seal(&header(seq), &[keyframe(seq)]);
        fs::write(inbox.join(named(&tar)), tar).unwrap();
    }
    let inbox = Inbox::new(inbox, 1 << 20);
    let report = take(store.as_ref(), &inbox);
    assert_eq!((report.stored, report.quarantined.len()), (3, 0), "{:?}", report.quarantined);
    (store, inbox)
}

fn take(store: &dyn Store, inbox: &Inbox) -> Report {
    let limits = v2::Limits { tar: 1 << 20, records: 1 << 20 };
    let options = Options { limits, ..Options::default() };
    ingest(store.write(&cid()).unwrap().as_mut(), &cid(), inbox, &options, &mut |_, _| ()).unwrap()
}

/// All that the store holds, as text.
fn contents(store: &dyn Store) -> String {
    let mut reader = store.read(&cid()).unwrap();
    let mut all = format!("{:?}", reader.ledger().unwrap());
    for table in ["all_netinfo", "all_psinfo", "all_fileinfo", "pofr_custom", "pofr_gaps"] {
        let mut each = |row| {
            all.push_str(&serde_json::to_string(&row).unwrap());
            std::ops::ControlFlow::Continue(())
        };
        reader.sql(&format!("SELECT * FROM {table}"), &mut each).unwrap();
    }
    all
}

#[test]
fn each_bad_bundle_has_its_message_and_changes_nothing() {
    let dir = tempfile::tempdir().unwrap();
    let (store, inbox) = setup(dir.path());
    let before = contents(store.as_ref());
    let kinds: Vec<_> = kinds().into_iter().filter(|(what, ..)| !BEGINNING_GOOD.contains(what)).collect();
    assert!(kinds.len() >= 20);
    let mut unclear = Vec::new();
    for (what, bytes, words) in &kinds {
        let path = inbox.dir().join(named(bytes));
        fs::write(&path, bytes).unwrap();
        let report = take(store.as_ref(), &inbox);
        assert_eq!(report.quarantined.len(), 1, "{what} is refused: {report:?}");
        let (name, reason) = &report.quarantined[0];
        if !reason.contains(words) {
            unclear.push(format!("{what}: {reason:?} does not say {words:?}"));
        }
        assert!(!reason.chars().any(char::is_control), "{what}: {reason:?}");
        assert!(!path.exists(), "{what} is out of the inbox");
        let kept = fs::read(inbox.quarantine_dir().join(name)).unwrap();
        assert_eq!(&kept, bytes, "{what} is kept as it came");
        let note = fs::read_to_string(inbox.quarantine_dir().join(format!("{name}.reason"))).unwrap();
        assert_eq!(note.trim(), reason);
        assert_eq!(contents(store.as_ref()), before, "{what} leaves the store as it was");
    }
    assert!(unclear.is_empty(), "{}", unclear.join("\n"));
    // The next good one is taken as if nothing had been.
    let tar = seal(&header(4), &[keyframe(4)]);
    fs::write(inbox.dir().join(named(&tar)), tar).unwrap();
    assert_eq!(take(store.as_ref(), &inbox).stored, 1);
}

#[test]
fn odd_files_in_the_inbox_are_refused() {
    let dir = tempfile::tempdir().unwrap();
    let (store, inbox) = setup(dir.path());
    let before = contents(store.as_ref());
    let tar = seal(&header(4), &[keyframe(4)]);
    let secret = dir.path().join("secret");
    fs::write(&secret, &tar).unwrap();
    let other = |bytes: &[u8], at: i64| format!("{:016}#+0000#{}.tar", START + at, Sha256::of(bytes));
    symlink(&secret, inbox.dir().join(named(&tar))).unwrap();
    fs::hard_link(&secret, inbox.dir().join(other(&tar, 1))).unwrap();
    fs::write(inbox.dir().join("notes.txt"), "hello").unwrap();
    fs::write(inbox.dir().join(other(b"else", 2)), "something").unwrap();
    fs::write(inbox.dir().join(other(&vec![0; 2 << 20], 3)), vec![0; 2 << 20]).unwrap();
    fs::write(inbox.dir().join("\u{1b}[2Jx.tar"), "x").unwrap();
    let report = take(store.as_ref(), &inbox);
    let reasons = report.quarantined.iter().map(|(_, reason)| reason.as_str()).collect::<Vec<_>>().join("\n");
    for words in [
        "a symbolic link",
        "a file with several links",
        ".tar",
        "damaged or tampered with",
        "more than the limit",
    ] {
        assert!(reasons.contains(words), "{words} in {reasons}");
    }
    assert_eq!((report.stored, report.quarantined.len()), (0, 6), "{report:?}");
    assert!(!reasons.contains('\u{1b}'));
    assert_eq!(contents(store.as_ref()), before);
}

/// Returns the bundle 5 and the gap that stands for its damage.
fn damage(store: &dyn Store) -> (StoredBundle, Gap) {
    let ledger = store.read(&cid()).unwrap().ledger().unwrap();
    let bundles: Vec<_> = ledger.bundles.iter().filter(|b| b.entry.seq.0 == 5).collect();
    let [bundle] = bundles[..] else { panic!("once: {bundles:?}") };
    (bundle.clone(), track::damage(bundle).unwrap().clone())
}

#[test]
fn of_a_damaged_bundle_what_is_before_the_damage_is_taken_once() {
    let kinds: Vec<_> = kinds().into_iter().filter(|(what, ..)| BEGINNING_GOOD.contains(what)).collect();
    assert_eq!(kinds.len(), BEGINNING_GOOD.len());
    for (what, bytes, words) in kinds {
        let dir = tempfile::tempdir().unwrap();
        for kind in TestStore::all(dir.path()) {
            let what = format!("{what}, {}", kind.name());
            let place = tempfile::tempdir().unwrap();
            let (store, inbox) = setup_in(&kind.url(), place.path());
            let kept = Kept::new(place.path().join("kept"));
            let inbox = inbox.then(After::Keep(kept.clone()));
            let path = inbox.dir().join(named(&bytes));
            for stored in [1, 0] {
                fs::write(&path, &bytes).unwrap();
                let report = take(store.as_ref(), &inbox);
                assert_eq!(report.stored, stored, "{what}: {report:?}");
            }
            assert!(!path.exists(), "{what} is out of the inbox");
            let quarantine = inbox.quarantine_dir();
            assert_eq!(
                fs::read_dir(&quarantine).unwrap().count(),
                2,
                "{what} is there once, with its reason"
            );
            assert_eq!(fs::read(quarantine.join(named(&bytes))).unwrap(), bytes, "{what} is kept as it came");
            let reason = fs::read_to_string(quarantine.join(format!("{}.reason", named(&bytes)))).unwrap();
            assert!(reason.contains(words), "{what}: {reason:?} does not say {words:?}");
            let (bundle, gap) = damage(store.as_ref());
            assert!(!bundle.entry.complete && bundle.entry.samples >= 1, "{what}: {bundle:?}");
            assert_eq!((gap.severity, gap.from), (Severity::Blind, bundle.entry.last), "{what}");
            assert!(gap.reason.contains(words) && gap.to >= Some(gap.from), "{what}: {gap:?}");
            // What is kept is what came: so the chain, the signature and a new record are judged by that.
            let report = verify_chain::verify(
                &cid(),
                &store.read(&cid()).unwrap().ledger().unwrap(),
                &kept,
                &[],
                &verify_chain::Options::default(),
            )
            .unwrap();
            let is_said = |f: &Finding| matches!(f, Finding::Damaged { seq: 5, why } if why.contains(words));
            assert!(report.findings.iter().any(is_said), "{what}: {report:?}");
            let is_bad = |f: &Finding| matches!(f, Finding::Tampered { .. });
            assert!(!report.findings.iter().any(is_bad), "{what}: {report:?}");
            let limits = v2::Limits { tar: 1 << 20, records: 1 << 20 };
            let again = fs::read(kept.path_of(&bundle.entry.name.parse().unwrap())).unwrap();
            let opened = v2::open(&again, limits).unwrap();
            let name = bundle.entry.name.parse().unwrap();
            let anew = track::track_v2(&name, &opened, bundle.entry.received).unwrap();
            assert_eq!(anew.stored.gaps, bundle.gaps, "{what}: a record made anew says the same");
            // The next one is taken as if nothing had been.
            let tar = seal(&header(6), &[keyframe(6)]);
            fs::write(inbox.dir().join(named(&tar)), tar).unwrap();
            assert_eq!(take(store.as_ref(), &inbox).stored, 1);
        }
    }
}

#[test]
fn a_bundle_from_the_future_is_kept_and_said() {
    let dir = tempfile::tempdir().unwrap();
    let (store, inbox) = setup(dir.path());
    let ahead = 2_000_000_000;
    let tar = seal(&header(9), &[keyframe(ahead)]);
    fs::write(inbox.dir().join(named(&tar)), tar).unwrap();
    assert_eq!(take(store.as_ref(), &inbox).stored, 1);
    let ledger = store.read(&cid()).unwrap().ledger().unwrap();
    let gaps: Vec<&Gap> = ledger.bundles.iter().flat_map(|b| &b.gaps).collect();
    assert!(
        gaps.iter().any(|g| g.severity == Severity::Thin && g.reason.contains("ahead of the server")),
        "{gaps:?}"
    );
}
