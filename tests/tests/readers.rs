//! Readers while the record is merged, forgotten in part and made anew underneath them: at every moment each sees one whole record.
//!
//! `POFR_READERS` (1 unless set) is how many rounds of swaps each store gets.

#![expect(clippy::unwrap_used, reason = "a test that unwraps nothing fails, as it should")]

use pofr_core::{
    digest::KeyDigest,
    fact::FactKind,
    identity::Cid,
    store::{ClientReader, Search, Store},
    time::WallMicros,
};
use pofr_ingest::{
    Inbox, Kept, Options, inbox::After, ingest, levels::Policy, merge, rebuild::Rebuild, service,
};
use pofr_schema::Access;
use pofr_tests::{
    days::days,
    dice::{Dice, number},
    record::deliver,
    stores::TestStore,
};
use std::{
    collections::{BTreeMap, BTreeSet},
    ops::ControlFlow,
    sync::atomic::{AtomicBool, AtomicU64, Ordering},
};

/// What a reader sees of a moment.
fn state(reader: &mut dyn ClientReader, at: WallMicros) -> BTreeSet<KeyDigest> {
    let mut seen = BTreeSet::new();
    for kind in [FactKind::Process, FactKind::File] {
        let state = reader.state_at(kind, at).unwrap();
        assert!(state.record.iter().any(|r| r.covered), "there is a record of {at}");
        let certain = state.certain.len();
        let before = seen.len();
        seen.extend(state.certain.into_iter().map(|row| row.digest));
        assert_eq!(seen.len() - before, certain, "each once at {at}");
    }
    seen
}

/// The same through the merged views, as people ask.
fn by_sql(reader: &mut dyn ClientReader, at: WallMicros) -> i64 {
    let mut count = -1;
    let of =
        |view: &str| format!("SELECT pid FROM {view} WHERE first_seen <= {0} AND last_seen >= {0}", at.0);
    let sql = format!("SELECT COUNT(*) AS n FROM ({} UNION ALL {}) x", of("all_psinfo"), of("all_fileinfo"));
    reader
        .sql(&sql, &mut |row| {
            count = row["n"].as_i64().unwrap();
            ControlFlow::Continue(())
        })
        .unwrap();
    count
}

/// The same by searching: from the moment on, row by row, whatever is swapped meanwhile.
fn by_search(reader: &mut dyn ClientReader, at: WallMicros) -> BTreeSet<KeyDigest> {
    let mut seen = BTreeSet::new();
    for kind in [FactKind::Process, FactKind::File] {
        let mut told = BTreeSet::new();
        let search = Search::all(kind).within(Some(at), None);
        reader
            .search(&search, &mut |row| {
                assert!(told.insert((row.run, row.digest, row.life)), "told twice at {at}: {row:?}");
                if row.life.first_seen <= Some(at)
                    && row.life.first_seen.is_some()
                    && row.life.last_seen >= Some(at)
                {
                    seen.insert(row.digest);
                }
                ControlFlow::Continue(())
            })
            .unwrap();
    }
    seen
}

fn hammer(
    store: &dyn Store,
    cid: &Cid,
    shown: &BTreeMap<WallMicros, BTreeSet<KeyDigest>>,
    seed: u64,
    (end, asked): (&AtomicBool, &AtomicU64),
) {
    let stamps: Vec<WallMicros> = shown.keys().copied().collect();
    let mut dice = Dice::new(seed);
    let mut reader = store.read(cid).unwrap();
    while !end.load(Ordering::Relaxed) {
        let at = stamps[usize::try_from(dice.roll(stamps.len() as u64)).unwrap()];
        match dice.roll(4) {
            0 => assert_eq!(by_sql(&mut *reader, at), shown[&at].len() as i64, "by SQL at {at}"),
            1 => assert_eq!(by_search(&mut *reader, at), shown[&at], "by searching at {at}"),
            _ => assert_eq!(state(&mut *reader, at), shown[&at], "at {at}"),
        }
        if dice.roll(20) == 0 {
            reader = store.read(cid).unwrap();
        }
        asked.fetch_add(1, Ordering::Relaxed);
    }
}

