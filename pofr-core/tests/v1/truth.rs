//! The fixtures against the log of the workload that ran while they were made (ground-truth.json): what ran is found,
//! under the right pids, and its lifetime comes out right when the snapshots go through differ and tracker.

use crate::fixture::{self, SNAPSHOTS};
use pofr_core::{
    diff::{Differ, Snapshot},
    fact::{Fact, FactKind, OpenFile, SocketId},
    gap::Gap,
    identity::RunId,
    lifetime::{Row, Standing, Tracked, Tracker},
    record::Record,
    source::Source,
    time::{WallMicros, ZoneOffset},
    wire::v1::{Converter, Decoded, Step, median_interval},
};
use serde_json::Value;
use std::{
    collections::{BTreeMap, BTreeSet},
    sync::LazyLock,
};

static TRUTH: LazyLock<Value> = LazyLock::new(|| {
    serde_json::from_slice(&std::fs::read(fixture::dir().join("ground-truth.json")).unwrap()).unwrap()
});

fn list(name: &str) -> &'static Vec<Value> {
    TRUTH[name].as_array().unwrap()
}

fn micros(seconds: &Value) -> i64 {
    (seconds.as_f64().unwrap() * 1e6) as i64
}

/// All facts of all snapshots with their stamps.
fn facts() -> impl Iterator<Item = (WallMicros, &'static Fact)> {
    SNAPSHOTS
        .iter()
        .flat_map(|s| s.processes.iter().chain(&s.endpoints).flatten().map(move |fact| (s.stamp, fact)))
}

/// Runs snapshots through converter, differ and tracker, as the server does with a bundle.
fn track(snapshots: impl IntoIterator<Item = Decoded>) -> (Tracked, Vec<Gap>) {
    let stamps: Vec<WallMicros> = SNAPSHOTS.iter().map(|s| s.stamp).collect();
    let mut converter = Converter::new(median_interval(&stamps).unwrap());
    let mut steps: Vec<Step> = snapshots.into_iter().flat_map(|s| converter.push(s)).collect();
    steps.extend(converter.finish());
    let mut differ = Differ::default();
    let mut tracker = Tracker::new(RunId([1; 16]), ZoneOffset::UTC);
    let mut gaps = Vec::new();
    for step in steps {
        let record = match step {
            Step::Observe { source, stamp, facts } => {
                Record::Sample(differ.observe(&source, stamp, 0, facts.into()).unwrap())
            }
            Step::Blind(gap) => {
                gaps.push(gap.clone());
                differ.blind(gap)
            }
        };
        tracker.apply(record).unwrap();
    }
    (tracker.finish(), gaps)
}

/// Returns the argument vector's first string.
fn first_argument(fact: &Fact) -> Option<&str> {
    let Fact::Process(p) = fact else { return None };
    std::str::from_utf8(p.key.arguments.as_ref()?.as_bytes().split(|b| *b == 0).next()?).ok()
}

#[test]
fn the_processes_that_ran_are_found() {
    let mut found: BTreeMap<&str, BTreeSet<(u32, u32)>> = BTreeMap::new();
    for (_, fact) in facts() {
        if let (Some(tag), Fact::Process(p)) = (first_argument(fact), fact) {
            found.entry(tag).or_default().insert((p.key.entity.pid().0, p.key.ppid.0));
        }
    }
    let mut count: BTreeMap<String, (u32, u32)> = BTreeMap::new();
    for process in list("processes") {
        let (n, of) = count.entry(process["dur"].to_string()).or_default();
        *of += 1;
        if let Some(pids) = found.get(process["tag"].as_str().unwrap()) {
            let id = |name: &str| u32::try_from(process[name].as_u64().unwrap()).unwrap();
            assert_eq!(*pids, BTreeSet::from([(id("pid"), id("ppid"))]), "{process}");
            *n += 1;
        }
    }
    let expected = [("0.05", (22, 200)), ("0.5", (200, 200)), ("5", (50, 50))];
    assert_eq!(count, expected.map(|(dur, n)| (dur.to_owned(), n)).into());
}

#[test]
fn the_files_and_connections_are_found_with_their_holder() {
    let (mut files, mut sockets) = (BTreeSet::new(), BTreeSet::new());
    for (_, fact) in facts() {
        match fact {
            Fact::File(OpenFile { key, .. }) => {
                files.insert((u64::from(key.entity.pid().0), key.path.to_string()));
            }
            Fact::Endpoint(e) => {
                let inode = if let SocketId::Inode(inode) = e.key.socket { inode } else { 0 };
                let holder = e.key.holder.map(|h| u64::from(h.pid().0));
                sockets.insert((inode, e.key.local.to_string(), e.key.remote.to_string(), holder));
            }
            _ => {}
        }
    }
    let found = |n: usize, of: usize| (n, of);
    let held =
        |f: &&Value| files.contains(&(f["pid"].as_u64().unwrap(), f["path"].as_str().unwrap().to_owned()));
    assert_eq!(found(list("files").iter().filter(held).count(), list("files").len()), (100, 100));
    let open = |c: &&Value| {
        let end = |ip: &str, port: &str| format!("{}:{}", c[ip].as_str().unwrap(), c[port]);
        sockets.contains(&(
            c["inode"].as_u64().unwrap(),
            end("local", "lport"),
            end("remote", "rport"),
            c["pid"].as_u64(),
        ))
    };
    assert_eq!(found(list("connections").iter().filter(open).count(), list("connections").len()), (100, 100));
    // What is left of a closed connection is held by no one. An open socket may be younger than the proc half, which is
    // read first, and then has no holder yet.
    assert!(sockets.iter().all(|(inode, _, _, holder)| *inode != 0 || holder.is_none()));
    assert_eq!(list("weird").len(), 0, "the log names nothing unusual");
}

