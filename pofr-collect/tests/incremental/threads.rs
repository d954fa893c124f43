//! Threads: a process is all of its threads, and what one of them has of its own is told.

use super::{
    Machine,
    puppet::{Puppet, wait_for},
};
use pofr_core::fact::{Fact, Files};
use std::{collections::BTreeMap, path::Path, process::Command, sync::OnceLock};

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
    wait_for(pid, "Z");
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

#[test]
fn a_thread_with_a_table_of_its_own_is_told_with_what_it_has() {
    let Some(mut machine) = Machine::new() else { return };
    let dir = tempfile::tempdir().unwrap();
    let held = dir.path().join("held").to_str().unwrap().to_owned();
    let (mut puppet, thread) = start(&[]);
    let pid = puppet.pid();
    machine.check(pid);
    assert!(machine.process(thread).is_none(), "a thread like its process is not told");
    assert_eq!(puppet.tell(&format!("unshare {}", libc::CLONE_FILES)), "0");
    puppet.tell(&format!("open {held}"));
    let port = puppet.tell("listen");
    machine.check(pid);
    machine.check(thread);
    let told = machine.process(thread).unwrap().key;
    assert_eq!(told.marks.thread_of.map(|process| process.0), Some(pid));
    assert!(open(&machine, thread).contains(&held) && !open(&machine, pid).contains(&held));
    assert_eq!(holders(&machine, &port), [Some(thread)]);
    // It is followed, and it goes when it exits, though the process lives on.
    let second = format!("{held}-too");
    puppet.tell(&format!("open {second}"));
    machine.check(thread);
    assert!(open(&machine, thread).contains(&second));
    puppet.tell("leave");
    machine.tick();
    machine.check(pid);
    assert!(machine.process(thread).is_none() && machine.process(pid).is_some());
    assert_eq!(machine.processes.audit.misses, 0);
}

#[test]
fn a_thread_with_ids_of_its_own_is_told_and_has_its_process_s_files() {
    let Some(mut machine) = Machine::new() else { return };
    if !rustix::process::geteuid().is_root() {
        eprintln!("not run: to become another takes root");
        return;
    }
    let (mut puppet, thread) = start(&[]);
    let pid = puppet.pid();
    assert_eq!(puppet.tell("uid 65534"), "0");
    machine.check(pid);
    machine.check(thread);
    let (process, told) = (machine.process(pid).unwrap().key, machine.process(thread).unwrap().key);
    assert_eq!((process.ids.euid, told.ids.euid), (Some(0), Some(65_534)));
    assert_eq!((told.marks.thread_of.map(|of| of.0), told.marks.files_of), (Some(pid), Some(process.entity)));
    assert!(open(&machine, thread).is_empty() && !open(&machine, pid).is_empty());
}

#[test]
fn the_sockets_of_a_network_that_only_a_thread_is_in_are_told() {
    let Some(mut machine) = Machine::new() else { return };
    let (mut puppet, thread) = start(&[]);
    let pid = puppet.pid();
    if puppet.tell(&format!("unshare {}", libc::CLONE_NEWNET)) != "0" {
        eprintln!("not run: a network namespace takes root");
        return;
    }
    // Nobody may have brought its loopback up; UDP would do without, a listener does as well.
    let port = puppet.tell("listen");
    machine.check(pid);
    machine.check(thread);
    machine.tick();
    let net = |pid| machine.process(pid).unwrap().key.namespaces.known().unwrap().net;
    assert_ne!(net(pid), net(thread));
    // Its socket is in the table of its process.
    assert_eq!(holders(&machine, &port), [Some(pid)]);
}

#[test]
fn a_thread_among_thousands_is_found_and_the_others_cost_little() {
    let Some(mut machine) = Machine::new() else { return };
    let (mut puppet, thread) = start(&[]);
    let pid = puppet.pid();
    assert_eq!(puppet.tell("idle 2000"), "0");
    puppet.tell(&format!("unshare {}", libc::CLONE_FILES));
    // It is one of the first, but a walk that is going on may have passed it.
    let found = (0..200).any(|_| {
        machine.tick();
        machine.process(thread).is_some()
    });
    assert!(found);
    machine.check(pid);
    assert_eq!(machine.processes.facts().iter().filter(|f| is_thread_of(f, pid)).count(), 1);
}

