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
use std::ops::ControlFlow;

on_every_store!(every_cut_is_recovered_from);

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
            Err(StoreError::Locked(_)) => std::thread::sleep(std::time::Duration::from_millis(10)),
            other => return (store, other),
        }
    }
    panic!("the lock is never freed");
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
    let add = || {
        let client = new_client();
        place.store().add_client(&client).unwrap();
        client.cid
    };
    let (undisturbed, _) = run(&add(), None);
    assert_eq!(undisturbed.0.len(), 4 + 1, "four bundles, one archive");
    // MariaDB is slow at making tables; every statement is tried there, too, but not each of them twice.
    let mut statements = 0;
    loop {
        let (result, cut) = run(&add(), Some(statements));
        assert_eq!(result, undisturbed, "cut before statement {statements}");
        if !cut {
            break;
        }
        statements += if place.is_mariadb() { 7 } else { 1 };
    }
    assert!(statements > 100, "only {statements} statements were ever run");
}
