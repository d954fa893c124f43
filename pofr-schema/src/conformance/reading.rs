//! Reading with SQL: what comes out, and what is refused.

use super::{
    on_every_store,
    place::Place,
    samples::{all_rows, bundle, cut, file, open_slice, row, seen, table},
};
use pofr_core::{
    fact::FactKind,
    identity::Cid,
    store::{Change, Store, StoreError},
};
use serde_json::{Map, Value, json};
use std::ops::ControlFlow;

on_every_store!(
    rows_are_json,
    the_host_lookup_is_there,
    nothing_is_written,
    readers_keep_their_state,
    a_reader_keeps_no_writer_waiting,
);

fn filled(place: &Place) -> (Box<dyn Store>, Cid) {
    let (store, cid, mut writer) = place.writer();
    let triad = open_slice(&mut *writer, 0);
    let life = seen(1, 0, 10).life;
    let change = Change {
        bundles: vec![bundle(triad, 1, 0, 10)],
        insert: vec![
            (table(triad, FactKind::Process), (1..=50).map(|n| cut(seen(n, 0, 10), true, true)).collect()),
            (
                table(triad, FactKind::File),
                vec![row(file(1, 3, "/tmp/it's 100%"), life), {
                    let mut f = row(file(1, 4, ""), life);
                    if let pofr_core::fact::Fact::File(f) = &mut f.fact {
                        f.key.path = (&b"/\xff\x00x"[..]).into();
                    }
                    f
                }],
            ),
        ],
        make_live: vec![triad],
        ..Change::default()
    };
    writer.commit(&change).unwrap();
    (store, cid)
}

fn ask(store: &dyn Store, cid: &Cid, sql: &str) -> Result<Vec<Map<String, Value>>, StoreError> {
    let mut rows = Vec::new();
    store.read(cid)?.sql(sql, &mut |row| {
        rows.push(row);
        ControlFlow::Continue(())
    })?;
    Ok(rows)
}

