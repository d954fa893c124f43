//! A database of an older schema: readers refuse it, the next writer brings it up to date, and the record stays what it was.

use super::{
    on_every_store,
    place::Place,
    samples::{all_rows, at, bundle, cut, file, open_slice, process, seen, table},
};
use crate::{
    db::{Db, Pools, Rights, Statement},
    ledger,
    tables::spec,
};
use pofr_core::{
    digest::Sha256,
    fact::{Cut, Fact, FactKind, Files, Ids, ProcessMarks},
    identity::Pid,
    lifetime::Row,
    store::{Change, ClientReader, StoreError},
};

on_every_store!(version_1_is_brought_up_to_date, version_3_is_brought_up_to_date);

/// Returns every table of facts, and what its indexes' names begin with.
fn tables(db: &mut Db) -> Vec<(FactKind, String, String)> {
    let template = |kind: FactKind| ledger::template(spec(kind).table, kind);
    let mut tables: Vec<_> =
        FactKind::ALL.into_iter().map(|kind| (kind, template(kind), template(kind))).collect();
    for triad in ledger::load_triads(db).unwrap() {
        for (kind, name) in FactKind::TRIAD.into_iter().zip(triad.tables()) {
            tables.push((kind, name.to_owned(), format!("pofr_{}_{}", spec(kind).table, triad.id)));
        }
    }
    tables
}

/// Makes a database what version 3 left: a process had no marks, and its ids were never NULL.
fn make_version_3(db: &mut Db) {
    const IDS: [&str; 4] = ["ruid", "euid", "rgid", "egid"];
    const MARKS: [&str; 8] = [
        "unreadable",
        "argbytes",
        "argsha256",
        "exenamed",
        "threadof",
        "filesof",
        "filesofpid",
        "filesofstart",
    ];
    for name in ledger::load_views(db).unwrap().keys() {
        db.execute(Statement::new("DROP VIEW ").name(name.as_str())).unwrap();
    }
    db.batch("DELETE FROM pofr_views").unwrap();
    for (kind, name, _) in tables(db) {
        if !matches!(kind, FactKind::Process | FactKind::File) {
            continue;
        }
        for id in IDS {
            db.batch(&format!("UPDATE `{name}` SET {id} = 4294967295 WHERE {id} IS NULL")).unwrap();
        }
        if kind == FactKind::File {
            continue;
        }
        for mark in MARKS {
            db.batch(&format!("ALTER TABLE `{name}` DROP COLUMN {mark}")).unwrap();
        }
        for id in IDS {
            match db.dialect() {
                crate::db::Dialect::Sqlite => db.batch(&format!(
                    "PRAGMA writable_schema = ON;
                     UPDATE sqlite_schema SET sql = replace(sql, '`{id}` INTEGER NULL', '`{id}` INTEGER NOT NULL')
                     WHERE name = '{name}';
                     PRAGMA writable_schema = RESET"
                )),
                crate::db::Dialect::Mariadb => db.batch(&format!(
                    "ALTER TABLE `{name}` MODIFY COLUMN {id} INT UNSIGNED NOT NULL, MODIFY COLUMN files VARCHAR(8) \
                     CHARACTER SET ascii COLLATE ascii_bin NOT NULL"
                )),
            }
            .unwrap();
        }
        let refused = db.batch(&format!("INSERT INTO `{name}` (pid) VALUES (1)"));
        refused.unwrap_err();
    }
    ledger::set(db, "schema", 3).unwrap();
}

/// Makes a database what version 1 left: the state at a moment went by `reach`.
fn make_version_1(db: &mut Db) {
    make_version_3(db);
    for (_, name, stem) in tables(db) {
        let alter = || Statement::new("ALTER TABLE ").name(name.clone());
        let statements = match db.dialect() {
            crate::db::Dialect::Sqlite => vec![
                Statement::new("DROP INDEX ").name(format!("{stem}_term")),
                alter().sql(" DROP COLUMN term"),
                alter().sql(" DROP COLUMN earliest"),
                Statement::new("CREATE INDEX ")
                    .name(format!("{stem}_reach"))
                    .sql(" ON ")
                    .name(name.clone())
                    .sql(" (reach)"),
            ],
            crate::db::Dialect::Mariadb => vec![
                alter()
                    .sql(" DROP INDEX term, DROP COLUMN term, DROP COLUMN earliest, ADD INDEX reach (reach)"),
            ],
        };
        for statement in statements {
            db.execute(statement).unwrap();
        }
    }
    // Nothing filled it, and it had no processes.
    db.batch("DROP TABLE urlinfo").unwrap();
    db.batch("CREATE TABLE urlinfo (urlinfo BIGINT NOT NULL PRIMARY KEY, cmicros BIGINT NOT NULL, url TEXT)")
        .unwrap();
    ledger::set(db, "schema", 1).unwrap();
}

