//! The first POFR's bundles, all the way into a database: what the ground truth says was there comes out again, at every stamp.

#![expect(clippy::unwrap_used, reason = "a test that unwraps nothing fails, as it should")]

use pofr_core::{
    fact::{Fact, FactKind},
    identity::Cid,
    lifetime::{Lifetime, Row},
    store::{ClientEntry, ClientReader, RowId, Store, TableRef},
    time::WallMicros,
    wire::v1,
};
use pofr_ingest::{Inbox, Options, ingest, merge};
use pofr_schema::Access;
use pofr_tests::stores::TestStore;
use serde_json::Value;
use std::{
    fs,
    path::{Path, PathBuf},
};

fn fixtures() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("fixtures/pofr-v1")
}

fn tars() -> Vec<PathBuf> {
    let mut tars: Vec<PathBuf> = fs::read_dir(fixtures()).unwrap().map(|e| e.unwrap().path()).collect();
    tars.retain(|p| p.extension().is_some_and(|e| e == "tar"));
    tars.sort();
    assert_eq!(tars.len(), 8);
    tars
}

/// All snapshots, as the core reads them; halves from neighbouring tars put together.
fn snapshots() -> Vec<v1::Decoded> {
    let halves = tars()
        .iter()
        .flat_map(|t| v1::read_tar(&fs::read(t).unwrap(), &v1::Caps::default()).unwrap())
        .collect::<Vec<_>>();
    let paired = v1::pair(halves);
    paired.snapshots.iter().map(|raw| v1::decode(raw).unwrap()).collect()
}

fn take(store: &dyn Store, cid: &Cid, inbox: &Path, tars: &[&PathBuf], workers: usize) {
    fs::create_dir_all(inbox).unwrap();
    for tar in tars {
        fs::copy(tar, inbox.join(tar.file_name().unwrap())).unwrap();
    }
    let options = Options { workers, ..Options::default() };
    let mut client = store.write(cid).unwrap();
    let report = ingest(client.as_mut(), cid, &Inbox::new(inbox, 1 << 30), &options, &mut |_, _| ()).unwrap();
    assert!(report.quarantined.is_empty(), "{:?}", report.quarantined);
}

fn digests(rows: impl IntoIterator<Item = Fact>) -> Vec<String> {
    let mut all: Vec<String> = rows.into_iter().map(|f| serde_json::to_string(&f).unwrap()).collect();
    all.sort();
    all
}

/// Takes out of a stored fact what the server worked out by itself.
fn bare(mut fact: Fact) -> Fact {
    if let Fact::Process(p) = &mut fact {
        p.details.with_files = None;
    }
    fact
}

fn replay(reader: &mut dyn ClientReader, snapshots: &[v1::Decoded], what: &str) {
    assert_eq!(snapshots.len(), 146);
    for snapshot in snapshots {
        let mut held = |kind| {
            reader.state_at(kind, snapshot.stamp).unwrap().certain.into_iter().map(|r: Row| bare(r.fact))
        };
        let processes = held(FactKind::Process)
            .collect::<Vec<_>>()
            .into_iter()
            .chain(held(FactKind::File))
            .collect::<Vec<_>>();
        let endpoints: Vec<Fact> = held(FactKind::Endpoint).collect();
        if let Some(facts) = &snapshot.processes {
            assert_eq!(
                digests(processes),
                digests(facts.clone()),
                "{what}: processes and files at {}",
                snapshot.stamp
            );
        }
        if let Some(facts) = &snapshot.endpoints {
            assert_eq!(digests(endpoints), digests(facts.clone()), "{what}: endpoints at {}", snapshot.stamp);
        }
    }
}

fn all_rows(reader: &mut dyn ClientReader, kind: FactKind) -> Vec<Row> {
    let ledger = reader.ledger().unwrap();
    let triads: Vec<_> = ledger.live().map(|t| t.id).collect();
    let page = |id| reader.page(TableRef { triad: Some(id), kind }, RowId(0), 1_000_000).unwrap();
    triads.into_iter().flat_map(page).map(|(_, row)| row).collect()
}

fn micros(seconds: &Value) -> WallMicros {
    WallMicros((seconds.as_f64().unwrap() * 1e6) as i64)
}

/// The longest that one sample of these took from stamp to stamp, µs: the client's pace is 300 ms and the reading on top.
const ONE_SAMPLE: i64 = 400_000;

/// Tells whether a lifetime's end is within one sample of the truth: last seen before it, gone by after it.
fn ends_at(life: &Lifetime, end: WallMicros) -> bool {
    let seen =
        life.last_seen.is_some_and(|last| last <= end.plus(ONE_SAMPLE) && end.since(last) <= ONE_SAMPLE);
    seen && (life.cut_right || life.gone_by.is_some_and(|gone| gone.plus(ONE_SAMPLE) >= end))
}

