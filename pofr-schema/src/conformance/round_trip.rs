//! What is stored comes back exactly.

use super::{
    facts::any_fact,
    on_every_store,
    place::Place,
    samples::{RUN, all_rows, at, bundle, open_slice, table},
};
use pofr_core::{
    fact::{Fact, FactKind},
    gap::{Gap, Severity},
    identity::{BootId, RunId},
    lifetime::{Lifetime, Row},
    source::Source,
    store::{BundleFormat, Change, PendingHalf, TableRef},
    time::{WallMicros, ZoneOffset},
};
use proptest::{option, prelude::*, strategy::ValueTree as _, test_runner::TestRunner};
use std::collections::BTreeMap;

on_every_store!(every_fact_comes_back, the_ledger_comes_back, halves_wait);

fn any_life() -> impl Strategy<Value = Lifetime> {
    let time = || option::of((0i64..4_000_000_000_000_000).prop_map(WallMicros));
    (time(), time(), time(), time(), time(), any::<bool>(), any::<bool>(), 0i64..1_000_000).prop_map(
        |(first_seen, appeared_after, gone_by, began, ended, cut_left, cut_right, more)| Lifetime {
            first_seen,
            // Seen first is seen last, too.
            last_seen: first_seen.map(|t| t.plus(more)),
            appeared_after,
            gone_by,
            began,
            ended,
            cut_left,
            cut_right,
        },
    )
}

fn any_row() -> impl Strategy<Value = Row> {
    let run = prop::sample::select(vec![RUN, RunId([0; 16]), RunId([255; 16])]);
    (any_fact(), any_life(), run, -1439i32..1440).prop_map(|(fact, life, run, zone)| Row {
        run,
        zone: ZoneOffset::from_minutes(zone).unwrap(),
        digest: fact.digest(),
        life,
        fact,
    })
}

fn every_fact_comes_back(place: &Place) {
    let (store, cid, mut writer) = place.writer();
    let triad = open_slice(&mut *writer, 0);
    let mut runner = TestRunner::deterministic();
    let mut rows: BTreeMap<FactKind, Vec<Row>> = BTreeMap::new();
    for _ in 0..700 {
        let row = any_row().new_tree(&mut runner).unwrap().current();
        rows.entry(row.fact.kind()).or_default().push(row);
    }
    assert_eq!(rows.len(), FactKind::ALL.len(), "every kind must be tried");
    let place_of = |kind: FactKind| TableRef { triad: kind.in_triad().then_some(triad), kind };
    let change = Change {
        bundles: vec![bundle(triad, 1, 0, 1)],
        insert: rows.iter().map(|(kind, rows)| (place_of(*kind), rows.clone())).collect(),
        make_live: vec![triad],
        ..Change::default()
    };
    writer.commit(&change).unwrap();
    let mut reader = store.read(&cid).unwrap();
    for (kind, rows) in &rows {
        let stored = all_rows(&mut *reader, place_of(*kind));
        assert_eq!(stored.len(), rows.len(), "{kind:?}");
        for ((_, stored), row) in stored.iter().zip(rows) {
            assert_eq!(stored, row);
        }
        let mut ids: Vec<_> = stored.iter().map(|(id, _)| *id).collect();
        ids.reverse();
        let by_id = writer.row_reader().unwrap().rows(place_of(*kind), &ids).unwrap();
        assert!(by_id.iter().rev().eq(rows.iter()), "{kind:?} by keys");
    }
    let ledger = reader.ledger().unwrap();
    let count = |kind| rows[&kind].len() as u64;
    assert_eq!(ledger.triads[0].rows, FactKind::TRIAD.map(count));
    assert!(reader.stored_bytes().unwrap() > 100_000);
}

fn the_ledger_comes_back(place: &Place) {
    let (store, cid, mut writer) = place.writer();
    let triad = open_slice(&mut *writer, 0);
    let mut first = bundle(triad, 1, 0, 10);
    first.entry.name = "na'me \u{1F600}".into();
    first.entry.seq.0 = u64::MAX;
    first.entry.zone = ZoneOffset::from_minutes(-210).unwrap();
    first.entry.previous = Some(pofr_core::digest::Sha256([3; 32]));
    first.entry.complete = false;
    first.spans[0].joins_left = false;
    first.spans[1].source = Source::parse("acme.sensor").unwrap();
    let gap = Gap {
        source: Some(Source::Process),
        severity: Severity::Thin,
        reason: "late; 'tick'".into(),
        from: at(3),
        to: Some(at(4)),
        lost: Some(5),
    };
    first.gaps = vec![
        gap.clone(),
        Gap { source: None, severity: Severity::Blind, to: None, lost: None, ..gap.clone() },
    ];
    let mut second = bundle(triad, 2, 11, 20);
    second.entry.cid = Some(cid.clone());
    second.entry.format = BundleFormat::V1;
    second.entry.boot = BootId::UNKNOWN;
    second.entry.run = RunId([1; 16]);
    let change =
        Change { bundles: vec![first.clone(), second.clone()], make_live: vec![triad], ..Change::default() };
    writer.commit(&change).unwrap();
    let ledger = store.read(&cid).unwrap().ledger().unwrap();
    assert_eq!(ledger.bundles, [second, first.clone()], "by run and number");
    assert_eq!((ledger.triads[0].from, ledger.triads[0].to), (at(0), at(20)));
    assert!(ledger.triads[0].open);

    // A bundle twice is an error that changes nothing.
    let again = Change { bundles: vec![bundle(triad, 3, 21, 22), first], ..Change::default() };
    writer.commit(&again).unwrap_err();
    assert_eq!(writer.ledger().unwrap().bundles, ledger.bundles);
}