#[test]
fn lifetimes_hold_the_true_ones() {
    let (tracked, gaps) = track(SNAPSHOTS.iter().cloned());
    assert_eq!(gaps, []);
    let mut rows: BTreeMap<String, Vec<&Row>> = BTreeMap::new();
    for row in &tracked.rows {
        match &row.fact {
            Fact::File(f) => rows.entry(f.key.path.to_string()).or_default().push(row),
            fact => rows.entry(first_argument(fact).unwrap_or_default().to_owned()).or_default().push(row),
        }
    }
    // A stamp is taken before reading starts, and reading took the client up to a few tens of ms.
    const READING: i64 = 60_000;
    let mut checked = 0;
    for (list, name) in [(list("processes"), "tag"), (list("files"), "path")] {
        for truth in list {
            let Some(rows) = rows.get(truth[name].as_str().unwrap()) else { continue };
            // The workload's own child holds its files for a moment, between fork and exec.
            let row = rows
                .iter()
                .max_by_key(|row| row.life.last_seen.unwrap().since(row.life.first_seen.unwrap()))
                .unwrap();
            let (start, end) = (WallMicros(micros(&truth["start"])), WallMicros(micros(&truth["end"])));
            let life = row.life;
            assert!(life.appeared_after.unwrap() <= start.plus(READING), "{truth} {life:?}");
            assert!(start <= life.first_seen.unwrap().plus(READING), "{truth} {life:?}");
            assert!(life.last_seen.unwrap() <= end.plus(READING), "{truth} {life:?}");
            if let Some(gone_by) = life.gone_by {
                assert!(end <= gone_by.plus(READING), "{truth} {life:?}");
            } else {
                assert!(life.cut_right);
            }
            checked += 1;
        }
    }
    assert_eq!(checked, 22 + 200 + 50 + 100);
}

#[test]
fn every_stamp_replays() {
    let (tracked, _) = track(SNAPSHOTS.iter().cloned());
    for snapshot in SNAPSHOTS.iter() {
        for (source, facts) in
            [(Source::Process, &snapshot.processes), (Source::Endpoint, &snapshot.endpoints)]
        {
            let held = tracked.rows.iter().filter(|row| {
                row.fact.source() == source && row.life.at(snapshot.stamp) == Standing::Certain
            });
            let stamp = snapshot.stamp;
            let replayed =
                Snapshot { source: source.clone(), stamp, facts: held.map(|r| r.fact.clone()).collect() };
            let expected = Snapshot { source, stamp, facts: facts.clone().unwrap() };
            assert_eq!(replayed.facts.len(), expected.facts.len());
            assert!(replayed == expected, "at {stamp}");
        }
    }
}

#[test]
fn missing_halves_and_snapshots_are_gaps_that_no_row_spans() {
    let holes = SNAPSHOTS.iter().cloned().enumerate().filter_map(|(i, mut snapshot)| {
        match i {
            20 => snapshot.processes = None,
            40..=41 => snapshot.endpoints = None,
            60..=79 => return None,
            145 => snapshot.endpoints = None,
            _ => {}
        }
        Some(snapshot)
    });
    let (tracked, gaps) = track(holes);
    let at = |i: usize| SNAPSHOTS[i].stamp;
    let told: Vec<_> = gaps.iter().map(|g| (g.source.clone().unwrap(), g.from, g.to, g.lost)).collect();
    assert_eq!(
        told,
        [
            (Source::Process, at(19), Some(at(21)), Some(1)),
            (Source::Endpoint, at(39), Some(at(42)), Some(2)),
            (Source::Process, at(59), Some(at(80)), None),
            (Source::Endpoint, at(59), Some(at(80)), None),
            (Source::Endpoint, at(144), None, Some(1)),
        ]
    );
    for row in &tracked.rows {
        for gap in gaps.iter().filter(|gap| gap.source == Some(row.fact.source())) {
            let (first, last) = (row.life.first_seen.unwrap(), row.life.last_seen.unwrap());
            assert!(last <= gap.from || gap.to.is_some_and(|to| to <= first), "{row:?} spans {gap:?}");
        }
    }
    let joins: Vec<_> =
        tracked.spans.iter().map(|s| (s.source.clone(), s.joins_left, s.joins_right)).collect();
    let (p, e) = (Source::Process, Source::Endpoint);
    let (first, inner, last) = ((true, false), (false, false), (false, true));
    let line = |s: &Source, ends: [(bool, bool); 3]| ends.map(|(l, r)| (s.clone(), l, r));
    assert_eq!(joins, [line(&p, [first, inner, last]), line(&e, [first, inner, inner])].concat());
    assert!(tracked.rows.iter().all(|row| FactKind::TRIAD.contains(&row.fact.kind())));
}
