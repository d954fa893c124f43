//! A database of an older schema: readers refuse it, the next writer brings it up to date, and the record stays what it was.

use super::{
    on_every_store,
    place::Place,
    samples::{at, bundle, cut, open_slice, seen, table},
};
use crate::{
    db::{Db, Pools, Rights, Statement},
    ledger,
    tables::spec,
};
use pofr_core::{
    fact::FactKind,
    store::{Change, ClientReader, StoreError},
};

on_every_store!(version_1_is_brought_up_to_date);

/// Makes a database what version 1 left: the state at a moment went by `reach`.
fn make_version_1(db: &mut Db) {
    for name in ledger::load_views(db).unwrap().keys() {
        db.execute(Statement::new("DROP VIEW ").name(name.as_str())).unwrap();
    }
    db.batch("DELETE FROM pofr_views").unwrap();
    let mut tables: Vec<(String, String)> = FactKind::ALL
        .into_iter()
        .map(|kind| ledger::template(spec(kind).table, kind))
        .map(|name| (name.clone(), name))
        .collect();
    for triad in ledger::load_triads(db).unwrap() {
        for (kind, name) in FactKind::TRIAD.into_iter().zip(triad.tables()) {
            tables.push((name.to_owned(), format!("pofr_{}_{}", spec(kind).table, triad.id)));
        }
    }
    for (name, stem) in tables {
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
