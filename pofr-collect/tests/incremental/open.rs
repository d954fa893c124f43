//! What is open: the kernel's iterator tells what `/proc` does, and to whom `/proc` does.

use super::{
    Machine,
    puppet::{Puppet, perl},
    texts,
};
use pofr_collect::{
    HostView,
    samplers::{Context, ProcessSampler},
};
use pofr_core::{
    Collector as _,
    collector::Observation,
    fact::{Fact, Files},
};
use rustix::thread::{CapabilitySet, capabilities, set_capabilities};
use std::{collections::HashSet, process::Command};

/// Tells a copy of this test program by the lack of which right it may not look into whom.
const DENIED: &str = "POFR_TEST_DENIED";

#[test]
fn whatever_is_open_is_told_as_proc_tells_it() {
    let Some(mut machine) = Machine::new() else { return };
    let dir = tempfile::tempdir().unwrap();
    let script = format!(
        r#"my @h; chdir $ARGV[0];
        sub keep {{ open my $h, $_[0], $_[1] or die "$_[1]: $!"; push @h, $h }}
        keep ">", "write"; keep "<", "write"; keep "+<", "write"; keep ">>", "write";
        keep ">", "removed"; unlink "removed";
        keep ">", "named so (deleted)"; keep ">", "both (deleted)"; unlink "both (deleted)";
        keep ">", "a\nb\xff\x1b"; keep ">", "socket:[1]"; keep "<", "/dev/null"; keep "<", "/proc/self/maps";
        my $O_PATH = 010000000;
        for (".", "write") {{ sysopen my $p, $_, $O_PATH or die; push @h, $p }}
        opendir my $d, "/"; push @h, $d;
        pipe my $r, my $w; push @h, $r, $w;
        socketpair my $s, my $t, 1, 1, 0; push @h, $s, $t;
        socket my $i, 2, 1, 0; push @h, $i;
        syscall {memfd}, my $name = "of no file", 0; syscall {eventfd}, 1, 0; syscall {epoll}, 0;
        keep ">", "$_" . "x" x 200 for 1 .. 300;
        for (1 .. 24) {{ mkdir "d" x 190; chdir "d" x 190; keep ">", "deep" if $_ % 6 == 0 }}
        chdir "/";
        print "ready\n";
        while (<STDIN>) {{
            if (/apart/) {{
                # A file in a tree that only this process has, and one in a tree that is nowhere any more.
                my $done = syscall({unshare}, {newns}) == 0 && system("mount", "--make-rprivate", "/") == 0
                    && system("mount", "-t", "tmpfs", "apart", $ARGV[0]) == 0;
                if ($done) {{
                    keep ">", "$ARGV[0]/only here";
                    mkdir "$ARGV[0]/off";
                    system "mount", "-t", "tmpfs", "off", "$ARGV[0]/off";
                    keep ">", "$ARGV[0]/off/nowhere";
                    system "umount", "-l", "$ARGV[0]/off";
                }}
                print $done ? "apart\n" : "refused\n";
                next;
            }}
            close pop @h; keep "<", "/dev/zero"; print "done\n";
        }}"#,
        memfd = libc::SYS_memfd_create,
        eventfd = libc::SYS_eventfd2,
        epoll = libc::SYS_epoll_create1,
        unshare = libc::SYS_unshare,
        newns = libc::CLONE_NEWNS,
    );
    let (mut puppet, ready) = perl(&script, &[dir.path().to_str().unwrap()]);
    assert_eq!(ready, "ready");
    let told = machine.check(puppet.pid());
    let has = |part: &str| told.iter().filter(|text| text.contains(part)).count();
    assert_eq!(has("/write\""), 5);
    assert_eq!((has("/removed\""), has("/named so (deleted)\""), has("/both (deleted)\"")), (1, 1, 1));
    assert_eq!(has("deleted: true"), 3, "with what has no file");
    assert_eq!((has("path: \"\""), has("/memfd:of no file\""), has("xxxx")), (1, 1, 300));
    assert!(has("anon_inode:") == 2 && has("path: \"pipe:[") >= 2 && has("path: \"socket:[") == 3);
    for _ in 0..3 {
        puppet.tell("replace");
        machine.check(puppet.pid());
    }
    if puppet.tell("apart") == "apart" {
        let told = machine.check(puppet.pid());
        let files = told.iter().filter(|text| text.starts_with("FileKey"));
        let has = |part: &str| files.clone().filter(|text| text.contains(part)).count();
        assert_eq!((has("/only here\""), has("\"/nowhere\"")), (1, 1));
    }
    assert_eq!(machine.processes.audit.misses, 0);
}

