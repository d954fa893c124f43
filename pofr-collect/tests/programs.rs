//! The digests of programs, of real ones that run and are recorded.
#![expect(clippy::unwrap_used, reason = "what a test cannot go on without ends it")]

#[expect(dead_code, reason = "shared with tests that use more of it")]
mod stream;

use pofr_collect::{HostView, Recorder, Registry, Stop, programs::ProgramEvents};
use pofr_core::{
    digest::Sha256,
    fact::{Fact, Process},
    lifetime::{Row, Tracker},
};
use std::{
    fs,
    os::unix::fs::PermissionsExt as _,
    path::{Path, PathBuf},
    process::{Child, Command},
    time::{Duration, Instant},
};
use stream::{Memory, settings};

/// A program of its own: a copy of sleep(1) with something after its end, which no loader minds.
fn program(dir: &Path, name: &str, tail: &[u8]) -> (PathBuf, Sha256) {
    let path = dir.join(name);
    let bytes = [fs::read("/bin/sleep").unwrap().as_slice(), tail].concat();
    fs::write(&path, &bytes).unwrap();
    fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).unwrap();
    (path, Sha256::of(&bytes))
}

fn start(path: &Path) -> Child {
    // A fork of another test's thread may have the copy open for writing for a moment.
    let begun = Instant::now();
    loop {
        match Command::new(path).arg("1000").spawn() {
            Err(error) if error.raw_os_error() == Some(26) && begun.elapsed() < Duration::from_secs(10) => {
                std::thread::sleep(Duration::from_millis(10));
            }
            other => return other.unwrap(),
        }
    }
}

/// Records samples, and digests unless `without`, until `enough` of what has come so far; returns the rows.
fn record(without: bool, mut during: impl FnMut(&[Process]) -> bool) -> Vec<Row> {
    let view = HostView::live().unwrap();
    let mut registry = Registry::samplers_only(&view);
    if !without {
        registry = registry.event_source(ProgramEvents::new(&view).unwrap());
    }
    let (memory, stop) = (Memory::default(), Stop::new().unwrap());
    let mut recorder = Recorder::new(view, registry, settings(50_000, 1_000_000), memory.clone()).unwrap();
    std::thread::scope(|scope| {
        let (kept, stop) = (memory.clone(), stop.clone());
        let recording = scope.spawn({
            let stop = stop.clone();
            move || recorder.run(&stop, Some(Duration::from_secs(60))).unwrap()
        });
        loop {
            let processes: Vec<Process> = rows(&kept).into_iter().filter_map(process).collect();
            if recording.is_finished() || during(&processes) {
                break;
            }
            std::thread::sleep(Duration::from_millis(50));
        }
        stop.stop();
        recording.join().unwrap();
    });
    rows(&memory)
}

fn process(row: Row) -> Option<Process> {
    match row.fact {
        Fact::Process(process) => Some(*process),
        _ => None,
    }
}

/// Returns the rows that the server would make of the bundles so far.
fn rows(memory: &Memory) -> Vec<Row> {
    let of = |bundle: &stream::Kept| {
        let mut tracker = Tracker::new(bundle.opening.run, bundle.opening.zone);
        bundle.records.iter().for_each(|record| tracker.apply(record.clone()).unwrap());
        tracker.finish().rows
    };
    memory.bundles().iter().flat_map(of).collect()
}

/// Returns the digests that are known of a process's facts.
fn digests(processes: &[Process], child: &Child) -> Vec<Option<Sha256>> {
    let of_child = processes.iter().filter(|p| p.key.entity.pid().0 == child.id());
    of_child.filter(|p| p.key.comm.as_bytes() == b"dropper").map(|p| p.details.exe_sha256).collect()
}

/// Whoever is let see it: one who is not root sees the programs of his own processes too.
#[test]
fn a_program_is_read_once_and_known_even_where_its_file_is_gone() {
    let dir = tempfile::tempdir().unwrap();
    let (path, wanted) = program(dir.path(), "dropper", b"one");
    let mut first = start(&path);
    fs::remove_file(&path).unwrap();
    // Another file of the same name and size.
    let (path, other) = program(dir.path(), "dropper", b"two");
    let mut second = start(&path);
    let mut third: Option<Child> = None;
    let rows = record(false, |processes| {
        let knows = |child: &Child| digests(processes, child).last().is_some_and(Option::is_some);
        if !knows(&first) || !knows(&second) {
            return false;
        }
        let third = third.get_or_insert_with(|| start(&path));
        knows(third)
    });
    let mut third = third.expect("the first two became known within a minute");
    for child in [&mut first, &mut second, &mut third] {
        child.kill().unwrap();
        child.wait().unwrap();
    }
    let processes: Vec<Process> = rows.into_iter().filter_map(process).collect();
    for (child, wanted) in [(&first, wanted), (&second, other), (&third, other)] {
        let known: Vec<Sha256> = digests(&processes, child).into_iter().flatten().collect();
        assert!(!known.is_empty() && known.iter().all(|sha256| *sha256 == wanted), "{known:?}");
    }
    // The third ran what was known already: it was so told of from the first.
    assert!(digests(&processes, &third).iter().all(Option::is_some));
    // A keyframe repeats what is known.
    let own = digests(&processes, &first);
    assert!(own.len() < 2 || own[1..].iter().all(Option::is_some), "{own:?}");
}

#[test]
fn nothing_is_read_where_nobody_asked_for_it() {
    let dir = tempfile::tempdir().unwrap();
    let (path, _) = program(dir.path(), "dropper", b"");
    let mut child = start(&path);
    let begun = Instant::now();
    let rows = record(true, |processes| {
        !digests(processes, &child).is_empty() && begun.elapsed() > Duration::from_millis(300)
    });
    child.kill().unwrap();
    child.wait().unwrap();
    assert!(rows.into_iter().filter_map(process).all(|p| p.details.exe_sha256.is_none()));
}
