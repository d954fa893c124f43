//! Open slices: extending in place, sealing, archives in their stead; rows at edges; order.

use super::{
    on_every_store,
    place::Place,
    samples::{RUN, all_rows, at, bundle, cut, file, open_slice, row, seen, table},
};
use pofr_core::{
    fact::FactKind,
    lifetime::{Lifetime, Row},
    source::Source,
    store::{Change, Edge, Level, Replacement, RowUpdate, TableRef, TriadState},
    time::ZoneOffset,
};

on_every_store!(
    an_open_slice_is_extended_in_place,
    edges_are_found,
    an_archive_takes_the_place_of_slices,
    order_is_known_and_made,
    tables_of_one_kind_for_all_time,
    only_what_does_not_count_is_filled,
);

const KIND: FactKind = FactKind::Process;

/// One slice with three processes: 1 goes on, 2 is gone, 3 only an event knows.
fn first_bundle(triad: pofr_core::store::TriadId) -> Change {
    let mut gone = seen(2, 0, 1);
    gone.life.gone_by = Some(at(2));
    let mut passed = seen(3, 0, 0);
    passed.life = Lifetime { began: Some(at(1)), ended: Some(at(2)), ..Lifetime::default() };
    Change {
        bundles: vec![bundle(triad, 1, 0, 10)],
        insert: vec![(table(triad, KIND), vec![cut(seen(1, 0, 10), true, true), gone, passed])],
        make_live: vec![triad],
        ..Change::default()
    }
}

fn lasts(rows: &[(pofr_core::store::RowId, Row)]) -> Vec<Option<i64>> {
    rows.iter().map(|(_, r)| r.life.last_seen.map(|t| (t.0 - at(0).0) / 1_000_000)).collect()
}

fn an_open_slice_is_extended_in_place(place: &Place) {
    let (store, cid, mut writer) = place.writer();
    let triad = open_slice(&mut *writer, 0);
    writer.commit(&first_bundle(triad)).unwrap();
    let mut reader = store.read(&cid).unwrap();
    let tables = &reader.ledger().unwrap().triads[0].tables;
    assert_eq!(tables[0], format!("psinfo{}9999999999999999", at(0).0));
    let rows = all_rows(&mut *reader, table(triad, KIND));
    assert_eq!(lasts(&rows), [Some(10), Some(1), None]);

    // The next bundle does not name process 1, which simply goes on; process 4 begins and goes on, too.
    let more = Change {
        bundles: vec![bundle(triad, 2, 11, 20)],
        insert: vec![(table(triad, KIND), vec![cut(seen(4, 15, 20), false, true)])],
        ..Change::default()
    };
    writer.commit(&more).unwrap();
    let rows = all_rows(&mut *reader, table(triad, KIND));
    assert_eq!(lasts(&rows), [Some(20), Some(1), None, Some(20)]);
    assert!(rows[0].1.life.cut_right);

    // Process 1 ends, process 4 is said to go on to the new end, process 2 was cut within the slice by a blind gap.
    let update =
        |row: usize, life| RowUpdate { table: table(triad, KIND), id: rows[row].0, life, learned: None };
    let ended = Lifetime { ended: Some(at(25)), last_seen: Some(at(24)), cut_right: false, ..rows[0].1.life };
    let on = Lifetime { last_seen: Some(at(30)), ..rows[3].1.life };
    let cut_within = Lifetime { cut_right: true, gone_by: None, ..rows[1].1.life };
    let more = Change {
        bundles: vec![bundle(triad, 3, 21, 30)],
        update: vec![update(0, ended), update(3, on), update(1, cut_within)],
        ..Change::default()
    };
    writer.commit(&more).unwrap();
    let all = [Some(24), Some(1), None, Some(30)];
    assert_eq!(lasts(&all_rows(&mut *reader, table(triad, KIND))), all);
    let again = Change { bundles: vec![bundle(triad, 4, 31, 40)], ..Change::default() };
    writer.commit(&again).unwrap();
    let all = [Some(24), Some(1), None, Some(40)];
    let rows = all_rows(&mut *reader, table(triad, KIND));
    assert_eq!(lasts(&rows), all);
    let merged = |reader: &mut dyn pofr_core::store::ClientReader| {
        let mut last = Vec::new();
        reader
            .sql("SELECT last_seen FROM psinfo ORDER BY pid", &mut |row| {
                last.push(row["last_seen"].as_i64().map(|t| (t - at(0).0) / 1_000_000));
                std::ops::ControlFlow::Continue(())
            })
            .unwrap();
        last
    };
    assert_eq!(merged(&mut *reader), all, "the view fills in the same");

    writer.commit(&Change { seal: vec![triad], ..Change::default() }).unwrap();
    let ledger = reader.ledger().unwrap();
    assert!(!ledger.triads[0].open);
    assert_eq!(ledger.triads[0].tables[1], format!("fileinfo{}{}", at(0).0, at(40).0));
    assert_eq!(all_rows(&mut *reader, table(triad, KIND)), rows);
    assert_eq!(merged(&mut *reader), all);
    // Nothing is left of the old name.
    drop(writer);
    let mut writer = store.write(&cid).unwrap();
    assert_eq!(all_rows(&mut *writer, table(triad, KIND)), rows);
}