fn rows_are_json(place: &Place) {
    let (store, cid) = filled(place);
    let ask = |sql: &str| ask(&*store, &cid, sql).unwrap();
    let rows = ask("SELECT command, arguments, pid, exe, cwd, unread FROM psinfo WHERE pid = 7;");
    assert_eq!(
        Value::from_iter(rows),
        json!([{"command": "ls", "arguments": "ls -l a b", "pid": 7, "exe": "/usr/bin/ls", "cwd": null,
            "unread": "cwd=denied,namespaces=unknown"}])
    );
    let rows = ask("SELECT filename, fd FROM fileinfo ORDER BY fd");
    assert_eq!(rows[0].keys().collect::<Vec<_>>(), ["filename", "fd"], "in the order of the columns");
    assert_eq!(rows[0]["filename"], "/tmp/it's 100%");
    assert_eq!(rows[1]["filename"], json!({"hex": "2fff0078"}));
    assert_eq!(ask("SELECT fd FROM fileinfo WHERE filename LIKE '%it''s%' AND command = 'x'").len(), 1);
    assert_eq!(ask("SELECT count(*) AS n, 1.5 AS x FROM psinfo WHERE command = 'ls'")[0]["n"], 50);
    // The reader stops when it has enough.
    let mut rows = 0;
    let each = &mut |_| {
        rows += 1;
        if rows == 3 { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
    };
    store.read(&cid).unwrap().sql("SELECT * FROM psinfo", each).unwrap();
    assert_eq!(rows, 3);
    let error = self::ask(&*store, &cid, "SELECT x FROM nowhere").unwrap_err().to_string();
    assert!(error.contains("nowhere"), "{error}");
}

fn the_host_lookup_is_there(place: &Place) {
    let (store, cid) = filled(place);
    let rows = ask(&*store, &cid, "select cid,ciduser,lastip,ryear,rsec from lhlt.lhlttable").unwrap();
    let ours = rows.iter().find(|row| row["cid"] == cid.as_str()).unwrap();
    assert_eq!(Value::Object(ours.clone())["ryear"], 2023);
    assert_eq!(ours["lastip"], "2001:db8::1");
}

fn nothing_is_written(place: &Place) {
    let (store, cid) = filled(place);
    for sql in [
        "DELETE FROM pofr_bundles",
        "SELECT 1; DELETE FROM pofr_bundles",
        "WITH a AS (SELECT 1) DELETE FROM pofr_bundles",
        "SELECT 1 INTO OUTFILE '/tmp/pofr-must-not-exist'",
        "SELECT load_file('/etc/hostname')",
        "UPDATE lhlt.lhlttable SET cid = 'x'",
        "CREATE TABLE x (a int)",
        "ATTACH 'x' AS x",
        "SELECT * FROM pofr_bundles FOR UPDATE",
        "EXPLAIN DELETE FROM pofr_bundles; DROP TABLE pofr_gaps",
    ] {
        let error = ask(&*store, &cid, sql).expect_err(sql);
        let refused = matches!(error, StoreError::NotReadOnly(_)) || sql.starts_with("WITH");
        assert!(refused, "{sql}: {error}");
    }
    // A writer's questions only read, too; and it can write again after them.
    let mut writer = store.write(&cid).unwrap();
    let ignore = &mut |_| ControlFlow::Continue(());
    assert!(writer.sql("WITH a AS (SELECT 1) DELETE FROM pofr_bundles", ignore).is_err());
    let triad = writer.ledger().unwrap().triads[0].id;
    writer.commit(&Change { bundles: vec![bundle(triad, 2, 11, 20)], ..Change::default() }).unwrap();
    assert_eq!(store.read(&cid).unwrap().ledger().unwrap().bundles.len(), 2);
    // Should the check ever miss something, the connection refuses, too.
    let pools = crate::db::Pools::new(crate::Location::parse(&place.url).unwrap());
    let mut db = pools.get(&cid.database(), crate::db::Rights::Read).unwrap();
    for sql in
        ["DELETE FROM pofr_bundles", "UPDATE lhlt.lhlttable SET ciduser = 'x'", "CREATE TABLE pofr_x (a int)"]
    {
        let refused = db.snapshot("test", |db| {
            use crate::db::Doing as _;
            db.batch(sql).doing("test")
        });
        assert!(refused.is_err(), "{sql}");
    }
}

fn readers_keep_their_state(place: &Place) {
    let (store, cid) = filled(place);
    let mut reader = store.read(&cid).unwrap();
    let before = reader.ledger().unwrap();
    let mut writer = store.write(&cid).unwrap();
    let triad = before.triads[0].id;
    // A reader that was opened before sees a seal, which renames the tables, and what comes after.
    writer.commit(&Change { seal: vec![triad], ..Change::default() }).unwrap();
    let rows = reader.page(table(triad, FactKind::Process), pofr_core::store::RowId(0), 100).unwrap();
    assert_eq!(rows.len(), 50);
    assert!(reader.ledger().unwrap().generation > before.generation);
}

fn a_reader_keeps_no_writer_waiting(place: &Place) {
    let (store, cid) = filled(place);
    let triad = store.read(&cid).unwrap().ledger().unwrap().triads[0].id;
    let kind = FactKind::Process;
    // In the middle of an answer, a writer seals and extends, closes, and another recovers.
    let mut reader = store.read(&cid).unwrap();
    let mut rows = 0;
    reader
        .sql("SELECT * FROM psinfo", &mut |_| {
            rows += 1;
            if rows == 1 {
                let mut writer = store.write(&cid).unwrap();
                writer.commit(&Change { seal: vec![triad], ..Change::default() }).unwrap();
                let change =
                    Change { insert: vec![(table(triad, kind), vec![seen(99, 0, 1)])], ..Change::default() };
                writer.commit(&change).unwrap();
                drop(writer);
                assert_eq!(all_rows(&mut *store.write(&cid).unwrap(), table(triad, kind)).len(), 51);
            }
            ControlFlow::Continue(())
        })
        .unwrap();
    assert_eq!(rows, 50);
    drop(reader);
    let mut writer = store.write(&cid).unwrap();
    assert_eq!(all_rows(&mut *writer, table(triad, kind)).len(), 51);
    let n = ask(&*store, &cid, "SELECT count(*) AS n FROM psinfo").unwrap();
    assert_eq!(n[0]["n"], 51);
}