/// All that swaps tables, again and again.
fn swaps(store: &dyn Store, cid: &Cid, kept: &Kept, bundles: &[std::path::PathBuf], dir: &std::path::Path) {
    let inbox_dir = dir.join("inbox");
    let inbox = Inbox::new(&inbox_dir, 1 << 20).then(After::Keep(kept.clone()));
    let forced = merge::Options { force: true, ..merge::Options::default() };
    for some in bundles.chunks(5) {
        for bundle in some {
            deliver(bundle, &inbox_dir);
        }
        let mut writer = store.write(cid).unwrap();
        ingest(&mut *writer, cid, &inbox, &Options::default(), &mut |_, _| ()).unwrap();
        merge::archive(&mut *writer, &forced, &mut |_, _| ()).unwrap();
    }
    let mut writer = store.write(cid).unwrap();
    merge::period(&mut *writer, None, &mut |_, _| ()).unwrap();
    drop(writer);
    let scratch = tempfile::tempdir().unwrap();
    let scratch = pofr_schema::open(&format!("sqlite:{}", scratch.path().display()), Access::Write).unwrap();
    let rebuild = Rebuild {
        cid,
        kept,
        scratch: &*scratch,
        options: Options::default(),
        policy: Policy {
            archive: merge::Options { max_triads: 4, ..merge::Options::default() },
            period: None,
        },
        partial: false,
        who: "tests".into(),
        why: String::new(),
    };
    rebuild.run(&mut *store.write(cid).unwrap(), &mut |_| ()).unwrap();
    // The next writer drops what was replaced, under the readers' eyes.
    drop(store.write(cid).unwrap());
}

#[test]
fn every_moment_is_whole() {
    let rounds = number("POFR_READERS", || 1);
    let dir = tempfile::tempdir().unwrap();
    let days = days(&dir.path().join("days"), 60, 25);
    let (early, late) = days.bundles.split_at(20);
    let last = *days.shown.keys().nth(20 * 6 - 1).unwrap();
    let shown: BTreeMap<_, _> = days.shown.into_iter().filter(|(at, _)| *at <= last).collect();
    for test_store in TestStore::all(dir.path()) {
        let url = test_store.url();
        let store = pofr_schema::open(&url, Access::Write).unwrap();
        let reading = pofr_schema::open(&url, Access::Read).unwrap();
        let asked = AtomicU64::new(0);
        for round in 0..rounds {
            let cid = Cid::parse(&format!("read-{round}")).unwrap();
            let work = tempfile::tempdir().unwrap();
            let kept = Kept::new(work.path().join("bundles"));
            service::add_client(&*store, &cid, WallMicros(0)).unwrap();
            swaps(&*store, &cid, &kept, early, work.path());
            let end = AtomicBool::new(false);
            std::thread::scope(|scope| {
                let readers: Vec<_> = (0..2)
                    .map(|n| {
                        let (reading, cid, shown, end, asked) = (&*reading, &cid, &shown, &end, &asked);
                        scope.spawn(move || hammer(reading, cid, shown, round * 2 + n, (end, asked)))
                    })
                    .collect();
                // Whatever comes of it, the readers are to end.
                let swapped = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
                    swaps(&*store, &cid, &kept, late, work.path());
                }));
                end.store(true, Ordering::Relaxed);
                let read: Vec<_> = readers.into_iter().map(std::thread::ScopedJoinHandle::join).collect();
                swapped.unwrap();
                read.into_iter().for_each(|result| result.unwrap());
            });
        }
        println!(
            "{}: {} questions answered while tables were swapped",
            test_store.name(),
            asked.into_inner()
        );
    }
}
