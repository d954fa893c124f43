//! Questions that are asked again and again are answered through an index, not by reading whole tables.

use super::{
    on_every_store,
    place::Place,
    samples::{RUN, at, cut, file, row, seen, table},
};
use crate::{
    db::{Db, NamedRecord, Rights, Statement, Value},
    ledger::Names,
    query,
    store::{self, read},
};
use pofr_core::{
    fact::FactKind,
    identity::Pid,
    source::Source,
    store::{Edge, Level, Narrow, Search},
    time::ZoneOffset,
};
use std::{collections::BTreeSet, net::IpAddr, ops::ControlFlow};

on_every_store!(edges_and_moments_have_indexes, people_have_indexes, searches_have_indexes);

/// A triad with some thousand rows, of which few are at any one edge or moment.
fn filled(place: &Place) -> (Db, Names, pofr_core::store::TriadId) {
    let (store, cid, mut writer) = place.writer();
    let triad = writer.create_triad(Level::Slice, false, at(0), at(5000), ZoneOffset::UTC).unwrap();
    let rows: Vec<_> =
        (0..5000).map(|n| cut(seen(n, i64::from(n), i64::from(n) + 2), n % 50 == 0, n % 50 == 0)).collect();
    let files: Vec<_> =
        rows.iter().enumerate().map(|(n, r)| row(file(n as u32, 1, &format!("/tmp/{n}")), r.life)).collect();
    writer.fill(table(triad, FactKind::Process), &rows).unwrap();
    writer.fill(table(triad, FactKind::File), &files).unwrap();
    writer
        .commit(&pofr_core::store::Change { make_live: vec![triad], ..pofr_core::store::Change::default() })
        .unwrap();
    drop((store, writer));
    let pools = crate::db::Pools::new(crate::Location::parse(&place.url).unwrap());
    let mut db = pools.get(&cid.database(), Rights::Write).unwrap();
    let names = Names::load(&mut db, &cid).unwrap();
    if place.is_mariadb() {
        // InnoDB's statistics would come by themselves, some seconds later.
        let live = store::Place::find(&mut db, &names, table(triad, FactKind::Process)).unwrap();
        db.query(Statement::new("ANALYZE TABLE ").name(&live.name)).unwrap();
    }
    (db, names, triad)
}

/// Returns the indexes that a statement would use, and `WHOLE` for each table that it would read from end to end.
fn plan(db: &mut Db, statement: Statement<'_>) -> String {
    let mut plan = String::new();
    let statement = statement.explained(db.dialect());
    db.each(statement, &mut |NamedRecord(columns)| {
        let text = |wanted: &str| match columns.iter().find(|(name, _)| name == wanted) {
            Some((_, Value::Text(text))) => text.as_str(),
            _ => "",
        };
        // What stands in angle brackets is another step's answer.
        let whole = ["SCAN psinfo", "SCAN fileinfo", "SCAN netinfo"]
            .iter()
            .any(|scan| text("detail").starts_with(scan))
            || (text("type") == "ALL" && !text("table").starts_with('<'));
        for part in [text("detail"), text("key"), if whole { "WHOLE" } else { "" }] {
            plan += part;
            plan.push(' ');
        }
        ControlFlow::Continue(())
    })
    .unwrap();
    plan
}

fn edges_and_moments_have_indexes(place: &Place) {
    let (mut db, names, triad) = filled(place);
    let live = store::Place::find(&mut db, &names, table(triad, FactKind::Process)).unwrap();
    let run = names.runs[&RUN];
    let edge = |edge| read::select_edge(&live, run, &Source::Process, edge, None);
    for (statement, index) in [
        (edge(Edge::EndingAt(at(2500))), "edge"),
        (edge(Edge::BeginningAt(at(2500))), "first"),
        (query::reaching(&live, at(2500), db.dialect()), "term"),
        (query::cut_at(&live, run, at(2500)), "edge"),
        (query::ended_within(&live, run, at(2500), at(2501)), "term"),
    ] {
        let plan = plan(&mut db, statement);
        assert!(plan.contains(index) && !plan.contains("WHOLE"), "{index}: {plan}");
    }
}

fn people_have_indexes(place: &Place) {
    let (mut db, _, _) = filled(place);
    for (sql, index) in [
        ("SELECT * FROM psinfo WHERE pid = 77", "pid"),
        ("SELECT * FROM all_fileinfo WHERE filename = '/tmp/77'", "name"),
        ("SELECT * FROM fileinfo WHERE pid = 77", "pid"),
        ("SELECT * FROM all_netinfo WHERE destip = '192.0.2.1'", "dest"),
    ] {
        // Through the view's two levels, at the tables.
        let plan = plan(&mut db, Statement::new(sql));
        assert!(plan.contains(index), "{sql}: {plan}");
    }
}

fn searches_have_indexes(place: &Place) {
    let (mut db, names, triad) = filled(place);
    let pids = BTreeSet::from([Pid(77), Pid(78)]);
    let addresses = BTreeSet::from([IpAddr::from([192, 0, 2, 1])]);
    for (kind, narrow, index) in [
        (FactKind::Process, Narrow::Pids(pids.clone()), "pid"),
        (FactKind::File, Narrow::Pids(pids), "pid"),
        (FactKind::File, Narrow::Path("/tmp/77".into()), "name"),
        (FactKind::File, Narrow::Under("/tmp/77".into()), "name"),
        (FactKind::Endpoint, Narrow::Addresses(addresses), "dest"),
        (FactKind::Process, Narrow::All, "term"),
        (FactKind::Process, Narrow::Command("ls".into()), "term"),
    ] {
        let live = store::Place::find(&mut db, &names, table(triad, kind)).unwrap();
        if place.is_mariadb() {
            db.query(Statement::new("ANALYZE TABLE ").name(&live.name)).unwrap();
        }
        for within in [(Some(at(2500)), Some(at(2501))), (None, None)] {
            let search = Search::all(kind).narrow(narrow.clone()).within(within.0, within.1);
            let unbounded = within.0.is_none() && index == "term";
            let (dialect, borders) = (db.dialect(), query::Borders::default());
            let statement = query::select_keys(&live, &search, &borders, None, dialect);
            let plan = plan(&mut db, statement);
            // Whoever asks for all there ever was, and for nothing with an index, reads all there is.
            assert!(
                unbounded || plan.contains(index) && !plan.contains("WHOLE"),
                "{kind:?} {search:?}: {plan}"
            );
        }
    }
}
