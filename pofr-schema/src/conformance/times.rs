//! The broken-down local times, which the database works out, against a calendar library and by hand.

use super::{
    on_every_store,
    place::Place,
    samples::{at, bundle, open_slice, seen, table},
};
use jiff::{Timestamp, tz};
use pofr_core::{
    fact::{Fact, FactKind},
    lifetime::Lifetime,
    store::Change,
    time::{WallMicros, ZoneOffset},
};
use serde_json::{Map, Value, json};
use std::ops::ControlFlow;

on_every_store!(local_times_are_right, what_a_begin_is);

const PARTS: [&str; 7] = ["year", "month", "day", "hour", "min", "sec", "msec"];

fn stored(place: &Place, lives: Vec<(i64, i32, Lifetime, Option<i64>)>) -> Vec<Map<String, Value>> {
    let (store, cid, mut writer) = place.writer();
    let triad = open_slice(&mut *writer, 0);
    let rows = lives
        .into_iter()
        .map(|(pid, zone, life, started)| {
            let mut row = seen(pid as u32, 0, 0);
            row.life = life;
            row.zone = ZoneOffset::from_minutes(zone).unwrap();
            if let Fact::Process(p) = &mut row.fact {
                p.details.started = started.map(WallMicros);
            }
            row
        })
        .collect();
    let change = Change {
        bundles: vec![bundle(triad, 1, 0, 1)],
        insert: vec![(table(triad, FactKind::Process), rows)],
        make_live: vec![triad],
        ..Change::default()
    };
    writer.commit(&change).unwrap();
    let mut rows = Vec::new();
    let each = &mut |row| {
        rows.push(row);
        ControlFlow::Continue(())
    };
    store.read(&cid).unwrap().sql("SELECT * FROM psinfo ORDER BY pid", each).unwrap();
    rows
}

fn local_times_are_right(place: &Place) {
    let cases = [
        (0, 0, "+0000"),
        (1_700_000_000_123_456, -210, "-0330"),
        (1_700_000_000_999_999, 765, "+1245"),
        // A microsecond before midnight on New Year's Eve, and midnight of a leap day.
        (1_704_067_199_999_999, 0, "+0000"),
        (1_709_164_800_000_000, 0, "+0000"),
        (1_709_164_800_000_000, -1, "-0001"),
        (1_704_067_199_999_999, 1439, "+2359"),
        // Before 1970 in local time, and in truth.
        (1_000_000, -60, "-0100"),
        (-1, 0, "+0000"),
        (-86_400_000_001, 330, "+0530"),
    ];
    let lives = cases.iter().enumerate().map(|(i, (t, zone, _))| {
        let t = WallMicros(*t);
        let life = Lifetime {
            first_seen: Some(t),
            last_seen: Some(t),
            gone_by: Some(t.plus(1)),
            ..Lifetime::default()
        };
        (i as i64, *zone, life, None)
    });
    for (row, (t, zone, tzone)) in stored(place, lives.collect()).into_iter().zip(cases) {
        let offset = tz::Offset::from_seconds(zone * 60).unwrap();
        for (prefix, micros) in [("c", t), ("d", t + 1)] {
            let local = offset.to_datetime(Timestamp::from_microsecond(micros).unwrap());
            let wanted = [
                i64::from(local.year()),
                i64::from(local.month()),
                i64::from(local.day()),
                i64::from(local.hour()),
                i64::from(local.minute()),
                i64::from(local.second()),
                i64::from(local.subsec_nanosecond()) / 1000,
            ];
            for (part, wanted) in PARTS.into_iter().zip(wanted) {
                assert_eq!(row[&format!("{prefix}{part}")], wanted, "{prefix}{part} of {micros} at {zone}");
            }
        }
        assert_eq!(row["tzone"], tzone);
        assert_eq!(row["uid"], row["ruid"]);
        assert_eq!(row["shafull"], row["shanorm"]);
    }
}

fn what_a_begin_is(place: &Place) {
    let first = Some(at(10));
    let base = Lifetime { first_seen: first, last_seen: first, ..Lifetime::default() };
    let lives = vec![
        (0, 0, Lifetime { began: Some(at(9)), appeared_after: Some(at(5)), ..base }, Some(at(7).0)),
        (1, 0, Lifetime { appeared_after: Some(at(5)), ..base }, Some(at(7).0)),
        // It started before the samples that do not show it: a clock that was set, or an exec.
        (2, 0, Lifetime { appeared_after: Some(at(5)), ..base }, Some(at(3).0)),
        (3, 0, base, Some(at(7).0)),
        (4, 0, Lifetime { ended: Some(at(8)), gone_by: Some(at(9)), ..Lifetime::default() }, None),
        (5, 0, Lifetime { gone_by: Some(at(9)), appeared_after: Some(at(1)), ..Lifetime::default() }, None),
        (6, 0, Lifetime { cut_right: true, ..base }, None),
    ];
    let rows = stored(place, lives);
    let seconds = |row: &Map<String, Value>, column: &str| {
        row[column].as_i64().map_or(Value::Null, |t| json!((t - at(0).0) / 1_000_000))
    };
    let begins: Vec<Value> = rows.iter().map(|row| seconds(row, "cmicros")).collect();
    assert_eq!(begins, [9, 7, 10, 10, 8, 1, 10].map(Value::from));
    let ends: Vec<Value> = rows.iter().map(|row| seconds(row, "dmicros")).collect();
    assert_eq!(ends, [json!(null), json!(null), json!(null), json!(null), json!(8), json!(9), json!(null)]);
    for part in PARTS {
        assert_eq!(rows[6][&format!("d{part}")], Value::Null, "what goes on has no end");
    }
    let positions: Vec<Value> = rows.iter().map(|row| seconds(row, "position")).collect();
    assert_eq!(positions, [9, 10, 10, 10, 8, 1, 10].map(Value::from));
}
