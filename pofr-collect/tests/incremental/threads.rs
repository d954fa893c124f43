//! Threads: a process is all of its threads, and what one of them has of its own is told.

use super::{Machine, puppet::Puppet};
use pofr_core::fact::{Fact, Files};
use std::{path::Path, process::Command, sync::OnceLock};

/// Compiles the process with threads, once.
fn program() -> &'static Path {
    static PROGRAM: OnceLock<(tempfile::TempDir, std::path::PathBuf)> = OnceLock::new();
    let (_, program) = PROGRAM.get_or_init(|| {
        let dir = tempfile::tempdir().unwrap();
        let program = dir.path().join("threads");
        let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/incremental/threads.c");
        let compiled = Command::new("cc").args(["-pthread", "-o"]).arg(&program).arg(source).status();
        assert!(compiled.unwrap().success());
        (dir, program)
    });
    program
}

/// Starts it; returns the number of the thread that does what it is told, too.
fn start(args: &[&str]) -> (Puppet, u32) {
    let (puppet, tid) = Puppet::start(program().to_str().unwrap(), args);
    (puppet, tid.parse().unwrap())
}

/// Returns the paths of what a process, or a thread, has open.
fn open(machine: &Machine, pid: u32) -> Vec<String> {
    let facts = machine.processes.facts();
    let of = |fact: &Fact| match fact {
        Fact::File(file) if file.key.entity.pid().0 == pid => {
            Some(String::from_utf8_lossy(file.key.path.as_bytes()).into_owned())
        }
        _ => None,
    };
    facts.iter().filter_map(of).collect()
}

/// Returns who holds the socket that listens at a port.
fn holders(machine: &Machine, port: &str) -> Vec<Option<u32>> {
    let port: u16 = port.parse().unwrap();
    let facts = machine.endpoints.facts();
    let of = |fact: &Fact| match fact {
        Fact::Endpoint(e) if e.key.local.port() == port => Some(e.key.holder.map(|h| h.pid().0)),
        _ => None,
    };
    facts.iter().filter_map(of).collect()
}

#[test]
fn a_process_lives_as_long_as_one_of_its_threads() {
    let Some(mut machine) = Machine::new() else { return };
    let dir = tempfile::tempdir().unwrap();
    let held = dir.path().join("held").to_str().unwrap().to_owned();
    let (mut puppet, _) = start(&["leader-leaves", "argument"]);
    let pid = puppet.pid();
    super::puppet::wait_for(pid, "Z");
    puppet.tell(&format!("open {held}"));
    let port = puppet.tell("listen");
    machine.check(pid);
    let process = machine.process(pid).unwrap().key;
    assert!(!process.zombie && process.files == Files::Read && process.exe.known().is_some());
    assert!(process.namespaces.known().is_some_and(|namespaces| namespaces.net != 0));
    assert!(process.arguments.unwrap().as_bytes().ends_with(b"\0leader-leaves\0argument\0"));
    assert!(open(&machine, pid).contains(&held));
    assert_eq!(holders(&machine, &port), [Some(pid)]);
    // It is followed as any other.
    let second = format!("{held}-too");
    puppet.tell(&format!("open {second}"));
    machine.check(pid);
    assert!(open(&machine, pid).contains(&second));
    puppet.kill();
    machine.tick();
    assert!(machine.process(pid).is_none() && machine.processes.audit.misses == 0);
}