fn version_1_is_brought_up_to_date(place: &Place) {
    let (store, cid, mut writer) = place.writer();
    let triad = open_slice(&mut *writer, 0);
    let rows = vec![cut(seen(1, 0, 10), true, true), seen(2, 4, 6)];
    let change = Change {
        bundles: vec![bundle(triad, 1, 0, 10)],
        insert: vec![(table(triad, FactKind::Process), rows)],
        make_live: vec![triad],
        ..Change::default()
    };
    writer.commit(&change).unwrap();
    let state = |reader: &mut dyn ClientReader| {
        let mut rows = reader.state_at(FactKind::Process, at(5)).unwrap().certain;
        rows.sort_by_key(|row| row.digest);
        rows
    };
    let before = state(&mut *writer);
    assert_eq!(before.len(), 2);
    drop(writer);
    let pools = Pools::new(crate::Location::parse(&place.url).unwrap());
    make_version_1(&mut pools.get(&cid.database(), Rights::Write).unwrap());
    let refused = store.read(&cid).err();
    assert!(matches!(refused, Some(StoreError::SchemaVersion { found: 1, .. })), "{refused:?}");
    // Twice: the second time there is nothing left to do.
    for _ in 0..2 {
        let mut writer = store.write(&cid).unwrap();
        assert_eq!(state(&mut *writer), before);
        writer.sql("SELECT entity, pid FROM urlinfo", &mut |_| std::ops::ControlFlow::Continue(())).unwrap();
        drop(writer);
        assert_eq!(state(&mut *store.read(&cid).unwrap()), before);
    }
}

fn version_3_is_brought_up_to_date(place: &Place) {
    let (store, cid, mut writer) = place.writer();
    let triad = open_slice(&mut *writer, 0);
    let unknown = |pid, first, last| {
        let mut process = process(pid, "ls");
        process.key.ids = Ids::default();
        let mut row = seen(pid, first, last);
        row.fact = Fact::from(process);
        row.digest = row.fact.digest();
        row
    };
    let rows = vec![cut(seen(1, 0, 10), true, true), unknown(2, 4, 6)];
    let opened = |pid| {
        let mut row = seen(pid, 4, 6);
        row.fact = file(pid, 3, "/x");
        row.digest = row.fact.digest();
        row
    };
    let change = Change {
        bundles: vec![bundle(triad, 1, 0, 10)],
        insert: vec![
            (table(triad, FactKind::Process), rows.clone()),
            (table(triad, FactKind::File), vec![opened(1)]),
        ],
        make_live: vec![triad],
        ..Change::default()
    };
    writer.commit(&change).unwrap();
    drop(writer);
    let pools = Pools::new(crate::Location::parse(&place.url).unwrap());
    make_version_3(&mut pools.get(&cid.database(), Rights::Write).unwrap());
    let refused = store.read(&cid).err();
    assert!(matches!(refused, Some(StoreError::SchemaVersion { found: 3, .. })), "{refused:?}");
    let mut writer = store.write(&cid).unwrap();
    let all = |reader: &mut dyn ClientReader, kind| -> Vec<Row> {
        all_rows(reader, table(triad, kind)).into_iter().map(|(_, row)| row).collect()
    };
    assert_eq!(all(&mut *writer, FactKind::Process), rows, "what nobody could be is unknown");
    assert_eq!(all(&mut *writer, FactKind::File), [opened(1)]);
    // The slice is open still, and takes what it could not before.
    let mut later = unknown(3, 12, 14);
    let Fact::Process(process) = &mut later.fact else { unreachable!() };
    process.key.files = Files::Unreadable;
    process.key.marks = ProcessMarks {
        unreadable: true,
        arguments_cut: Some(Cut { bytes: 9 << 20, sha256: Some(Sha256([7; 32])) }),
        exe_named_deleted: true,
        thread_of: Some(Pid(1)),
        files_of: Some(super::samples::process(1, "ls").key.entity),
    };
    later.digest = later.fact.digest();
    let change = Change {
        bundles: vec![bundle(triad, 2, 11, 20)],
        insert: vec![(table(triad, FactKind::Process), vec![later.clone()])],
        ..Change::default()
    };
    writer.commit(&change).unwrap();
    drop(writer);
    let mut reader = store.read(&cid).unwrap();
    assert_eq!(all(&mut *reader, FactKind::Process)[2], later);
    let mut views = Vec::new();
    reader
        .sql("SELECT ruid, argbytes, filesofpid, files FROM psinfo WHERE pid = 3", &mut |row| {
            views.push(format!("{row:?}"));
            std::ops::ControlFlow::Continue(())
        })
        .unwrap();
    assert_eq!(views.len(), 1, "{views:?}");
}
