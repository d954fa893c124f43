//! The first promise: what a recorder saw at a stamp is what the store says of it.

use pofr_core::{
    fact::FactKind, identity::Cid, lifetime::Lifetime, source::Source, store::Store, time::WallMicros,
};
use serde_json::{Map, Value};
use std::{
    collections::BTreeMap,
    fs,
    io::{BufRead as _, BufReader},
    path::Path,
};

/// One reading of one source: its facts as the sampler believed them.
#[derive(Clone, Debug)]
pub struct Snapshot {
    /// What was read.
    pub source: Source,
    /// When.
    pub stamp: WallMicros,
    /// What it showed.
    pub facts: Vec<Map<String, Value>>,
}

/// Reads the file that `pofrc record --snapshots` writes.
///
/// # Panics
/// Where it is none.
#[must_use]
pub fn snapshots(path: &Path) -> Vec<Snapshot> {
    BufReader::new(fs::File::open(path).unwrap())
        .lines()
        .map(|line| {
            let line: Value = serde_json::from_str(&line.unwrap()).unwrap();
            Snapshot {
                source: Source::parse(line["source"].as_str().unwrap()).unwrap(),
                stamp: WallMicros(line["stamp"].as_i64().unwrap()),
                facts: line["facts"]
                    .as_array()
                    .unwrap()
                    .iter()
                    .map(|f| f.as_object().unwrap().clone())
                    .collect(),
            }
        })
        .collect()
}

/// What is learned of a fact after it was first shown, or worked out by the server: no part of what a snapshot says.
const LATER: [&str; 4] = ["with_files", "exit_code", "totals", "exe_sha256"];

fn text(fact: &Map<String, Value>) -> String {
    let own: BTreeMap<_, _> = fact.iter().filter(|(name, _)| !LATER.contains(&name.as_str())).collect();
    serde_json::to_string(&own).unwrap()
}

/// Tells whether a sample at that stamp shows a fact of this lifetime.
fn is_shown(life: &Lifetime, stamp: WallMicros) -> bool {
    life.first_seen.is_some_and(|first| first <= stamp) && life.last_seen.is_some_and(|last| stamp <= last)
}

/// Compares every snapshot of processes and endpoints with what the store says of its stamp, as far as facts are of interest;
/// returns how many were compared and how many differ.
///
/// # Panics
/// Where the store cannot be read.
pub fn compare(
    store: &dyn Store,
    cid: &Cid,
    all: &[&Snapshot],
    is_of_interest: &dyn Fn(&Map<String, Value>) -> bool,
) -> (usize, usize) {
    let mut reader = store.read(cid).unwrap();
    let mut differences = 0;
    for snapshot in all {
        let kinds: &[FactKind] = match snapshot.source {
            Source::Process => &[FactKind::Process, FactKind::File],
            Source::Endpoint => &[FactKind::Endpoint],
            _ => unreachable!(),
        };
        let mut got = Vec::new();
        for &kind in kinds {
            let state = reader.state_at(kind, snapshot.stamp).unwrap();
            // Events tell of more: what held at the stamp and was gone when it would have been read, milliseconds later. A
            // snapshot is what samples show.
            let shown = state.certain.iter().filter(|row| is_shown(&row.life, snapshot.stamp));
            let facts =
                shown.map(|row| serde_json::to_value(&row.fact).unwrap().as_object().unwrap().clone());
            got.extend(facts.filter(is_of_interest).map(|fact| text(&fact)));
        }
        let mut want: Vec<String> = snapshot.facts.iter().filter(|f| is_of_interest(f)).map(text).collect();
        got.sort();
        want.sort();
        want.dedup();
        if got != want {
            differences += 1;
            let missing: Vec<_> = want.iter().filter(|f| !got.contains(f)).take(3).collect();
            let extra: Vec<_> = got.iter().filter(|f| !want.contains(f)).take(3).collect();
            eprintln!("{} at {}: missing {missing:#?}, extra {extra:#?}", snapshot.source, snapshot.stamp);
        }
    }
    (all.len(), differences)
}
