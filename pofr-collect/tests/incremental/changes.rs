//! What processes do, and what is done to them, that figures show or that follows from what they show.

use super::{
    Machine,
    puppet::{Puppet, clone_files, kill, perl, wait_for},
};
use std::{
    fs::File,
    io::{BufRead as _, Write as _},
    os::{fd::AsRawFd as _, unix::net::UnixStream},
    process::{Command, Stdio},
    time::{Duration, Instant},
};

/// Tells a copy of this test program that it is the process with threads.
const THREADS: &str = "POFR_TEST_THREADS";

/// The part that runs as a child: its first thread sleeps for ever; another replaces a descriptor at each word.
#[test]
fn threads() {
    if std::env::var_os(THREADS).is_none() {
        return;
    }
    let files: Vec<_> = ["/dev/null", "/dev/zero"].map(|path| File::open(path).unwrap()).into();
    let mut replaced = rustix::io::dup(&files[0]).unwrap();
    println!("\n{}", replaced.as_raw_fd());
    for (turn, word) in std::io::stdin().lock().lines().enumerate() {
        assert_eq!(word.unwrap(), "replace");
        std::thread::scope(|scope| {
            scope.spawn(|| rustix::io::dup2(&files[(turn + 1) % 2], &mut replaced).unwrap());
        });
        println!("done");
    }
}

#[test]
fn a_thread_replaces_a_descriptor_and_exits() {
    let Some(mut machine) = Machine::new() else { return };
    let mut command = Command::new(std::env::current_exe().unwrap());
    command.args(["--exact", "changes::threads", "--nocapture", "--test-threads=1"]).env(THREADS, "1");
    let (mut puppet, mut line) = Puppet::of(command);
    // What the test harness says comes first.
    while line.parse::<u32>().is_err() {
        line = puppet.line();
    }
    let pid = puppet.pid();
    let mut before = machine.check(pid);
    for _ in 0..50 {
        assert_eq!(puppet.tell("replace"), "done");
        let after = machine.check(pid);
        assert_ne!(before, after);
        before = after;
    }
    assert_eq!(machine.processes.audit.misses, 0);
}

#[test]
fn a_process_that_shares_the_table_replaces_a_descriptor() {
    let Some(mut machine) = Machine::new() else { return };
    // The parent sleeps for ever, the child does what is said.
    let script = format!(
        r#"POSIX::dup2(0, 9);
        my $child = {};
        sleep 100 if $child;
        print "$$\n";
        while (<STDIN>) {{
            my $fd = POSIX::open("/dev/" . ($i++ % 2 ? "null" : "zero"), 0);
            POSIX::dup2($fd, 9);
            POSIX::close($fd);
            if (/leave/) {{ exec "perl", "-e", '$| = 1; print "done\n"; sleep 100' }}
            print "done\n";
        }}"#,
        clone_files()
    );
    let (mut puppet, child) = perl(&script, &[]);
    let (parent, child) = (puppet.pid(), child.parse().unwrap());
    let mut before = machine.check(parent);
    for _ in 0..20 {
        puppet.tell("replace");
        let after = machine.check(parent);
        assert_ne!(before, after, "the parent has what the child did");
        before = after;
        machine.check(child);
    }
    // With another program the child has a table of its own.
    puppet.tell("leave");
    machine.check(parent);
    machine.check(child);
    kill(child);
    assert_eq!(machine.processes.audit.misses, 0);
}

