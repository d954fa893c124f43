//! What no figure shows: others rename and remove files, and the audit finds it within half a minute.

use super::{
    Machine, OTHERS,
    puppet::{clone_files, perl, wait_for},
};
use pofr_core::{fact::Subject, gap::Severity};
use std::{fs, process::Command, sync::PoisonError};

#[test]
fn names_that_others_change_are_found_within_half_a_minute() {
    let Some(mut machine) = Machine::new() else { return };
    let dir = tempfile::tempdir().unwrap();
    let path = |name: &str| dir.path().join(name);
    for name in ["renamed", "removed", "rotated", "stays"] {
        fs::write(path(name), name).unwrap();
    }
    let script = "exec 5<renamed 6<removed 7<rotated 8<stays; exec sleep 100";
    let mut child = Command::new("/bin/sh").args(["-c", script]).current_dir(dir.path()).spawn().unwrap();
    while machine.process(child.id()).is_none_or(|p| p.key.comm.as_bytes() != b"sleep") {
        machine.tick();
    }
    wait_for(child.id(), "S");
    let before = machine.check(child.id());
    // An audit that finds nothing: from now on it is known what is behind the names.
    machine.skip(31);
    assert_eq!(machine.check(child.id()), before);
    let read = machine.view.clock.now();
    fs::rename(path("renamed"), path("another")).unwrap();
    fs::remove_file(path("removed")).unwrap();
    fs::rename(path("rotated"), path("rotated.1")).unwrap();
    fs::write(path("rotated"), "new").unwrap();
    let audit = machine.processes.audit;
    machine.tick();
    assert_eq!(machine.belief(child.id()), before, "nothing tells of it yet");
    assert_ne!(machine.truth(child.id()), before);
    machine.skip(31);
    machine.check(child.id());
    let found = machine.processes.audit;
    assert!(found.looks > audit.looks);
    assert_eq!((found.misses, found.by_others > audit.by_others), (audit.misses, true), "{found:?}");
    let gap = machine.processes.gaps.last().unwrap();
    assert_eq!(gap.severity, Severity::Thin);
    assert!(gap.from <= read && gap.to.unwrap() > gap.from.plus(31_000_000), "{gap:?}");
    let subject = Subject::Entity(machine.process(child.id()).unwrap().key.entity);
    let since = machine.processes.late[&subject].unwrap();
    assert!(since >= gap.from && since <= read);
    child.kill().unwrap();
    child.wait().unwrap();
}

#[test]
fn what_the_rule_for_skipping_cannot_know_is_counted_as_missed() {
    let _alone = OTHERS.write().unwrap_or_else(PoisonError::into_inner);
    let Some(mut machine) = Machine::of(None) else { return };
    // Whose maker is gone is compared with the newest processes of its program: with enough of those the oldest is not among them.
    let script = format!(
        r#"POSIX::dup2(0, 9);
        for (1 .. 20) {{ fork or do {{ sleep 100; exit }} }}
        print "ready\n";
        <STDIN>;
        my $middle = {clone};
        if (!$middle) {{
            POSIX::_exit(0) if {clone};
            select undef, undef, undef, 0.01 while getppid == $ARGV[0];
            print "done\n";
            while (<STDIN>) {{
                my $fd = POSIX::open("/dev/" . ($i++ % 2 ? "null" : "zero"), 0);
                POSIX::dup2($fd, 9);
                POSIX::close($fd);
                print "done\n";
            }}
            exit;
        }}
        waitpid $middle, 0;
        sleep 100;"#,
        clone = clone_files()
    );
    let (mut puppet, _) = perl(&script, &[]);
    machine.tick();
    puppet.tell("make one that shares");
    let before = machine.check(puppet.pid());
    machine.skip(31);
    machine.check(puppet.pid());
    let audit = machine.processes.audit;
    puppet.tell("replace");
    machine.tick();
    assert_eq!(machine.belief(puppet.pid()), before, "the rule does not know that the two share a table");
    machine.skip(31);
    machine.check(puppet.pid());
    let found = machine.processes.audit;
    assert_eq!(found.misses, audit.misses + 1, "{found:?}");
}
