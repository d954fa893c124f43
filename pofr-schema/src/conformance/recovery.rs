//! Recovery: the power is cut before each statement of a whole record's life, one after the other, and work goes on.

use super::{
    on_every_store,
    place::{Place, new_client},
    samples::{all_rows, at, bundle, cut, file, row, seen, table},
};
use crate::{Access, db::fuse, open};
use pofr_core::{
    fact::FactKind,
    identity::Cid,
    lifetime::Row,
    store::{Change, ClientStore, Ledger, Level, Replacement, Store, StoreError, Triad, TriadId, TriadState},
    time::ZoneOffset,
};
use std::{
    ops::ControlFlow,
    process::{Command, Stdio},
    time::Duration,
};

on_every_store!(every_cut_is_recovered_from, killed_writers_leave_a_whole_record);

const KIND: FactKind = FactKind::Process;

/// What a bundle adds to an open slice.
fn taken(triad: TriadId, seq: u64) -> Change {
    let (first, last) = (seq as i64 * 10, seq as i64 * 10 + 9);
    let mut rows: Vec<Row> = vec![seen(seq as u32, first, first + 3)];
    if !seq.is_multiple_of(2) {
        rows.push(cut(seen(100, first, last), true, true));
    }
    let opened = row(file(100, seq as u32, "/etc/it's"), seen(1, first, last).life);
    Change {
        bundles: vec![bundle(triad, seq, first, last)],
        insert: vec![(table(triad, KIND), rows), (table(triad, FactKind::File), vec![opened])],
        ..Change::default()
    }
}

/// Looks at the ledger and does the next thing, as ingest does; `false` when everything is done: two slices of two bundles each,
/// sealed, and then an archive in their stead.
fn step(writer: &mut dyn ClientStore) -> Result<bool, StoreError> {
    let ledger = writer.ledger()?;
    let live: Vec<&Triad> = ledger.live().collect();
    let seq = ledger.bundles.len() as u64 + 1;
    if let Some(open) = live.iter().find(|t| t.open) {
        if seq.is_multiple_of(2) {
            writer.commit(&taken(open.id, seq))?;
        } else {
            writer.commit(&Change { seal: vec![open.id], ..Change::default() })?;
        }
        return Ok(true);
    }
    if seq <= 4 {
        let start = at(seq as i64 * 10);
        let triad = writer.create_triad(Level::Slice, true, start, start, ZoneOffset::UTC)?;
        writer.commit(&Change { make_live: vec![triad], ..taken(triad, seq) })?;
        return Ok(true);
    }
    let slices: Vec<TriadId> = live.iter().filter(|t| t.level == Level::Slice).map(|t| t.id).collect();
    if slices.is_empty() {
        return Ok(false);
    }
    let archive = writer.create_triad(Level::Archive, false, at(10), at(49), ZoneOffset::UTC)?;
    for kind in [KIND, FactKind::File] {
        for slice in &slices {
            let rows = writer.page(table(*slice, kind), pofr_core::store::RowId(0), 1000)?;
            let rows: Vec<Row> = rows.into_iter().map(|(_, row)| row).collect();
            writer.fill(table(archive, kind), &rows)?;
        }
    }
    let replace = Some(Replacement { new: archive, old: slices });
    writer.commit(&Change { replace, ..Change::default() })?;
    Ok(true)
}

/// Everything that counts, without the numbers of triads.
type Whole = (Vec<String>, Vec<Vec<Row>>, Vec<i64>);

fn whole(writer: &mut dyn ClientStore) -> Whole {
    let ledger: Ledger = writer.ledger().unwrap();
    assert!(
        ledger.triads.iter().all(|t| t.state != TriadState::Creating),
        "recovery drops what is half made"
    );
    let mut texts: Vec<String> =
        ledger.bundles.iter().map(|b| format!("{:?} {:?}", b.entry, b.spans)).collect();
    let mut rows = Vec::new();
    for triad in ledger.live() {
        texts.push(format!(
            "{:?} {:?} {:?} {:?} {:?}",
            triad.level, triad.tables, triad.from, triad.to, triad.rows
        ));
        for kind in FactKind::TRIAD {
            rows.push(all_rows(writer, table(triad.id, kind)).into_iter().map(|(_, row)| row).collect());
        }
    }
    let mut merged = Vec::new();
    for view in ["psinfo", "all_psinfo", "all_fileinfo"] {
        let each = &mut |row: serde_json::Map<_, serde_json::Value>| {
            merged.push(row["last_seen"].as_i64().unwrap());
            ControlFlow::Continue(())
        };
        let sql = format!("SELECT last_seen FROM {view} ORDER BY pid, first_seen");
        writer.sql(&sql, each).unwrap();
        merged.push(-1);
    }
    (texts, rows, merged)
}