#[test]
fn the_table_of_a_parent_that_is_gone_is_still_shared() {
    let Some(mut machine) = Machine::new() else { return };
    // The middle one ends before anyone has seen it: the two that are left are no parent and child.
    let script = format!(
        r#"POSIX::dup2(0, 9);
        my $middle = {clone};
        if (!$middle) {{
            my $child = {clone};
            POSIX::_exit(0) if $child;
            select undef, undef, undef, 0.01 while getppid == $ARGV[0];
            print "$$\n";
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
    let (mut puppet, child) = perl(&script, &[]);
    let (first, child) = (puppet.pid(), child.parse().unwrap());
    let mut before = machine.check(first);
    for _ in 0..5 {
        puppet.tell("replace");
        let after = machine.check(first);
        assert_ne!(before, after);
        before = after;
    }
    kill(child);
}

#[test]
fn ids_change_without_a_new_name() {
    let Some(mut machine) = Machine::new() else { return };
    if !rustix::process::geteuid().is_root() {
        eprintln!("not run: changing ids needs root");
        return;
    }
    let script = r#"print "$$\n"; while (<STDIN>) { $> = $> ? 0 : 65534; print "$>\n" }"#;
    let (mut puppet, _) = perl(script, &[]);
    machine.check(puppet.pid());
    for euid in ["65534", "0", "65534"] {
        assert_eq!(puppet.tell("change"), euid);
        machine.check(puppet.pid());
        let key = machine.process(puppet.pid()).unwrap().key;
        assert_eq!((key.ids.euid, key.comm.as_bytes()), (euid.parse().ok(), &b"perl"[..]));
    }
}

#[test]
fn a_program_runs_itself_again_under_the_same_name() {
    let Some(mut machine) = Machine::new() else { return };
    let script = r#"print "$$\n"; my ($script, $turn) = @ARGV; <STDIN>; exec "perl", "-e", $script, $script, $turn + 1"#;
    let script = format!("$| = 1; {script}");
    let (mut puppet, _) = Puppet::start("perl", &["-e", &script, &script, "0"]);
    let mut before = machine.check(puppet.pid());
    for turn in 1..10 {
        puppet.tell("again");
        let after = machine.check(puppet.pid());
        assert_ne!(before, after);
        let arguments = machine.process(puppet.pid()).unwrap().key.arguments.unwrap();
        assert!(arguments.as_bytes().ends_with(format!("\0{turn}\0").as_bytes()), "{arguments}");
        before = after;
    }
}

#[test]
fn a_child_loses_its_parent_and_a_session_its_terminal() {
    let Some(mut machine) = Machine::new() else { return };
    // The leader of a session on a terminal, a shell that ignores its end, and a grandchild that sleeps through all of it.
    let script = "trap '' HUP; sh -c 'sleep 100 & echo pid $! $$; wait' & wait";
    let dir = tempfile::tempdir().unwrap();
    let mut command = Command::new("script");
    command.args(["-q", "-c", script, "/dev/null"]).current_dir(dir.path());
    let (puppet, line) = Puppet::of(command);
    let mut numbers = line.split_whitespace().skip(1).map(|n| n.parse::<u32>().unwrap());
    let (sleep, shell) = (numbers.next().unwrap(), numbers.next().unwrap());
    wait_for(sleep, "S");
    machine.check(sleep);
    machine.check(shell);
    let (of_sleep, of_shell) = (machine.process(sleep).unwrap().key, machine.process(shell).unwrap().key);
    assert!(of_sleep.tty != 0 && of_shell.tty == of_sleep.tty);
    let leader = of_sleep.session;
    assert_eq!(of_shell.ppid.0, leader);
    kill(leader);
    // Its parent is script(1), which ends with it.
    let end = Instant::now() + Duration::from_secs(20);
    while machine.process(leader).is_some() {
        machine.tick();
        assert!(Instant::now() < end, "the leader is still there");
    }
    // The terminal's name in the tables of both goes when script(1) does, which no figure shows: that is left to the audit.
    machine.tick();
    let key = machine.process(sleep).unwrap().key;
    assert_eq!((key.tty, key.ppid.0), (0, shell));
    assert_ne!(machine.process(shell).unwrap().key.ppid.0, leader);
    assert_eq!(machine.processes.audit.misses, 0);
    drop(puppet);
    kill(sleep);
    kill(shell);
}

#[test]
fn what_is_left_of_a_storm_is_what_is_there() {
    let Some(mut machine) = Machine::new() else { return };
    let over = std::sync::atomic::AtomicBool::new(false);
    let left = std::thread::scope(|scope| {
        let storms: Vec<_> = (0..2)
            .map(|_| {
                scope.spawn(|| {
                    let mut left = Vec::new();
                    for turn in 0_u32.. {
                        if over.load(std::sync::atomic::Ordering::Relaxed) {
                            break;
                        }
                        // A subshell that outlives its parent for a moment, and one in fifty that stays.
                        let script = "(/bin/true; exec /bin/true) & exec /bin/true";
                        let status =
                            Command::new("/bin/sh").args(["-c", script]).stdin(Stdio::null()).status();
                        assert!(status.unwrap().success());
                        if turn.is_multiple_of(50) {
                            left.push(Command::new("/bin/sleep").arg("100").spawn().unwrap());
                        }
                    }
                    left
                })
            })
            .collect();
        let end = Instant::now() + Duration::from_secs(3);
        while Instant::now() < end {
            machine.tick();
        }
        over.store(true, std::sync::atomic::Ordering::Relaxed);
        storms.into_iter().flat_map(|storm| storm.join().unwrap()).collect::<Vec<_>>()
    });
    for child in &left {
        wait_for(child.id(), "S");
        machine.check(child.id());
    }
    // Whatever else there was is gone from the belief as well.
    machine.tick();
    let own = std::process::id();
    for fact in machine.processes.facts() {
        if let pofr_core::fact::Fact::Process(process) = fact
            && process.key.comm.as_bytes() == b"true"
            && process.key.ppid.0 == own
        {
            let pid = process.key.entity.pid().0;
            assert!(std::path::Path::new(&format!("/proc/{pid}")).exists(), "{process:?}");
        }
    }
    assert_eq!(machine.processes.audit.misses, 0);
    for mut child in left {
        child.kill().unwrap();
        child.wait().unwrap();
    }
}

#[test]
fn who_sleeps_is_not_read_again() {
    let Some(mut machine) = Machine::new() else { return };
    let (puppet, _) = perl(r#"print "$$\n"; <STDIN>;"#, &[]);
    machine.check(puppet.pid());
    // Something that no reading of ours can have come by: a wrong belief stays as long as nothing is read.
    let subject = machine.process(puppet.pid()).unwrap().key.entity;
    machine.processes.subjects.remove(&pofr_core::fact::Subject::Entity(subject));
    for _ in 0..5 {
        machine.tick();
    }
    assert_eq!(machine.belief(puppet.pid()), Vec::<String>::new());
    // A whole reading is one.
    pofr_core::Collector::restart(&mut machine.process);
    assert_eq!(machine.tick(), None);
    assert_eq!(machine.belief(puppet.pid()), machine.truth(puppet.pid()));
}

/// A zombie is what its process has become, until its parent asks for it.
#[test]
fn a_process_exits_and_is_asked_for() {
    let Some(mut machine) = Machine::new() else { return };
    let (mut ours, theirs) = UnixStream::pair().unwrap();
    let mut child = Command::new("/bin/sh")
        .args(["-c", "read x; exit 3"])
        .stdin(std::os::fd::OwnedFd::from(theirs))
        .spawn();
    let child = child.as_mut().unwrap();
    wait_for(child.id(), "S");
    machine.check(child.id());
    writeln!(ours, "go").unwrap();
    wait_for(child.id(), "Z");
    machine.check(child.id());
    let process = machine.process(child.id()).unwrap();
    assert!(process.key.zombie && process.details.exit_code == Some(3 << 8), "{process:?}");
    child.wait().unwrap();
    assert_eq!(machine.check(child.id()), Vec::<String>::new());
}

#[test]
fn as_many_descriptors_as_before_need_not_be_the_same() {
    let Some(mut machine) = Machine::new() else { return };
    // Each word leaves the process with as many as it had.
    let script = r#"
        my $fd = POSIX::open("/dev/null", 0);
        print "$$\n";
        while (<STDIN>) {
            if (/number/) { my $at = $fd == 40 ? 20 : 40; POSIX::dup2($fd, $at); POSIX::close($fd); $fd = $at }
            if (/mode/) { my $new = POSIX::open("/dev/null", ++$j % 2 ? 2 : 0); POSIX::dup2($new, $fd); POSIX::close($new) }
            if (/path/) { my $new = POSIX::open($k++ % 2 ? "/dev/null" : "/dev/zero", 0); POSIX::dup2($new, $fd); POSIX::close($new) }
            print "done\n";
        }"#;
    let (mut puppet, _) = perl(script, &[]);
    let pid = puppet.pid();
    let mut before = machine.check(pid);
    for word in ["number", "number", "mode", "mode", "path", "number", "path", "mode"] {
        assert_eq!(puppet.tell(word), "done");
        let after = machine.check(pid);
        assert_ne!(before, after, "{word}");
        before = after;
        assert_eq!(machine.check(pid), before);
    }
    assert_eq!(machine.processes.audit.misses, 0);
}