fn edges_are_found(place: &Place) {
    let (_store, _cid, mut writer) = place.writer();
    let triad = open_slice(&mut *writer, 0);
    let mut change = first_bundle(triad);
    let never_sampled = Lifetime {
        began: Some(at(10).plus(5)),
        appeared_after: Some(at(10)),
        cut_right: true,
        ..Lifetime::default()
    };
    change.insert.push((table(triad, KIND), vec![row(seen(5, 0, 0).fact, never_sampled)]));
    writer.commit(&change).unwrap();
    let edge = |writer: &mut dyn pofr_core::store::ClientStore, edge| {
        let rows = writer.edge_rows(table(triad, KIND), RUN, &Source::Process, edge).unwrap();
        rows.iter().map(|r| (r.digest, r.life.last_seen)).collect::<Vec<_>>()
    };
    let one = (seen(1, 0, 0).digest, Some(at(10)));
    let five = (seen(5, 0, 0).digest, None);
    for sealed in [false, true] {
        assert_eq!(edge(&mut *writer, Edge::EndingAt(at(10))), [one, five]);
        assert_eq!(edge(&mut *writer, Edge::EndingAt(at(9))), []);
        assert_eq!(edge(&mut *writer, Edge::BeginningAt(at(0))), [one]);
        assert_eq!(edge(&mut *writer, Edge::BeginningAt(at(10))), []);
        if !sealed {
            writer.commit(&Change { seal: vec![triad], ..Change::default() }).unwrap();
        }
    }
    let stranger = pofr_core::identity::RunId([1; 16]);
    let none = writer.edge_rows(table(triad, KIND), stranger, &Source::Process, Edge::EndingAt(at(10)));
    assert!(none.unwrap().is_empty());
}

fn an_archive_takes_the_place_of_slices(place: &Place) {
    let (store, cid, mut writer) = place.writer();
    let (a, b) = (open_slice(&mut *writer, 0), open_slice(&mut *writer, 11));
    writer.commit(&first_bundle(a)).unwrap();
    let second = Change {
        bundles: vec![bundle(b, 2, 11, 20)],
        insert: vec![(table(b, KIND), vec![cut(seen(1, 11, 20), true, true)])],
        make_live: vec![b],
        seal: vec![a, b],
        ..Change::default()
    };
    writer.commit(&second).unwrap();
    let generation = writer.ledger().unwrap().generation;
    let zone = ZoneOffset::from_minutes(-60).unwrap();
    let archive = writer.create_triad(Level::Archive, false, at(0), at(20), zone).unwrap();
    let mut whole = cut(seen(1, 0, 20), true, true);
    writer.fill(table(archive, KIND), &[whole.clone()]).unwrap();
    // Half done, nothing counts.
    assert_eq!(store.read(&cid).unwrap().ledger().unwrap().live().count(), 2);
    let replace = Replacement { new: archive, old: vec![a, b] };
    writer.commit(&Change { replace: Some(replace), ..Change::default() }).unwrap();
    let mut reader = store.read(&cid).unwrap();
    let ledger = reader.ledger().unwrap();
    assert!(ledger.generation > generation);
    let live: Vec<_> = ledger.live().collect();
    assert_eq!(live.len(), 1);
    assert_eq!(live[0].tables[0], "archpsinfo20231114211320to20231114211340");
    assert_eq!((live[0].from, live[0].to, live[0].rows), (at(0), at(20), [1, 0, 0]));
    assert!(live[0].sorted);
    assert!(ledger.bundles.iter().all(|bundle| bundle.triad == archive));
    assert_eq!(ledger.triads.iter().filter(|t| t.state == TriadState::Dead).count(), 2);
    // Who began before may still read the old ones; one run later they are gone.
    assert_eq!(all_rows(&mut *reader, table(a, KIND)).len(), 3);
    drop(writer);
    let mut writer = store.write(&cid).unwrap();
    assert_eq!(reader.ledger().unwrap().triads.len(), 1);
    assert!(reader.page(table(a, KIND), pofr_core::store::RowId(0), 1).is_err());

    // Another of the same time has another name.
    let period = writer.create_triad(Level::Period, false, at(0), at(20), zone).unwrap();
    let again = writer.create_triad(Level::Period, false, at(0), at(20), zone).unwrap();
    let triads = writer.ledger().unwrap().triads;
    let name = |id| triads.iter().find(|t| t.id == id).unwrap().tables.clone();
    assert_eq!(name(period)[2], "periodnet20231114211320to20231114211340");
    assert_eq!(name(again)[2], "periodnet20231114211320to20231114211340_2");
    // A late change of a stored row of a sorted table moves nothing as long as it begins where it began.
    whole.life.gone_by = Some(at(33));
    let update =
        |life| RowUpdate { table: table(archive, KIND), id: pofr_core::store::RowId(1), life, learned: None };
    writer.commit(&Change { update: vec![update(whole.life)], ..Change::default() }).unwrap();
    assert!(writer.ledger().unwrap().live().next().unwrap().sorted);
    whole.life.began = Some(at(-1));
    writer.commit(&Change { update: vec![update(whole.life)], ..Change::default() }).unwrap();
    assert!(!writer.ledger().unwrap().live().next().unwrap().sorted);
    assert_eq!(all_rows(&mut *writer, table(archive, KIND))[0].1, whole);
    // A row that another has taken in goes; one that is not there cannot.
    let extra = seen(77, 3, 4);
    let insert = vec![(table(archive, KIND), vec![extra])];
    writer.commit(&Change { insert, ..Change::default() }).unwrap();
    let id = all_rows(&mut *writer, table(archive, KIND))[1].0;
    let delete = || Change { delete: vec![(table(archive, KIND), id)], ..Change::default() };
    writer.commit(&delete()).unwrap();
    assert_eq!(writer.ledger().unwrap().live().next().unwrap().rows, [1, 0, 0]);
    assert!(writer.commit(&delete()).is_err());
    let missing = RowUpdate { id: pofr_core::store::RowId(999), ..update(whole.life) };
    assert!(writer.commit(&Change { update: vec![missing], ..Change::default() }).is_err());
}