/// Opens for writing; a lock of a connection that was cut is freed by the server in its own time.
fn reopen(place: &Place, cid: &Cid) -> (Box<dyn Store>, Result<Box<dyn ClientStore>, StoreError>) {
    let store = open(&place.url, Access::Write).unwrap();
    for _ in 0..200 {
        match store.write(cid) {
            Err(StoreError::Locked(_)) => std::thread::sleep(Duration::from_millis(10)),
            other => return (store, other),
        }
    }
    panic!("the lock is never freed");
}

/// Adds a client that no other test uses.
fn add(place: &Place) -> Cid {
    let client = new_client();
    place.store().add_client(&client).unwrap();
    client.cid
}

/// What the script comes to when nothing disturbs it.
fn undisturbed(place: &Place) -> Whole {
    let (_store, writer) = reopen(place, &add(place));
    let mut writer = writer.unwrap();
    while step(&mut *writer).unwrap() {}
    let whole = whole(&mut *writer);
    assert_eq!(whole.0.len(), 4 + 1, "four bundles, one archive");
    whole
}

fn every_cut_is_recovered_from(place: &Place) {
    let run = |cid: &Cid, fuse: Option<u32>| -> (Whole, bool) {
        let mut cuts = false;
        let mut fuse = fuse;
        loop {
            let store = open(&place.url, Access::Write).unwrap();
            fuse::set(fuse.take());
            let done = (|| {
                let mut writer = store.write(cid)?;
                while step(&mut *writer)? {}
                Ok::<_, StoreError>(())
            })();
            let blown = fuse::is_blown();
            drop(store);
            fuse::set(None);
            cuts |= blown;
            // After each cut, and at the end, the record is whole.
            let (store, writer) = reopen(place, cid);
            let whole = whole(&mut *writer.unwrap());
            drop(store);
            match done {
                Ok(()) => return (whole, cuts),
                Err(error) => assert!(blown, "{error}"),
            }
        }
    };
    let undisturbed = undisturbed(place);
    // Every third statement, on MariaDB every seventh: all of them take minutes, and were tried once.
    let mut statements = 0;
    loop {
        let (result, cut) = run(&add(place), Some(statements));
        assert_eq!(result, undisturbed, "cut before statement {statements}");
        if !cut {
            break;
        }
        statements += if place.is_mariadb() { 7 } else { 3 };
    }
    assert!(statements > 300, "only {statements} statements were ever run");
}

/// The environment variable by which a child process learns what to write to.
const CHILD: &str = "POFR_TEST_WRITE_TO";

/// Not a test: the process that [`killed_writers_leave_a_whole_record`] starts and kills.
#[test]
#[ignore = "run by another test, in a process of its own"]
fn child() {
    let Ok(target) = std::env::var(CHILD) else { return };
    let (url, cid) = target.rsplit_once(' ').unwrap();
    let store = open(url, Access::Write).unwrap();
    let mut writer = store.write(&Cid::parse(cid).unwrap()).unwrap();
    while step(&mut *writer).unwrap() {}
}

fn killed_writers_leave_a_whole_record(place: &Place) {
    let undisturbed = undisturbed(place);
    let cid = add(place);
    let mut killed = 0;
    for n in 0..40u64 {
        let mut child = Command::new(std::env::current_exe().unwrap())
            .args(["conformance::recovery::child", "--exact", "--ignored"])
            .env(CHILD, format!("{} {cid}", place.url))
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        // Somewhere in its work, each time elsewhere.
        std::thread::sleep(Duration::from_millis(8 + n * 13 % 60));
        let finished = child.try_wait().unwrap().is_some_and(|status| status.success());
        child.kill().unwrap();
        child.wait().unwrap();
        if finished {
            break;
        }
        killed += 1;
        let (_store, writer) = reopen(place, &cid);
        // Whole, that is, whatever it has come to.
        whole(&mut *writer.unwrap());
    }
    assert!(killed > 0, "the child was always faster");
    let (_store, writer) = reopen(place, &cid);
    let mut writer = writer.unwrap();
    while step(&mut *writer).unwrap() {}
    assert_eq!(whole(&mut *writer), undisturbed);
}

/// The server itself dies, again and again, while a record is written.
#[cfg(feature = "mariadb")]
#[test]
fn a_killed_server_leaves_a_whole_record() {
    let mut server = pofr_tests::mariadb::PrivateMariadb::start().unwrap();
    let place = Place::of(server.url());
    let undisturbed = undisturbed(&place);
    let cid = add(&place);
    for n in 0..12u64 {
        let mut child = Command::new(std::env::current_exe().unwrap())
            .args(["conformance::recovery::child", "--exact", "--ignored"])
            .env(CHILD, format!("{} {cid}", place.url))
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        std::thread::sleep(Duration::from_millis(20 + n * 17 % 90));
        server.kill_9().unwrap();
        child.kill().unwrap();
        child.wait().unwrap();
        server.restart().unwrap();
        let (_store, writer) = reopen(&place, &cid);
        whole(&mut *writer.unwrap());
    }
    let (_store, writer) = reopen(&place, &cid);
    let mut writer = writer.unwrap();
    while step(&mut *writer).unwrap() {}
    assert_eq!(whole(&mut *writer), undisturbed);
}
