//! What the recorder makes of samples and events together.

use super::{
    alone, run, start,
    stream::{Memory, gaps, play, record, settings},
};
use pofr_collect::{HostView, Registry};
use pofr_core::{
    Source,
    fact::Fact,
    lifetime::{Row, Tracker},
};
use std::collections::BTreeMap;

/// Tells whether the kernel lets us hear of events.
fn hears(registry: &Registry) -> bool {
    let hears = format!("{registry:?}").contains("\"process-events\"");
    if !hears {
        eprintln!("NOT RUN: {registry:?}");
    }
    hears
}

/// Returns the rows that the server would make of the bundles.
fn rows(memory: &Memory) -> Vec<Row> {
    let of = |bundle: &super::stream::Kept| {
        let mut tracker = Tracker::new(bundle.opening.run, bundle.opening.zone);
        bundle.records.iter().for_each(|record| tracker.apply(record.clone()).unwrap());
        tracker.finish().rows
    };
    memory.bundles().iter().flat_map(of).collect()
}

/// What goes on while it is recorded: processes shorter and longer than the time between two samples.
fn commotion() -> BTreeMap<u32, &'static str> {
    let mut names = BTreeMap::new();
    let mut children = Vec::new();
    for _ in 0..60 {
        names.insert(run("/bin/true", &[]), "true");
        children.push(start("/bin/sleep", &["0.03"]));
        children.push(start("/bin/sh", &["-c", "/bin/sleep 0.01; (sleep 0.02); exec /bin/sleep 0.04"]));
    }
    for mut child in children {
        child.wait().unwrap();
        names.insert(child.id(), "sleep");
    }
    names
}

/// Records a commotion; returns the bundles and who was in it, and checks that what is played back is what was seen.
fn recorded(bundle_micros: u64) -> Option<(Memory, BTreeMap<u32, &'static str>)> {
    let view = HostView::live().unwrap();
    let registry = Registry::built_in(&view);
    if !hears(&registry) {
        return None;
    }
    let actors = std::thread::spawn(|| {
        std::thread::sleep(std::time::Duration::from_millis(300));
        commotion()
    });
    let (memory, seen) = record(view, registry, settings(20_000, bundle_micros), 3_000);
    let names = actors.join().unwrap();
    let mut played = BTreeMap::new();
    for bundle in memory.bundles() {
        played.extend(play(&bundle.records));
        let lost: Vec<_> =
            gaps(&bundle.records).into_iter().filter(|gap| gap.reason.contains("lost")).collect();
        assert!(lost.is_empty(), "nothing is lost here: {lost:?}");
    }
    assert!(played == seen, "what is played back is what was seen");
    Some((memory, names))
}

#[test]
fn samples_play_back_with_events_among_them_over_many_bundles() {
    let _alone = alone();
    let Some((memory, _)) = recorded(300_000) else { return };
    assert!(memory.bundles().len() > 1);
    assert!(!rows(&memory).is_empty());
}

#[test]
fn every_process_is_there_once_with_begin_end_and_code() {
    let _alone = alone();
    let Some((memory, names)) = recorded(60_000_000) else { return };
    let rows = rows(&memory);
    for (pid, name) in names {
        // Rows come in the order in which the facts ended.
        let of: Vec<_> = rows
            .iter()
            .filter_map(|row| match &row.fact {
                Fact::Process(p) if p.key.entity.pid().0 == pid => Some((row.life, p)),
                _ => None,
            })
            .collect();
        let (life, last) = of.iter().rev().find(|(_, process)| !process.key.zombie).expect("it is there");
        assert_eq!(last.key.comm, name.into(), "{of:#?}");
        assert!(life.ended.is_some(), "its end is told: {of:#?}");
        assert_eq!(last.details.exit_code, Some(0), "{of:#?}");
        assert!(of.iter().any(|(life, _)| life.began.is_some()), "its beginning is told: {of:#?}");
        assert!(of.iter().all(|(_, p)| p.key.entity == last.key.entity), "one process: {of:#?}");
        let keys: std::collections::BTreeSet<_> = of.iter().map(|(_, p)| &p.key).collect();
        assert_eq!(keys.len(), of.len(), "nothing is told twice: {of:#?}");
        for (life, _) in &of {
            assert!(life.began.is_none() || life.ended.is_none() || life.began < life.ended, "{of:#?}");
            assert!(
                life.last_seen.is_none() || life.ended.is_none() || life.last_seen <= life.ended,
                "{of:#?}"
            );
        }
    }
}

#[test]
fn a_recorder_that_hears_nothing_says_so_and_samples() {
    let _alone = alone();
    let view = HostView::live().unwrap();
    let registry = Registry::samplers_only(&view);
    let (memory, seen) = record(view, registry, settings(50_000, 60_000_000), 200);
    assert!(seen.keys().any(|(source, _)| *source == Source::Process));
    assert!(!memory.bundles().is_empty());
}