fn order_is_known_and_made(place: &Place) {
    let (_store, _cid, mut writer) = place.writer();
    let mut rows: Vec<Row> = (0..40).map(|n| seen(n % 10, i64::from(n), i64::from(n))).collect();
    rows[3].run = pofr_core::identity::RunId([1; 16]);
    // One that only events know comes after the samples' of its key, though it was before them.
    rows[15].life = Lifetime { began: Some(at(1)), ended: Some(at(2)), ..Lifetime::default() };
    let mixed = writer.create_triad(Level::Slice, false, at(0), at(40), ZoneOffset::UTC).unwrap();
    writer.fill(table(mixed, KIND), &rows).unwrap();
    let ids = writer.row_reader().unwrap().sorted_ids(table(mixed, KIND)).unwrap();
    let sorted = writer.row_reader().unwrap().rows(table(mixed, KIND), &ids).unwrap();
    rows.sort_by_key(pofr_core::merge::order);
    assert_eq!(sorted, rows);
    let ordered = writer.create_triad(Level::Slice, false, at(0), at(40), ZoneOffset::UTC).unwrap();
    for some in rows.chunks(7) {
        writer.fill(table(ordered, KIND), some).unwrap();
    }
    let triads = writer.ledger().unwrap().triads;
    assert_eq!(triads.iter().map(|t| t.sorted).collect::<Vec<_>>(), [false, true]);
    assert_eq!(writer.row_reader().unwrap().sorted_ids(table(ordered, FactKind::File)).unwrap(), []);
}

fn tables_of_one_kind_for_all_time(place: &Place) {
    let (_store, _cid, mut writer) = place.writer();
    let triad = open_slice(&mut *writer, 0);
    let users = TableRef { triad: None, kind: FactKind::User };
    let user =
        pofr_core::fact::Fact::User(pofr_core::fact::User { name: "ann".into(), ..Default::default() });
    let life = seen(1, 0, 10).life;
    let change = Change {
        bundles: vec![bundle(triad, 1, 0, 10)],
        insert: vec![(users, vec![cut(row(user, life), true, true)])],
        make_live: vec![triad],
        ..Change::default()
    };
    writer.commit(&change).unwrap();
    let found = writer.edge_rows(users, RUN, &Source::Account, Edge::EndingAt(at(10))).unwrap();
    let on = Lifetime { last_seen: Some(at(20)), ..found[0].life };
    let update = RowUpdate { table: users, id: found[0].id, life: on, learned: None };
    writer.commit(&Change { update: vec![update], ..Change::default() }).unwrap();
    assert_eq!(all_rows(&mut *writer, users)[0].1.life, on);
}

fn only_what_does_not_count_is_filled(place: &Place) {
    let (_store, _cid, mut writer) = place.writer();
    let triad = open_slice(&mut *writer, 0);
    writer.commit(&first_bundle(triad)).unwrap();
    assert!(writer.fill(table(triad, KIND), &[seen(1, 0, 0)]).is_err());
    let users = TableRef { triad: None, kind: FactKind::User };
    assert!(writer.fill(users, &[]).is_err());
    // A fact of another kind is refused, and leaves nothing behind.
    let other = writer.create_triad(Level::Slice, false, at(0), at(1), ZoneOffset::UTC).unwrap();
    let wrong = row(file(1, 2, "/x"), seen(1, 0, 0).life);
    assert!(writer.fill(table(other, KIND), &[seen(1, 0, 0), wrong]).is_err());
    assert_eq!(all_rows(&mut *writer, table(other, KIND)), []);
}
