//! The state at a moment: within a slice, at borders, over triads and runs.

use super::{
    on_every_store,
    place::Place,
    samples::{RUN, at, bundle, cut, open_slice, process, row, seen, span, table},
};
use pofr_core::{
    fact::{Fact, FactKind, Module},
    identity::RunId,
    lifetime::{Lifetime, Row},
    source::Source,
    store::{Change, ClientReader, ClientStore, Level, StateAt, TableRef, TriadId},
    time::{WallMicros, ZoneOffset},
};

on_every_store!(
    within_a_slice,
    between_two_joined_slices,
    between_two_slices_with_a_hole,
    what_only_events_know,
    two_runs_at_one_time,
    kinds_without_triads,
);

const KIND: FactKind = FactKind::Process;

/// The pids that hold for certain, and maybe.
fn pids(state: &StateAt) -> (Vec<u32>, Vec<u32>) {
    let of = |rows: &[Row]| {
        let mut pids: Vec<u32> = rows
            .iter()
            .map(|row| match &row.fact {
                Fact::Process(p) => p.key.entity.pid().0,
                _ => panic!("no process"),
            })
            .collect();
        pids.sort_unstable();
        pids
    };
    (of(&state.certain), of(&state.maybe))
}

fn ask(reader: &mut dyn ClientReader, t: WallMicros) -> (Vec<u32>, Vec<u32>, bool) {
    let state = reader.state_at(KIND, t).unwrap();
    let (certain, maybe) = pids(&state);
    (certain, maybe, state.record.iter().any(|record| record.covered))
}

fn slice(writer: &mut dyn ClientStore, seq: u64, first: i64, last: i64, rows: Vec<Row>) -> TriadId {
    let triad = open_slice(writer, first);
    let change = Change {
        bundles: vec![bundle(triad, seq, first, last)],
        insert: vec![(table(triad, KIND), rows)],
        make_live: vec![triad],
        ..Change::default()
    };
    writer.commit(&change).unwrap();
    triad
}

fn within_a_slice(place: &Place) {
    let (_store, _cid, mut writer) = place.writer();
    let mut came = seen(2, 4, 6);
    (came.life.appeared_after, came.life.gone_by) = (Some(at(3)), Some(at(7)));
    let rows = vec![cut(seen(1, 0, 10), true, true), came];
    let triad = slice(&mut *writer, 1, 0, 10, rows);
    for sealed in [false, true] {
        let w = &mut *writer;
        assert_eq!(ask(w, at(-1)), (vec![], vec![], false));
        assert_eq!(ask(w, at(0)), (vec![1], vec![], true));
        assert_eq!(ask(w, at(3)), (vec![1], vec![], true));
        assert_eq!(ask(w, at(3).plus(1)), (vec![1], vec![2], true));
        assert_eq!(ask(w, at(5)), (vec![1, 2], vec![], true));
        assert_eq!(ask(w, at(6).plus(1)), (vec![1], vec![2], true));
        assert_eq!(ask(w, at(7)), (vec![1], vec![], true));
        assert_eq!(ask(w, at(10)), (vec![1], vec![], true));
        assert_eq!(ask(w, at(10).plus(1)), (vec![], vec![], false));
        let record = w.state_at(KIND, at(20)).unwrap().record;
        assert_eq!((record[0].run, record[0].nearest), (RUN, (Some(at(10)), None)));
        if !sealed {
            writer.commit(&Change { seal: vec![triad], ..Change::default() }).unwrap();
        }
    }
}

/// Two slices that meet: 1 goes on, 2 is gone by the right one's first stamp, 3 appears there, 4 ends by an event in between.
fn border(writer: &mut dyn ClientStore, right_seq: u64) {
    let on = |pid| cut(seen(pid, 0, 10), true, true);
    let mut gone = cut(seen(2, 0, 10), true, false);
    gone.life.gone_by = Some(at(11));
    let left = slice(writer, 1, 0, 10, vec![on(1), gone, on(4)]);
    let mut appeared = cut(seen(3, 11, 20), false, true);
    appeared.life.appeared_after = Some(at(10));
    let mut ended = seen(4, 0, 0);
    ended.life = Lifetime { ended: Some(at(10).plus(500_000)), cut_left: true, ..Lifetime::default() };
    slice(writer, right_seq, 11, 20, vec![cut(seen(1, 11, 20), true, true), appeared, ended]);
    writer.commit(&Change { seal: vec![left], ..Change::default() }).unwrap();
}