#[test]
fn namespaces_are_told_as_proc_tells_them() {
    let Some(mut machine) = Machine::new() else { return };
    // One in namespaces of its own of every kind, and five pid namespaces within each other.
    let all = ["--user", "--map-root-user", "--cgroup", "--ipc", "--mount", "--net", "--time", "--uts"];
    let deep = ["unshare", "--pid", "--fork"].repeat(5);
    let ready = ["sh", "-c", "echo ready; read end"];
    for kinds in [&all[..], &deep[1..]] {
        let unshare = || {
            let mut command = Command::new("unshare");
            command.args(kinds);
            command
        };
        if !unshare().arg("true").status().is_ok_and(|status| status.success()) {
            eprintln!("not run: {kinds:?} are not to be had here");
            continue;
        }
        let mut command = unshare();
        command.args(ready);
        let (puppet, said) = Puppet::of(command);
        assert_eq!(said, "ready");
        let mut next = Some(puppet.pid());
        let mut shown = HashSet::new();
        while let Some(pid) = next {
            machine.check(pid);
            let namespaces = machine.process(pid).unwrap().key.namespaces;
            shown.insert(namespaces.known().unwrap().pid);
            let children = std::fs::read_to_string(format!("/proc/{pid}/task/{pid}/children")).unwrap();
            next = children.split_whitespace().next().map(|child| child.parse().unwrap());
        }
        assert_eq!(shown.len(), if kinds == all { 1 } else { 6 });
    }
}

/// The part that has lost a right that it takes to look into a process.
#[test]
fn without_a_right() {
    let Ok(what) = std::env::var(DENIED) else { return };
    let (right, pid) = what.split_once(' ').unwrap();
    let pid: u32 = pid.parse().unwrap();
    let context = Context::new(HostView::live().unwrap());
    let mut sampler = ProcessSampler::new(&context);
    let lost = match right {
        "trace" => CapabilitySet::SYS_PTRACE,
        _ => CapabilitySet::DAC_READ_SEARCH | CapabilitySet::DAC_OVERRIDE,
    };
    let mut ours = capabilities(None).unwrap();
    for set in [&mut ours.effective, &mut ours.permitted] {
        set.remove(lost);
    }
    set_capabilities(None, ours).unwrap();
    for _ in 0..3 {
        let (mut seen, mut truth) = (Observation::default(), Observation::default());
        sampler.restart();
        sampler.sample(&mut seen).unwrap();
        ProcessSampler::full_scan(&context).sample(&mut truth).unwrap();
        assert_eq!(texts(&seen.facts, pid), texts(&truth.facts, pid));
        let files = seen.facts.iter().find_map(|fact| match fact {
            Fact::Process(process) if process.key.entity.pid().0 == pid => Some(process.key.files),
            _ => None,
        });
        assert_eq!(files, Some(Files::Denied));
    }
    assert_eq!(sampler.note(), None, "it samples incrementally");
    println!("what is denied is denied");
}

fn is_denied_without(right: &str, pid: u32) {
    let output = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "open::without_a_right", "--nocapture", "--test-threads=1"])
        .env(DENIED, format!("{right} {pid}"))
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success() && said.contains("what is denied is denied"), "{output:?}");
}

#[test]
fn whoever_proc_does_not_show_is_not_shown() {
    if Machine::new().is_none() {
        return;
    }
    is_denied_without("trace", std::process::id());
    // The directory belongs to its user; who may trace it may still not be let in.
    let mut command = Command::new("setpriv");
    command.args(["--reuid=65534", "--regid=65534", "--clear-groups", "sh", "-c", "echo ready; read end"]);
    let (puppet, said) = Puppet::of(command);
    assert_eq!(said, "ready");
    is_denied_without("list", puppet.pid());
}
