//! Hiding: who mounts something over a process's directory in `/proc` hides nothing in a mount of our own, and in the system's is
//! seen to hide it.

use super::{Machine, puppet::perl};
use pofr_collect::{HostView, Registry};
use pofr_core::{Collector, collector::Observation, fact::Fact};
use std::{
    path::{Path, PathBuf},
    process::Command,
};

/// Something that is mounted over a path for as long as this lives.
struct Over(PathBuf);

impl Over {
    /// Mounts `what` over it; `None` where we may not.
    fn mount(what: &Path, over: PathBuf) -> Option<Self> {
        let mounted = Command::new("mount").arg("--bind").arg(what).arg(&over).status().unwrap().success();
        if !mounted {
            assert!(std::env::var_os("CI").is_none(), "this test needs root");
            eprintln!("not run: a bind mount takes root");
        }
        mounted.then_some(Self(over))
    }
}

impl Drop for Over {
    fn drop(&mut self) {
        let _ = Command::new("umount").arg("-l").arg(&self.0).status();
    }
}

/// A process that opens a file at a word.
const OPENER: &str = r#"my @h; print "ready\n";
    while (<STDIN>) { open my $h, "<", "/dev/zero"; push @h, $h; print "done\n" }"#;

#[test]
fn a_mount_over_a_process_hides_nothing_from_a_proc_of_our_own() {
    let view = HostView::live().unwrap().with_own_proc();
    if view.proc_root == Path::new("/proc") {
        eprintln!("not run: no proc filesystem of our own");
        return;
    }
    let Some(mut machine) = Machine::viewing(view, None) else { return };
    let (mut puppet, _) = perl(OPENER, &[]);
    let pid = puppet.pid();
    let before = machine.check(pid);
    let (empty, directory) = (tempfile::tempdir().unwrap(), PathBuf::from(format!("/proc/{pid}")));
    let Some(_over) = Over::mount(empty.path(), directory.clone()) else { return };
    assert!(!directory.join("stat").exists());
    puppet.tell("open");
    let after = machine.check(pid);
    assert_eq!(after.len(), before.len() + 1, "what it opens is seen all the same");
    // A process that is hidden before anyone has seen it is seen, too.
    let (other, _) = perl(OPENER, &[]);
    let Some(_other) = Over::mount(empty.path(), PathBuf::from(format!("/proc/{}", other.pid()))) else {
        return;
    };
    assert!(machine.check(other.pid()).len() > 2);
}

#[test]
fn what_is_hidden_in_the_given_proc_is_unreadable_and_not_gone() {
    let empty = tempfile::tempdir().unwrap();
    for what in [empty.path(), Path::new("/proc/1")] {
        let Some(mut machine) = Machine::new() else { return };
        let (mut puppet, _) = perl(OPENER, &[]);
        let pid = puppet.pid();
        let before = machine.check(pid);
        let Some(over) = Over::mount(what, PathBuf::from(format!("/proc/{pid}"))) else { return };
        puppet.tell("open");
        for _ in 0..5 {
            machine.tick();
        }
        assert_eq!(machine.belief(pid), before, "what was seen last stands");
        let said = format!("unreadable: something is mounted over the directory of process {pid} in /proc");
        let told = machine.processes.gaps.iter().filter(|gap| gap.reason == said).count();
        assert_eq!(told, 1, "once");
        drop(over);
        assert_eq!(machine.check(pid).len(), before.len() + 1);
        let over = Over::mount(what, PathBuf::from(format!("/proc/{pid}")));
        puppet.kill();
        for _ in 0..2 {
            machine.tick();
        }
        assert!(machine.process(pid).is_none(), "its end is seen though it is hidden");
        drop(over);
    }
}

#[test]
fn all_samplers_read_a_proc_of_our_own_as_they_read_the_given_one() {
    let given = HostView::live().unwrap();
    let own = HostView::live().unwrap().with_own_proc();
    if own.proc_root == given.proc_root {
        eprintln!("not run: no proc filesystem of our own");
        return;
    }
    let facts = |view: &HostView| -> Vec<(String, Vec<Fact>)> {
        let samplers = Registry::samplers_only(view).into_samplers();
        let sample = |mut sampler: Box<dyn Collector>| {
            let mut seen = Observation::default();
            sampler.sample(&mut seen).unwrap();
            assert_eq!(sampler.note(), None);
            (sampler.source().name().to_owned(), seen.facts)
        };
        samplers.into_iter().map(sample).collect()
    };
    for ((source, own), (_, given)) in facts(&own).into_iter().zip(facts(&given)) {
        // Of processes, files and sockets some come and go between the two.
        match source.as_str() {
            "process" => assert!(own.iter().any(|fact| given.iter().any(|given| given.same(fact)))),
            "endpoint" => assert_eq!(own.is_empty(), given.is_empty()),
            _ => assert_eq!(own.len(), given.len(), "{source}"),
        }
    }
}
