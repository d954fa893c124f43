//! The merged views over more triads than a compound SELECT may have terms.

use super::{
    on_every_store,
    place::Place,
    samples::{at, bundle, seen, table},
};
use pofr_core::{
    fact::FactKind,
    store::{Change, Level, Replacement},
    time::ZoneOffset,
};
use std::ops::ControlFlow;

on_every_store!(hundreds_of_triads_are_one_view);

fn hundreds_of_triads_are_one_view(place: &Place) {
    let (store, cid, mut writer) = place.writer();
    let mut ids = Vec::new();
    let mut change = Change::default();
    for n in 0..310i64 {
        let triad =
            writer.create_triad(Level::Slice, false, at(n * 10), at(n * 10 + 9), ZoneOffset::UTC).unwrap();
        change.bundles.push(bundle(triad, n as u64 + 1, n * 10, n * 10 + 9));
        change.insert.push((table(triad, FactKind::Process), vec![seen(n as u32, n * 10, n * 10 + 9)]));
        change.make_live.push(triad);
        ids.push(triad);
    }
    writer.commit(&change).unwrap();
    let mut reader = store.read(&cid).unwrap();
    let mut number = |sql: &str| {
        let mut found = None;
        let each = &mut |row: serde_json::Map<_, serde_json::Value>| {
            found = row.values().next().and_then(serde_json::Value::as_i64);
            ControlFlow::Continue(())
        };
        reader.sql(sql, each).unwrap();
        found
    };
    assert_eq!(number("SELECT COUNT(*) AS n FROM psinfo"), Some(310));
    assert_eq!(number("SELECT COUNT(*) AS n FROM all_psinfo"), Some(310));
    assert_eq!(number("SELECT ppid FROM psinfo WHERE pid = 309"), Some(1));
    let archive = writer.create_triad(Level::Archive, false, at(0), at(2000), ZoneOffset::UTC).unwrap();
    writer.fill(table(archive, FactKind::Process), &[seen(1, 0, 2000)]).unwrap();
    let replace = Some(Replacement { new: archive, old: ids[..200].to_vec() });
    writer.commit(&Change { replace, ..Change::default() }).unwrap();
    assert_eq!(number("SELECT COUNT(*) AS n FROM psinfo"), Some(110));
    assert_eq!(number("SELECT COUNT(*) AS n FROM all_psinfo"), Some(111));
}
