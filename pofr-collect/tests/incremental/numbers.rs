//! Numbers that are given twice: a process that has the number of one that was there at the last tick.
//!
//! In a pid namespace of its own, where nobody else takes the number in between.

use super::{Machine, puppet::wait_for};
use pofr_collect::{
    HostView,
    samplers::{Context, ProcessSampler},
};
use pofr_core::{Collector as _, collector::Observation, identity::Pid};
use std::process::{Child, Command};

/// Tells a copy of this test program that it is alone with its children.
const ALONE: &str = "POFR_TEST_ALONE";
/// Tells it that `/proc` is that of another namespace.
const ABROAD: &str = "POFR_TEST_ABROAD";
/// The last number given out, which root may set (proc_sys_kernel(5)).
const LAST: &str = "/proc/sys/kernel/ns_last_pid";

/// Runs a test in a pid namespace of its own. True where this is the copy that is to do the work.
fn alone(test: &str) -> bool {
    if std::env::var_os(ALONE).is_some() {
        return true;
    }
    let mut unshare = Command::new("unshare");
    unshare.args(["--pid", "--fork", "--mount-proc"]);
    let can = rustix::process::geteuid().is_root()
        && std::path::Path::new(LAST).exists()
        && Command::new("unshare")
            .args(["--pid", "--fork", "--mount-proc", "true"])
            .status()
            .is_ok_and(|s| s.success());
    if !can || Machine::new().is_none() {
        eprintln!("not run: a pid namespace with ns_last_pid is not to be had here");
        return false;
    }
    unshare.arg(std::env::current_exe().unwrap()).args(["--exact", test, "--nocapture", "--test-threads=1"]);
    let output = unshare.env(ALONE, "1").output().unwrap();
    let said = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success() && said.contains("1 passed"), "{output:?}");
    false
}

#[test]
fn who_comes_under_a_chosen_number_is_seen_after_ten_seconds_and_said_to_be_late() {
    if !alone("numbers::who_comes_under_a_chosen_number_is_seen_after_ten_seconds_and_said_to_be_late") {
        return;
    }
    let mut machine = Machine::new().unwrap();
    // Our own threads, which are made when they are first needed, take numbers too.
    for _ in 0..3 {
        machine.tick();
    }
    // Where the machine is so slow that the listing does not stand that long, it is done again.
    let (mut child, _) = (0..10)
        .map(|_| {
            machine.tick();
            let last = std::fs::read_to_string(LAST).unwrap();
            let child = Command::new("/bin/sleep").arg("100").spawn().unwrap();
            wait_for(child.id(), "S");
            // As if the kernel had never given out a number.
            std::fs::write(LAST, last.trim()).unwrap();
            machine.tick();
            let is_unseen = machine.process(child.id()).is_none();
            (child, is_unseen)
        })
        .find(|(_, is_unseen)| *is_unseen)
        .expect("this test shows nothing if the listing does not stand");
    let said_late = |machine: &Machine| {
        let gaps = machine.processes.gaps.iter();
        gaps.filter(|gap| gap.reason.starts_with("processes came under numbers")).count()
    };
    let before = said_late(&machine);
    // A second is enough unless somebody elsewhere on the machine went meanwhile, so that there are as many as before.
    machine.skip(11);
    machine.check(child.id());
    assert!(machine.process(child.id()).is_some());
    assert_eq!(said_late(&machine), before + 1);
    child.kill().unwrap();
    child.wait().unwrap();
    machine.tick();
    assert!(machine.process(child.id()).is_none());
}

#[test]
#[expect(
    clippy::zombie_processes,
    reason = "each is waited for by its number, once that is wanted for the next"
)]
fn another_process_with_the_number_is_another_process() {
    if !alone("numbers::another_process_with_the_number_is_another_process") {
        return;
    }
    let mut machine = Machine::new().unwrap();
    let sleep = |seconds: &str| {
        let child = Command::new("/bin/sleep").arg(seconds).spawn().unwrap();
        wait_for(child.id(), "S");
        child
    };
    let exited = |code: &str| {
        let child = Command::new("/bin/sh").args(["-c", code]).spawn().unwrap();
        wait_for(child.id(), "Z");
        child
    };
    let end = |mut child: Child| {
        let _ = child.kill();
        child.wait().unwrap();
        child.id()
    };
    let first = sleep("100");
    let before = machine.check(first.id());
    for turn in 0..10 {
        // Whatever the first does, the second begins in another way: its start time may be the same.
        let number = if turn == 0 { first.id() } else { before_number(&machine) };
        let next: [Box<dyn Fn() -> Child>; 2] = [Box::new(|| sleep("200")), Box::new(|| exited("exit 4"))];
        let child = reuse(number, &next[turn % 2]);
        assert_eq!(child.id(), number);
        let now = machine.check(number);
        assert_ne!(now, before);
        assert_eq!(machine.process(number).unwrap().key.zombie, turn % 2 == 1);
        end(child);
    }
}

fn before_number(machine: &Machine) -> u32 {
    let own = std::process::id();
    let facts = machine.processes.facts();
    let children = facts.iter().filter_map(|fact| match fact {
        pofr_core::fact::Fact::Process(p) if p.key.ppid.0 == own => Some(p.key.entity.pid().0),
        _ => None,
    });
    children.max().unwrap()
}

/// Has the next process get a number.
fn reuse(number: u32, make: &dyn Fn() -> Child) -> Child {
    let held = std::path::Path::new("/proc").join(number.to_string());
    if held.exists() {
        let pid = rustix::process::Pid::from_raw(number.cast_signed()).unwrap();
        rustix::process::kill_process(pid, rustix::process::Signal::KILL).unwrap();
        rustix::process::waitpid(Some(pid), rustix::process::WaitOptions::empty()).unwrap();
    }
    std::fs::write(LAST, (number - 1).to_string()).unwrap();
    make()
}

/// The part that is in a pid namespace of its own, whose numbers are not those in `/proc`.
#[test]
fn where_proc_is_of_another_namespace() {
    if std::env::var_os(ABROAD).is_none() {
        return;
    }
    let view = HostView::live().unwrap();
    view.exclude_self();
    let own = std::fs::read_link("/proc/self").unwrap().to_str().unwrap().parse().unwrap();
    assert_ne!(own, std::process::id());
    assert_eq!(view.excluded(), [Pid(own)], "and not whoever has our number there");
    let mut sampler = ProcessSampler::new(&Context::new(view));
    let mut seen = Observation::default();
    sampler.sample(&mut seen).unwrap();
    assert_eq!(sampler.note().unwrap(), "full scan at every tick: /proc is that of another pid namespace");
    println!("read whole");
}

#[test]
fn the_kernel_is_not_asked_by_numbers_that_are_others() {
    let unshare = || {
        let mut command = Command::new("unshare");
        command.args(["--pid", "--fork"]);
        command
    };
    if !unshare().arg("true").status().is_ok_and(|status| status.success()) {
        eprintln!("not run: a pid namespace is not to be had here");
        return;
    }
    let output = unshare()
        .arg(std::env::current_exe().unwrap())
        .args(["--exact", "numbers::where_proc_is_of_another_namespace", "--nocapture", "--test-threads=1"])
        .env(ABROAD, "1")
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success() && said.contains("read whole"), "{output:?}");
}
