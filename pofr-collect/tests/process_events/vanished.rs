//! Who is shown no more without an exit is a finding; whoever exits, however, is none.

use super::{
    alone, run, start,
    stream::{gaps, record, settings},
};
use pofr_collect::{
    HostView, Registry,
    events::ProcessEvents,
    samplers::{Context, ProcessSampler},
};
use pofr_core::{
    Collector as _, EventSource as _,
    collector::{Notice, Observation},
    fact::Subject,
    identity::Pid,
};
use std::time::{Duration, Instant};

/// All ways to go: quickly, with several threads, after another thread ran a program, waiting for a parent that does not ask.
fn go(program: &str, until: Instant) {
    while Instant::now() < until {
        // Not so many that events are lost: then nobody is said to have vanished in any case.
        std::thread::sleep(Duration::from_millis(20));
        let mut unasked = start("/bin/true", &[]);
        for _ in 0..10 {
            run("/bin/true", &[]);
        }
        run(program, &[]);
        run(program, &["/bin/sleep", "0.15"]);
        run("/bin/sleep", &["0.15"]);
        run("/bin/sh", &["-c", "sleep 0.2 & exec sleep 0.1"]);
        unasked.wait().unwrap();
    }
}

#[test]
fn nobody_vanishes_in_a_storm() {
    let _alone = alone();
    let view = HostView::live().unwrap();
    let registry = Registry::built_in(&view);
    if !format!("{registry:?}").contains("\"process-events\"") {
        eprintln!("NOT RUN: {registry:?}");
        return;
    }
    let dir = tempfile::tempdir().unwrap();
    let (program, source) = (dir.path().join("threads"), env!("CARGO_MANIFEST_DIR"));
    let source = format!("{source}/tests/process_events/threads.c");
    run("cc", &["-pthread", "-o", program.to_str().unwrap(), &source]);
    let until = Instant::now() + Duration::from_secs(8);
    let (memory, _) = std::thread::scope(|scope| {
        for _ in 0..2 {
            scope.spawn(|| go(program.to_str().unwrap(), until));
        }
        // Long enough for those who went to be missed.
        record(view, registry, settings(50_000, 60_000_000), 14_000)
    });
    for bundle in memory.bundles() {
        let all = gaps(&bundle.records);
        println!("{} gaps: {:?}", all.len(), all.iter().map(|gap| &gap.reason).take(5).collect::<Vec<_>>());
        let told: Vec<_> = all.into_iter().filter(|gap| gap.reason.starts_with("vanished")).collect();
        assert!(told.is_empty(), "{told:?}");
    }
}

#[test]
fn who_is_hidden_from_samples_while_it_lives_has_vanished() {
    let _alone = alone();
    let view = HostView::live().unwrap();
    let Ok(mut events) = ProcessEvents::new(&view) else {
        eprintln!("NOT RUN: no process events");
        return;
    };
    let mut sampler = ProcessSampler::full_scan(&Context::new(view));
    let mut child = start("/bin/sleep", &["1000"]);
    let is_child = |subject: Subject| matches!(subject, Subject::Entity(e) if e.pid() == Pid(child.id()));
    let reasons = |notices: &[Notice]| {
        let reason = |notice: &Notice| match notice {
            Notice::Lost(gap) if gap.reason.starts_with("vanished") => Some(gap.reason.clone()),
            _ => None,
        };
        notices.iter().filter_map(reason).collect::<Vec<_>>()
    };
    let (mut notices, mut samples, mut after) = (Vec::new(), 0, 0);
    let begun = Instant::now();
    while after < 5 && begun.elapsed() < Duration::from_secs(60) {
        events.drain(&mut notices).unwrap();
        let mut seen = Observation::default();
        sampler.sample(&mut seen).unwrap();
        if samples > 3 {
            // As somebody does who patches what a sampler reads.
            seen.facts.retain(|fact| !is_child(fact.subject()));
        }
        events.settle(&sampler.source(), &seen, &mut notices).unwrap();
        samples += 1;
        after += u32::from(!reasons(&notices).is_empty());
        std::thread::sleep(Duration::from_millis(100));
    }
    let pid = child.id();
    child.kill().unwrap();
    child.wait().unwrap();
    let said = format!("vanished: process {pid} (sleep) is shown no more, and no exit was told");
    assert_eq!(reasons(&notices), [said], "once, and nobody else");
}
