//! Who is shown no more without an exit is a finding; whoever exits, however, is none.

use super::{
    alone, run, start,
    stream::{gaps, record, settings},
};
use pofr_collect::{HostView, Registry};
use std::time::{Duration, Instant};

/// All ways to go: quickly, with several threads, after another thread ran a program, waiting for a parent that does not ask.
fn go(program: &str, until: Instant) {
    while Instant::now() < until {
        let mut unasked = start("/bin/true", &[]);
        for _ in 0..20 {
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
        for _ in 0..4 {
            scope.spawn(|| go(program.to_str().unwrap(), until));
        }
        // Long enough for those who went to be missed.
        record(view, registry, settings(50_000, 60_000_000), 14_000)
    });
    for bundle in memory.bundles() {
        let told: Vec<_> =
            gaps(&bundle.records).into_iter().filter(|gap| gap.reason.starts_with("vanished")).collect();
        assert!(told.is_empty(), "{told:?}");
    }
}