fn halves_wait(place: &Place) {
    let (_store, _cid, mut writer) = place.writer();
    let half = |n: i64, is_proc: bool| PendingHalf {
        stamp: at(n),
        is_proc,
        zone: ZoneOffset::from_minutes(60).unwrap(),
        text: b"\0\xffit's".repeat(1000),
        bundle: pofr_core::digest::Sha256([n as u8; 32]),
        received: at(n + 1),
    };
    let halves = vec![half(1, false), half(1, true), half(2, true)];
    writer.commit(&Change { keep_halves: halves.clone(), ..Change::default() }).unwrap();
    assert_eq!(writer.pending_halves().unwrap(), halves);
    let change = Change {
        drop_halves: vec![(at(1), true), (at(9), true)],
        keep_halves: vec![half(3, false)],
        ..Change::default()
    };
    writer.commit(&change).unwrap();
    assert_eq!(writer.pending_halves().unwrap(), [half(1, false), half(2, true), half(3, false)]);
}

/// Facts learn later what they did not know; what they knew stays.
#[test]
fn learning_in_the_store_is_learning_in_core() {
    let place = Place::sqlite();
    learning(&place);
}

#[cfg(feature = "mariadb")]
#[test]
fn learning_in_mariadb_is_learning_in_core() {
    learning(&Place::mariadb());
}

fn learning(place: &Place) {
    let (_store, _cid, mut writer) = place.writer();
    let triad = open_slice(&mut *writer, 0);
    let mut runner = TestRunner::deterministic();
    let mut wanted: BTreeMap<FactKind, Vec<(Row, Row)>> = BTreeMap::new();
    while wanted.values().map(Vec::len).sum::<usize>() < 60 {
        let a = any_row().new_tree(&mut runner).unwrap().current();
        let mut b = any_row().new_tree(&mut runner).unwrap().current();
        // The same key with other details.
        b.fact = match (&a.fact, b.fact) {
            (Fact::Process(a), Fact::Process(mut b)) => {
                if a.key.arguments.is_some() {
                    b.details.arguments = None;
                }
                Fact::from(pofr_core::fact::Process { key: a.key.clone(), details: b.details })
            }
            (Fact::File(a), Fact::File(b)) => {
                Fact::File(pofr_core::fact::OpenFile { key: a.key.clone(), details: b.details })
            }
            (Fact::Endpoint(a), Fact::Endpoint(b)) => {
                Fact::from(pofr_core::fact::Endpoint { key: a.key.clone(), details: b.details })
            }
            _ => continue,
        };
        wanted.entry(a.fact.kind()).or_default().push((a, b));
    }
    let insert = wanted
        .iter()
        .map(|(kind, pairs)| (table(triad, *kind), pairs.iter().map(|(a, _)| a.clone()).collect()))
        .collect();
    let change =
        Change { bundles: vec![bundle(triad, 1, 0, 1)], insert, make_live: vec![triad], ..Change::default() };
    writer.commit(&change).unwrap();
    let mut update = Vec::new();
    for (kind, pairs) in &wanted {
        let stored = all_rows(&mut *writer, table(triad, *kind));
        for ((id, _), (_, b)) in stored.iter().zip(pairs) {
            update.push(pofr_core::store::RowUpdate {
                table: table(triad, *kind),
                id: *id,
                life: b.life,
                learned: Some(b.fact.clone()),
            });
        }
    }
    writer.commit(&Change { update, ..Change::default() }).unwrap();
    for (kind, pairs) in wanted {
        let stored = all_rows(&mut *writer, table(triad, kind));
        for ((_, stored), (mut a, b)) in stored.into_iter().zip(pairs) {
            a.fact.learn(&b.fact);
            a.life = b.life;
            assert_eq!(stored, a);
        }
    }
}
