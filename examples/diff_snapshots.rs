//! Takes two snapshots of processes and files, and tells what is between them.

use pofr_collect::{
    HostView,
    samplers::{Context, ProcessSampler},
};
use pofr_core::{
    Collector as _,
    collector::Observation,
    diff::{Delta, Snapshot, apply, diff},
    fact::Fact,
};
use std::{error::Error, io::Write as _, process::Command};

/// Takes a snapshot.
fn snapshot(view: &HostView, sampler: &mut ProcessSampler) -> Result<Snapshot, Box<dyn Error>> {
    let stamp = view.clock.now();
    let mut seen = Observation::default();
    sampler.sample(&mut seen)?;
    Ok(Snapshot { source: sampler.source(), stamp, facts: seen.facts })
}

/// Says in a line what a fact is.
fn line(fact: &Fact) -> String {
    match fact {
        Fact::Process(process) => {
            let key = &process.key;
            let state = if key.zombie { ", exited" } else { "" };
            format!("process {} {}{state}", key.entity.pid(), key.comm)
        }
        Fact::File(file) => {
            let key = &file.key;
            let deleted = if key.deleted { ", deleted" } else { "" };
            format!("file    {} fd {} {} ({}{deleted})", key.entity.pid(), key.fd, key.path, key.mode.text())
        }
        other => format!("{other:?}"),
    }
}

/// Does something between two snapshots, and returns the difference.
fn run() -> Result<Delta, Box<dyn Error>> {
    let view = HostView::live()?;
    let mut sampler = ProcessSampler::full_scan(&Context::new(view.clone()));

    let before = snapshot(&view, &mut sampler)?;
    let mut child = Command::new("sleep").arg("60").spawn()?;
    let mut file = tempfile::tempfile()?;
    file.write_all(b"found by its descriptor alone")?;
    let after = snapshot(&view, &mut sampler)?;
    child.kill()?;
    child.wait()?;

    let delta = diff(&before, &after);
    // The law of it: the difference turns the one into the other.
    assert_eq!(apply(&delta, &before), after);
    Ok(delta)
}

fn main() -> Result<(), Box<dyn Error>> {
    let delta = run()?;
    delta.removed.iter().for_each(|fact| println!("- {}", line(fact)));
    delta.added.iter().for_each(|fact| println!("+ {}", line(fact)));
    Ok(())
}

#[cfg(test)]
#[test]
fn it_finds_the_child_and_the_deleted_file() {
    let added: Vec<String> = run().unwrap().added.iter().map(line).collect();
    let child = |line: &String| line.starts_with("process ") && line.ends_with(" sleep");
    assert!(added.iter().any(child), "{added:?}");
    let own = format!("file    {} ", std::process::id());
    assert!(added.iter().any(|line| line.starts_with(&own) && line.ends_with(" (rw, deleted)")), "{added:?}");
}
