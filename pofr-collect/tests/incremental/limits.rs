//! Little to work with: 64 descriptors, or no right to ask.

use super::{Machine, puppet::perl};
use pofr_collect::{
    HostView,
    samplers::{Context, ProcessSampler},
};
use pofr_core::{Collector as _, collector::Observation};
use std::process::Command;

/// Tells a copy of this test program in what way it has little.
const LITTLE: &str = "POFR_TEST_LITTLE";

/// The part that has 64 descriptors.
#[test]
fn with_few_descriptors() {
    if std::env::var_os(LITTLE).is_none() {
        return;
    }
    let limit = rustix::process::Rlimit { current: Some(64), maximum: Some(64) };
    rustix::process::setrlimit(rustix::process::Resource::Nofile, limit).unwrap();
    let mut machine = Machine::new().unwrap();
    let (mut puppet, _) =
        perl(r#"print "$$\n"; while (<STDIN>) { chdir($i++ % 2 ? "/" : "/dev"); print "done\n" }"#, &[]);
    for _ in 0..10 {
        puppet.tell("go");
        machine.check(puppet.pid());
    }
    println!("64 are enough");
}

/// The part that may not ask for figures.
#[test]
fn without_the_right_to_ask() {
    if std::env::var_os(LITTLE).is_none() {
        return;
    }
    let mut sampler = ProcessSampler::new(&Context::new(HostView::live().unwrap()));
    for _ in 0..2 {
        let mut seen = Observation::default();
        sampler.sample(&mut seen).unwrap();
        assert_eq!(seen.extent, pofr_core::collector::Extent::Whole);
        assert!(!seen.facts.is_empty());
    }
    let note = sampler.note().unwrap();
    assert!(note.starts_with("full scan at every tick: taskstats: "), "{note}");
    println!("all of it was read");
}

fn run(test: &str, says: &str, command: &mut Command) {
    let output = command
        .arg(std::env::current_exe().unwrap())
        .args(["--exact", test, "--nocapture", "--test-threads=1"])
        .env(LITTLE, "1")
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success() && said.contains(says), "{output:?}");
}

#[test]
fn sixty_four_descriptors_are_enough() {
    if Machine::new().is_some() {
        run("limits::with_few_descriptors", "64 are enough", &mut Command::new("env"));
    }
}

#[test]
fn without_figures_everything_is_read() {
    if !rustix::process::geteuid().is_root() {
        eprintln!("not run: giving up capabilities needs some");
        return;
    }
    let mut command = Command::new("setpriv");
    // CAP_SYS_ADMIN is good for the iterator of tasks as CAP_BPF and CAP_PERFMON are.
    let without = "-net_admin,-sys_admin,-bpf,-perfmon";
    command.args([format!("--bounding-set={without}"), format!("--inh-caps={without}")]);
    run("limits::without_the_right_to_ask", "all of it was read", &mut command);
}