/// Tells whether a fact is a thread of that process.
fn is_thread_of(fact: &Fact, pid: u32) -> bool {
    matches!(fact, Fact::Process(p) if p.key.marks.thread_of.is_some_and(|of| of.0 == pid))
}

/// The part of a script in Perl that opens so many files and then makes children that have the same table. They sleep.
fn sharers(files: u32, children: u32) -> String {
    format!(
        r#"my @h; for (1 .. {files}) {{ open my $h, "<", "/dev/zero" or die; push @h, $h }}
        my @children;
        for (1 .. {children}) {{
            my $child = {};
            if (!$child) {{ sleep 1000; POSIX::_exit(0) }}
            push @children, $child;
        }}
        print "@children\n";"#,
        super::puppet::clone_files()
    )
}

/// Returns of each process how many of those files are told with it, and with whom else its files are told.
fn tables(machine: &Machine) -> (BTreeMap<u32, usize>, BTreeMap<u32, u32>) {
    let (mut files, mut holders) = (BTreeMap::new(), BTreeMap::new());
    for fact in machine.processes.subjects.values().flatten() {
        match fact {
            Fact::File(file) if file.key.path.as_bytes() == b"/dev/zero" => {
                *files.entry(file.key.entity.pid().0).or_default() += 1;
            }
            Fact::Process(p) if !p.key.zombie => {
                let holder = p.key.marks.files_of.unwrap_or(p.key.entity);
                holders.insert(p.key.entity.pid().0, holder.pid().0);
            }
            _ => {}
        }
    }
    (files, holders)
}

#[test]
fn a_table_that_hundreds_have_is_told_once_and_without_a_hole() {
    let Some(mut machine) = Machine::new() else { return };
    let script = format!("{} sleep 1000;", sharers(2_000, 300));
    let (mut puppet, children) = super::puppet::perl(&script, &[]);
    let children: Vec<u32> = children.split(' ').map(|child| child.parse().unwrap()).collect();
    let all: Vec<u32> = children.iter().copied().chain([puppet.pid()]).collect();
    // The first one has the files, unless the numbers have just begun anew.
    let check = |machine: &Machine, all: &[u32]| {
        let (files, holders) = tables(machine);
        let holder = holders[&all[0]];
        assert_eq!(files.get(&holder), Some(&2_000));
        for one in all.iter().filter(|one| **one != holder) {
            assert_eq!((holders[one], files.get(one)), (holder, None), "told once");
        }
        holder
    };
    machine.tick();
    let first = check(&machine, &all);
    // When that one ends another takes over in the same sample, and all name that one.
    if first == puppet.pid() {
        puppet.kill();
    } else {
        super::puppet::kill(first);
        wait_for(first, "Z");
    }
    machine.tick();
    let left: Vec<u32> = all.iter().copied().filter(|one| *one != first).collect();
    assert_ne!(check(&machine, &left), first);
    children.iter().for_each(|child| super::puppet::kill(*child));
    for child in &children {
        while Path::new(&format!("/proc/{child}/exe")).exists() {
            std::thread::yield_now();
        }
    }
    machine.tick();
    let (files, holders) = tables(&machine);
    assert!(children.iter().all(|child| !files.contains_key(child) && !holders.contains_key(child)));
    assert_eq!(machine.processes.audit.misses, 0);
}

#[test]
fn a_table_whose_first_holder_is_gone_unseen_is_told_once_as_well() {
    let Some(mut machine) = Machine::new() else { return };
    // Nobody ever sees the parent of these.
    let script = format!(
        r"my $first = fork; if ($first) {{ waitpid $first, 0; sleep 1000 }} {} POSIX::_exit(0);",
        sharers(2_000, 100)
    );
    let (_puppet, children) = super::puppet::perl(&script, &[]);
    let children: Vec<u32> = children.split(' ').map(|child| child.parse().unwrap()).collect();
    let middle = parent(children[0]);
    while parent(children[0]) == middle && Path::new(&format!("/proc/{middle}/exe")).exists() {
        std::thread::yield_now();
    }
    machine.tick();
    let (files, _) = tables(&machine);
    let told: usize = children.iter().filter_map(|child| files.get(child)).sum();
    assert_eq!(told, 2_000);
    children.iter().for_each(|child| super::puppet::kill(*child));
}

/// Returns the parent of a process.
fn parent(pid: u32) -> u32 {
    let text = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap();
    text.rsplit_once(") ").unwrap().1.split(' ').nth(1).unwrap().parse().unwrap()
}