fn truth(reader: &mut dyn ClientReader, what: &str) {
    let truth: Value =
        serde_json::from_slice(&fs::read(fixtures().join("ground-truth.json")).unwrap()).unwrap();
    let processes = all_rows(reader, FactKind::Process);
    let (mut found, mut of) = ([0; 3], [0; 3]);
    for real in truth["processes"].as_array().unwrap() {
        let class = match real["dur"].as_f64().unwrap() {
            d if d < 0.1 => 0,
            d if d < 1.0 => 1,
            _ => 2,
        };
        of[class] += 1;
        let tag = real["tag"].as_str().unwrap();
        let is_it = |row: &&Row| {
            matches!(&row.fact, Fact::Process(p)
            if p.arguments().is_some_and(|a| String::from_utf8_lossy(a.as_bytes()).contains(tag)))
        };
        let rows: Vec<&Row> = processes.iter().filter(is_it).collect();
        if let Some(last) = rows.iter().max_by_key(|r| r.life.last_seen) {
            found[class] += 1;
            assert!(
                ends_at(&last.life, micros(&real["end"])),
                "{tag}: {:?} should end at {}",
                last.life,
                micros(&real["end"])
            );
            assert!(rows.iter().all(
                |r| matches!(&r.fact, Fact::Process(p) if u64::from(p.key.entity.pid().0) == real["pid"])
            ));
        }
    }
    println!("{what}: processes {found:?} of {of:?}");
    assert_eq!((found, of), ([22, 200, 50], [200, 200, 50]));

    let files = all_rows(reader, FactKind::File);
    let found = truth["files"].as_array().unwrap().iter().filter(|real| {
        files.iter().any(|row| {
            matches!(&row.fact, Fact::File(f)
            if f.key.path.as_bytes() == real["path"].as_str().unwrap().as_bytes()
                && u64::from(f.key.entity.pid().0) == real["pid"])
                && ends_at(&row.life, micros(&real["end"]))
        })
    });
    assert_eq!(found.count(), 100, "{what}: files");

    let endpoints = all_rows(reader, FactKind::Endpoint);
    let found = truth["connections"].as_array().unwrap().iter().filter(|real| {
        endpoints.iter().any(|row| matches!(&row.fact, Fact::Endpoint(e)
            if u64::from(e.key.local.port()) == real["lport"] && u64::from(e.key.remote.port()) == real["rport"]
                && e.details.inode == real["inode"].as_u64()
                && e.key.holder.is_some_and(|h| u64::from(h.pid().0) == real["pid"])) && ends_at(&row.life, micros(&real["end"])))
    });
    assert_eq!(found.count(), 100, "{what}: connections with the right process");
}

#[test]
fn the_first_pofrs_bundles_yield_the_truth() {
    let dir = tempfile::tempdir().unwrap();
    let snapshots = snapshots();
    let tars = tars();
    for test_store in TestStore::all(dir.path()) {
        let store = pofr_schema::open(&test_store.url(), Access::Write).unwrap();
        let orders: [(&str, Vec<Vec<usize>>, usize); 3] = [
            ("all at once", vec![(0..8).collect()], 4),
            ("one by one", (0..8).map(|i| vec![i]).collect(), 1),
            ("shuffled", vec![vec![5, 2], vec![7], vec![0, 3, 1], vec![6], vec![4]], 1),
        ];
        for (number, (order, batches, workers)) in (1..).zip(orders) {
            let what = format!("{}, {order}", test_store.name());
            let cid = Cid::parse(&format!("first-pofr-{number}")).unwrap();
            let client = ClientEntry {
                cid: cid.clone(),
                uuid: "first-pofr".into(),
                ciduser: format!("{number:032}"),
                last_ip: None,
                registered: WallMicros(0),
            };
            store.add_client(&client).unwrap();
            let inbox = dir.path().join(format!("inbox-{}-{number}", test_store.name()));
            for batch in batches {
                take(
                    store.as_ref(),
                    &cid,
                    &inbox,
                    &batch.iter().map(|i| &tars[*i]).collect::<Vec<_>>(),
                    workers,
                );
            }
            replay(store.read(&cid).unwrap().as_mut(), &snapshots, &what);
            let mut client = store.write(&cid).unwrap();
            let force = merge::Options { force: true, ..merge::Options::default() };
            merge::archive(client.as_mut(), &force, &mut |_, _| ()).unwrap();
            merge::period(client.as_mut(), None, &mut |_, _| ()).unwrap();
            drop(client);
            let mut reader = store.read(&cid).unwrap();
            replay(reader.as_mut(), &snapshots, &format!("{what}, period"));
            truth(reader.as_mut(), &what);
        }
    }
}