fn between_two_joined_slices(place: &Place) {
    let (_store, _cid, mut writer) = place.writer();
    border(&mut *writer, 2);
    let w = &mut *writer;
    assert_eq!(ask(w, at(10)), (vec![1, 2, 4], vec![], true));
    assert_eq!(ask(w, at(10).plus(1)), (vec![1, 4], vec![2, 3], true));
    assert_eq!(ask(w, at(10).plus(499_999)), (vec![1, 4], vec![2, 3], true));
    assert_eq!(ask(w, at(10).plus(500_000)), (vec![1], vec![2, 3], true));
    assert_eq!(ask(w, at(11).plus(-1)), (vec![1], vec![2, 3], true));
    assert_eq!(ask(w, at(11)), (vec![1, 3], vec![], true));
    let record = w.state_at(KIND, at(10).plus(7)).unwrap().record;
    assert_eq!(record[0].nearest, (Some(at(10)), Some(at(11))));
}

fn between_two_slices_with_a_hole(place: &Place) {
    let (_store, _cid, mut writer) = place.writer();
    // The bundle in between is not there.
    border(&mut *writer, 3);
    let w = &mut *writer;
    assert_eq!(ask(w, at(10)), (vec![1, 2, 4], vec![], true));
    let (certain, _, covered) = ask(w, at(10).plus(1));
    assert_eq!((certain, covered), (vec![], false));
    assert_eq!(ask(w, at(11)), (vec![1, 3], vec![], true));
}

fn what_only_events_know(place: &Place) {
    let (_store, _cid, mut writer) = place.writer();
    let events = |pid, life| row(seen(pid, 0, 0).fact, life);
    let passed = events(1, Lifetime { began: Some(at(2)), ended: Some(at(3)), ..Lifetime::default() });
    // It began after the last sample and was alive when the record ended.
    let alive = Lifetime {
        began: Some(at(10).plus(200_000)),
        appeared_after: Some(at(10)),
        cut_right: true,
        ..Lifetime::default()
    };
    let triad = slice(&mut *writer, 1, 0, 10, vec![passed, events(2, alive)]);
    let w = &mut *writer;
    assert_eq!(ask(w, at(2)).0, [1]);
    assert_eq!(ask(w, at(3).plus(-1)).0, [1]);
    assert!(ask(w, at(3)).0.is_empty());
    assert!(ask(w, at(10).plus(199_999)).0.is_empty());
    assert_eq!(ask(w, at(10).plus(200_000)).0, [2]);
    assert!(ask(w, at(10).plus(200_001)).0.is_empty(), "nothing is known after the record's end");
    // The next bundle shows it, in another triad: it was alive all the while.
    writer.commit(&Change { seal: vec![triad], ..Change::default() }).unwrap();
    slice(&mut *writer, 2, 11, 20, vec![cut(seen(2, 11, 20), true, true)]);
    let w = &mut *writer;
    assert_eq!(ask(w, at(10).plus(200_001)), (vec![2], vec![], true));
    assert_eq!(ask(w, at(11).plus(-1)), (vec![2], vec![], true));
    assert_eq!(ask(w, at(11)), (vec![2], vec![], true));
}

fn two_runs_at_one_time(place: &Place) {
    let (_store, _cid, mut writer) = place.writer();
    slice(&mut *writer, 1, 0, 10, vec![cut(seen(1, 0, 10), true, true)]);
    let triad = writer.create_triad(Level::Slice, false, at(5), at(15), ZoneOffset::UTC).unwrap();
    let other = RunId([1; 16]);
    let mut again = bundle(triad, 2, 5, 15);
    again.entry.run = other;
    let mut same = cut(seen(1, 5, 15), true, true);
    same.run = other;
    let change = Change {
        bundles: vec![again],
        insert: vec![(table(triad, KIND), vec![same])],
        make_live: vec![triad],
        ..Change::default()
    };
    writer.commit(&change).unwrap();
    let state = writer.state_at(KIND, at(7)).unwrap();
    assert_eq!(pids(&state).0, [1, 1], "both runs answer");
    assert_eq!(
        state.record.iter().map(|r| (r.run, r.covered)).collect::<Vec<_>>(),
        [(other, true), (RUN, true)]
    );
    assert_eq!(ask(&mut *writer, at(12)).0, [1]);
}

fn kinds_without_triads(place: &Place) {
    let (_store, _cid, mut writer) = place.writer();
    let triad = open_slice(&mut *writer, 0);
    let modules = TableRef { triad: None, kind: FactKind::Module };
    let life = cut(seen(1, 0, 10), true, true).life;
    let module = row(Fact::Module(Module { name: "nbd".into(), size: 1, taint: "".into() }), life);
    let mut first = bundle(triad, 1, 0, 10);
    first.spans.push(span(Source::Module, 0, 10));
    let change = Change {
        bundles: vec![first],
        insert: vec![(modules, vec![module.clone()])],
        make_live: vec![triad],
        ..Change::default()
    };
    writer.commit(&change).unwrap();
    let state = writer.state_at(FactKind::Module, at(5)).unwrap();
    assert_eq!(state.certain, [module]);
    assert!(state.record[0].covered);
    assert!(writer.state_at(FactKind::Custom, at(5)).unwrap().record.is_empty());
    assert!(writer.state_at(FactKind::User, at(5)).unwrap().certain.is_empty());
    let _ = process(1, "x");
}
