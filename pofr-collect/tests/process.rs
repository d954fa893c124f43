//! The process sampler on a real `/proc`: vanishing processes, denied ones, those left out; and on a captured tree.
#![expect(clippy::unwrap_used, reason = "what a test cannot go on without ends it")]

mod state;

use pofr_collect::{
    HostView, ProgramFile, Registry,
    samplers::{Context, EndpointSampler, ProcessSampler},
};
use pofr_core::{
    Collector,
    collector::Observation,
    fact::{ByKey, Fact, FileMode, Files, Ids, Process, Transport},
    identity::{Entity, Pid, StartTicks},
    raw::{RawText, Reading},
};
use state::State;
use std::{
    collections::{BTreeMap, BTreeSet, HashSet},
    fs,
    io::BufRead as _,
    os::unix::{ffi::OsStrExt as _, fs::PermissionsExt as _, fs::symlink},
    path::Path,
    process::{Command, Stdio},
    sync::atomic::{AtomicBool, Ordering},
    time::{Duration, Instant},
};

/// Tells a copy of this test program that it runs as nobody, and below whom.
const AS_NOBODY: &str = "POFR_TEST_AS_NOBODY";

fn sample(sampler: &mut dyn Collector) -> Vec<Fact> {
    let mut seen = Observation::default();
    sampler.sample(&mut seen).unwrap();
    seen.facts
}

fn processes(facts: &[Fact]) -> BTreeMap<u32, &Process> {
    let by_pid = facts.iter().filter_map(|fact| match fact {
        Fact::Process(p) => Some((p.key.entity.pid().0, &**p)),
        _ => None,
    });
    by_pid.collect()
}

#[test]
fn processes_that_vanish_while_they_are_read_leave_whole_ones_behind() {
    let over = AtomicBool::new(false);
    let mut steady = Command::new("/bin/sleep").arg("1000").spawn().unwrap();
    std::thread::scope(|scope| {
        for _ in 0..3 {
            scope.spawn(|| {
                while !over.load(Ordering::Relaxed) {
                    let run =
                        Command::new("/bin/sh").args(["-c", "exec /bin/true"]).stdin(Stdio::null()).status();
                    assert!(run.unwrap().success());
                }
            });
        }
        let mut sampler = ProcessSampler::new(&Context::new(HostView::live().unwrap()));
        let end = Instant::now() + Duration::from_secs(3);
        let (mut brief, mut state) = (BTreeSet::new(), State::default());
        let checked = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
            while Instant::now() < end {
                state.take(&mut sampler);
                let facts = state.facts();
                check_whole(&facts);
                let seen = processes(&facts);
                assert!(seen.contains_key(&steady.id()) && seen.contains_key(&std::process::id()));
                brief.extend(
                    seen.values().filter(|p| p.key.ppid.0 == std::process::id()).map(|p| p.key.entity),
                );
            }
        }));
        over.store(true, Ordering::Relaxed);
        println!("{} brief processes were seen", brief.len());
        assert!(checked.is_ok());
    });
    steady.kill().unwrap();
    steady.wait().unwrap();
}

/// Checks what must hold of any snapshot.
fn check_whole(facts: &[Fact]) {
    let unique: HashSet<ByKey> = facts.iter().cloned().map(ByKey).collect();
    assert_eq!(unique.len(), facts.len(), "no fact twice");
    let (mut readable, mut pids) = (HashSet::new(), HashSet::new());
    for process in facts.iter().filter_map(|f| if let Fact::Process(p) = f { Some(p) } else { None }) {
        let key = &process.key;
        assert!(pids.insert(key.entity.pid()), "one process for each number");
        if key.files == Files::Read {
            readable.insert(key.entity);
        }
        // The program that a name belongs to is the one whose arguments were read.
        let comm = key.comm.as_bytes();
        if key.ppid.0 == std::process::id() && comm == b"true" {
            let arguments = key.arguments.as_ref().map(RawText::as_bytes);
            assert!(matches!(arguments, None | Some(b"/bin/true\0")) || key.zombie, "{process:?}");
        }
    }
    for file in facts.iter().filter_map(|f| if let Fact::File(f) = f { Some(f) } else { None }) {
        assert!(
            readable.contains(&file.key.entity),
            "{file:?} of a process that is not there or was not read"
        );
    }
}

#[test]
fn the_recorder_is_left_out_by_number_and_start_time() {
    let view = HostView::live().unwrap();
    let context = Context::new(view.clone());
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    let mut samplers = (ProcessSampler::new(&context), EndpointSampler::new(&context));
    let mut states = (State::default(), State::default());
    let mut look = || {
        states.0.take(&mut samplers.0);
        states.1.take(&mut samplers.1);
        let facts = states.0.facts();
        let files =
            facts.iter().filter(|f| matches!(f, Fact::File(f) if f.key.entity.pid().0 == std::process::id()));
        let (there, files) = (processes(&facts).contains_key(&std::process::id()), files.count() > 0);
        // A child that another test is just starting has our sockets too, until it runs its program.
        let ours = |holder: Option<Entity>| holder.is_none_or(|h| h.pid().0 == std::process::id());
        let of_port =
            |f: &Fact| matches!(f, Fact::Endpoint(e) if e.key.local.port() == port && ours(e.key.holder));
        (there, files, states.1.facts().iter().any(of_port))
    };
    assert_eq!(look(), (true, true, true));
    view.exclude(Pid(std::process::id()), StartTicks(1));
    assert_eq!(look(), (true, true, true), "another process that had our number");
    view.exclude_self();
    assert_eq!(look(), (false, false, false));
}

#[test]
fn a_family_is_left_out_with_the_children_that_run_its_programs() {
    let view = HostView::live().unwrap();
    let mut sampler = ProcessSampler::new(&Context::new(view.clone()));
    let mut sh = Command::new("/bin/sh");
    let script = "sleep 1000 & tail -f /dev/null & echo $!; jobs -p %1; wait";
    let mut family = sh.args(["-c", script]).stdout(Stdio::piped()).spawn().unwrap();
    let mut lines = std::io::BufReader::new(family.stdout.take().unwrap()).lines();
    let mut number = || lines.next().unwrap().unwrap().trim().parse::<u32>().unwrap();
    let (parent, other, child) = (family.id(), number(), number());
    let runs = |pid: u32, name: &str| {
        fs::read_to_string(format!("/proc/{pid}/comm")).unwrap() == format!("{name}\n")
    };
    while !runs(child, "sleep") || !runs(other, "tail") {
        std::thread::sleep(Duration::from_millis(5));
    }
    let start = |pid: u32| {
        let stat = fs::read_to_string(format!("/proc/{pid}/stat")).unwrap();
        let fields = stat.rsplit_once(") ").unwrap().1;
        StartTicks(fields.split(' ').nth(19).unwrap().parse().unwrap())
    };
    let mut seen = || {
        let facts = sample(&mut sampler);
        let seen = processes(&facts);
        (seen.contains_key(&parent), seen.contains_key(&child))
    };
    assert_eq!(seen(), (true, true));
    let programs = ["/bin/sh", "/bin/sleep"].map(|path| ProgramFile::find(Path::new(path)).unwrap());
    assert!(!view.exclude_family(Pid(other), start(other), &programs), "it runs another program");
    assert!(!view.exclude_family(Pid(parent), StartTicks(1), &programs), "another had the number");
    assert!(view.exclude_family(Pid(parent), start(parent), &programs));
    sampler.restart();
    let mut seen = || {
        let facts = sample(&mut sampler);
        let seen = processes(&facts);
        (seen.contains_key(&parent), seen.contains_key(&child), seen.contains_key(&other))
    };
    assert_eq!(seen(), (false, false, true), "a child that runs another program is seen");
    // When they are gone their numbers are free for others.
    Command::new("kill").arg(child.to_string()).arg(other.to_string()).status().unwrap();
    family.wait().unwrap();
    while Path::new(&format!("/proc/{child}")).exists() {
        std::thread::sleep(Duration::from_millis(5));
    }
    view.release_gone();
    assert!(!view.excludes(Pid(parent)) && !view.excludes(Pid(child)));
}

#[test]
fn another_program_under_the_name_of_a_familys_is_seen() {
    if !Path::new("/usr/bin/unshare").exists() || !rustix::process::geteuid().is_root() {
        eprintln!("SKIPPED: without root and unshare(1) no file can be put in the place of another");
        return;
    }
    let dir = tempfile::tempdir().unwrap();
    let script = "unshare -m sh -c 'mount --bind /usr/bin/tail /usr/bin/sleep && exec /usr/bin/sleep -f /dev/null' & \
        unshare -m /usr/bin/sleep 1000 & echo $!; jobs -p %1; wait";
    let errors = fs::File::create(dir.path().join("errors")).unwrap();
    let mut sh = Command::new("/bin/sh");
    let mut family = sh.args(["-c", script]).stdout(Stdio::piped()).stderr(errors).spawn().unwrap();
    let mut lines = std::io::BufReader::new(family.stdout.take().unwrap()).lines();
    let mut number = || lines.next().unwrap().unwrap().trim().parse::<u32>().unwrap();
    let (parent, true_sleep, false_sleep) = (family.id(), number(), number());
    let runs_sleep =
        |pid: u32| fs::read_to_string(format!("/proc/{pid}/comm")).unwrap_or_default() == "sleep\n";
    let begun = Instant::now();
    while !(runs_sleep(true_sleep) && runs_sleep(false_sleep)) {
        if begun.elapsed() > Duration::from_secs(20) {
            let _ = family.kill();
            let _ = family.wait();
            eprintln!("SKIPPED: {}", fs::read_to_string(dir.path().join("errors")).unwrap());
            return;
        }
        std::thread::sleep(Duration::from_millis(5));
    }
    let named = fs::read_link(format!("/proc/{false_sleep}/exe")).unwrap();
    assert_eq!(named, Path::new("/usr/bin/sleep"), "by its name it is no other");
    let stat = fs::read_to_string(format!("/proc/{parent}/stat")).unwrap();
    let start = stat.rsplit_once(") ").unwrap().1.split(' ').nth(19).unwrap().parse().unwrap();
    let view = HostView::live().unwrap();
    let programs = ["/bin/sh", "/bin/sleep"].map(|path| ProgramFile::find(Path::new(path)).unwrap());
    assert!(view.exclude_family(Pid(parent), StartTicks(start), &programs));
    let facts = sample(&mut ProcessSampler::new(&Context::new(view)));
    let seen = processes(&facts);
    let seen = [parent, true_sleep, false_sleep].map(|pid| seen.contains_key(&pid));
    Command::new("kill").arg(true_sleep.to_string()).arg(false_sleep.to_string()).status().unwrap();
    family.wait().unwrap();
    assert_eq!(seen, [false, false, true]);
}

/// The part that runs as nobody, below the test that runs as root.
#[test]
fn as_nobody() {
    let Some(root_pid) = std::env::var_os(AS_NOBODY) else { return };
    let root_pid: u32 = root_pid.to_str().unwrap().parse().unwrap();
    let facts = sample(&mut ProcessSampler::new(&Context::new(HostView::live().unwrap())));
    check_whole(&facts);
    let seen = processes(&facts);
    let denied = &seen[&root_pid].key;
    assert_eq!(denied.files, Files::Denied);
    assert_eq!((&denied.exe, &denied.cwd), (&Reading::Denied, &Reading::Denied));
    assert_eq!(denied.namespaces, Reading::Denied);
    assert!(
        denied.arguments.as_ref().is_some_and(|a| !a.as_bytes().is_empty()),
        "anyone may see the arguments"
    );
    assert_eq!(denied.ids.euid, Some(0));
    assert!(!facts.iter().any(|f| matches!(f, Fact::File(f) if f.key.entity == denied.entity)));
    let own = &seen[&std::process::id()].key;
    assert_eq!((own.files, own.ids.euid), (Files::Read, Some(65_534)));
    assert!(own.exe.known().is_some() && own.namespaces.known().is_some());
    assert!(facts.iter().any(|f| matches!(f, Fact::File(f) if f.key.entity == own.entity)));
    // Kernel threads have no program, and nothing that could be denied.
    let kthreadd = seen.values().find(|p| p.key.comm.as_bytes() == b"kthreadd");
    assert!(kthreadd.is_none_or(|p| p.key.exe == Reading::Absent && p.key.files == Files::Read));
    println!("seen as nobody");
}

#[test]
fn what_an_ordinary_user_may_not_read_is_denied_and_not_absent() {
    if !rustix::process::geteuid().is_root() {
        assert!(std::env::var_os("CI").is_none(), "this test needs root");
        eprintln!("not run: becoming nobody needs root");
        return;
    }
    // Nobody may not be allowed to where this program was built.
    let dir = tempfile::tempdir().unwrap();
    fs::set_permissions(dir.path(), fs::Permissions::from_mode(0o755)).unwrap();
    let program = dir.path().join("test");
    // By a process of its own: what other tests start meanwhile would hold a file that this one has open to write, and nobody can
    // execute that (ETXTBSY).
    let copied = Command::new("cp").arg(std::env::current_exe().unwrap()).arg(&program).status().unwrap();
    assert!(copied.success());
    fs::set_permissions(&program, fs::Permissions::from_mode(0o755)).unwrap();
    let output = Command::new("setpriv")
        .args(["--reuid=65534", "--regid=65534", "--clear-groups", "--inh-caps=-all"])
        .arg(&program)
        .args(["--exact", "as_nobody", "--nocapture", "--test-threads=1"])
        .env(AS_NOBODY, std::process::id().to_string())
        .current_dir("/")
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success() && said.contains("seen as nobody"), "{output:?}");
}

/// Lays out a captured tree of one process and one socket.
fn tree(root: &Path) {
    let write = |path: &str, text: &[u8]| {
        let path = root.join(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
    };
    write("proc/sys/kernel/random/boot_id", b"cb7fb6df-ff37-45d6-88e0-73badcb21c38\n");
    write("proc/sys/kernel/hostname", b"captured\n");
    write("proc/sys/kernel/osrelease", b"6.1.0-test\n");
    write("etc/os-release", b"NAME=\"Some Linux\"\nVERSION_ID=\"7\"\n");
    write("etc/timezone", b"Europe/Oslo\n");
    write("etc/passwd", b"root:x:0:0:root:/root:/bin/sh\nada:x:1000:1000:Ada:/home/ada:/bin/sh\n");
    write("etc/group", b"root:x:0:\nstaff:x:50:ada\n");
    write("sys/class/dmi/id/sys_vendor", b"Some Vendor\n");
    let stat = b"812 (a) b) S 1 812 812 34816 812 4194304 1 0 0 0 1 2 0 0 20 0 1 0 54063 1 1 1 1 1 1 0 0 0 0 0 0 0 0 0 17 1 0 0 0 0 0 1 1 1 1 1 1 1 0\n";
    write("proc/812/stat", stat);
    let status =
        b"Name:\ta) b\nState:\tS (sleeping)\nPPid:\t1\nUid:\t1000\t1001\t1000\t1000\nGid:\t50\t51\t50\t50\n";
    write("proc/812/status", status);
    write("proc/812/cmdline", b"a\0-x\0");
    write("proc/812/cgroup", b"0::/user.slice\n");
    write("proc/812/loginuid", b"1000");
    fs::create_dir_all(root.join("proc/812/ns")).unwrap();
    fs::create_dir_all(root.join("proc/812/fd")).unwrap();
    let link =
        |target: &[u8], path: &str| symlink(std::ffi::OsStr::from_bytes(target), root.join(path)).unwrap();
    link(b"/usr/bin/a", "proc/812/exe");
    link(b"/home/ada", "proc/812/cwd");
    link(b"net:[4026531840]", "proc/812/ns/net");
    link(b"/var/log/x\n (deleted)", "proc/812/fd/3");
    link(b"socket:[30215]", "proc/812/fd/4");
    let socket = b"   0: 0100007F:0CEA 00000000:0000 0A 00000000:00000000 00:00000000 00000000  1000        0 30215 1\n";
    write("proc/net/tcp", &[b"  sl  local_address ...\n", &socket[..]].concat());
    write("proc/net/tcp6", b"  sl\n");
    write("proc/net/udp", b"  sl\n");
    write("proc/net/udp6", b"  sl\n");
}

#[test]
fn a_captured_tree_is_read_as_on_the_machine_that_it_came_from() {
    let root = tempfile::tempdir().unwrap();
    tree(root.path());
    let mut view = HostView::of_tree(root.path()).unwrap();
    view.ticks_per_second = 250;
    let facts: Vec<Fact> =
        Registry::samplers_only(&view).into_samplers().iter_mut().flat_map(|s| sample(s.as_mut())).collect();
    check_whole(&facts);
    let seen = processes(&facts);
    let Process { key, details } = seen[&812];
    assert_eq!(key.entity, Entity::Started { boot: view.boot, pid: Pid(812), start: StartTicks(54_063) });
    assert_eq!((key.ppid, key.session, key.tty, key.login_uid), (Pid(1), 812, 34_816, Some(1_000)));
    assert_eq!(key.ids, Ids::of([1_000, 1_001, 50, 51]));
    assert_eq!(
        (key.comm.as_bytes(), key.arguments.as_ref().unwrap().as_bytes()),
        (&b"a) b"[..], &b"a\0-x\0"[..])
    );
    assert_eq!(key.exe.known().unwrap().as_bytes(), b"/usr/bin/a");
    assert_eq!(key.cgroup.known().unwrap().as_bytes(), b"0::/user.slice");
    assert_eq!(key.namespaces.known().unwrap().net, 4_026_531_840);
    assert_eq!(details.started, Some(view.clock.at_boot(216_252_000)));
    let files: Vec<_> = facts
        .iter()
        .filter_map(|f| {
            if let Fact::File(f) = f { Some((f.key.fd, f.key.path.as_bytes(), f.key.deleted)) } else { None }
        })
        .collect();
    assert_eq!(files.len(), 2);
    assert!(
        files.contains(&(3, &b"/var/log/x\n"[..], true))
            && files.contains(&(4, &b"socket:[30215]"[..], false))
    );
    assert!(facts.iter().any(|f| matches!(f, Fact::File(f) if f.key.mode == FileMode::ReadWrite)));
    let endpoints: Vec<_> =
        facts.iter().filter_map(|f| if let Fact::Endpoint(e) = f { Some(&e.key) } else { None }).collect();
    assert_eq!(endpoints.len(), 1);
    assert_eq!(
        (endpoints[0].transport, endpoints[0].local),
        (Transport::Tcp, "127.0.0.1:3306".parse().unwrap())
    );
    assert_eq!(endpoints[0].holder, Some(key.entity));
    let host = facts.iter().find_map(|f| if let Fact::Host(h) = f { Some(h) } else { None }).unwrap();
    assert_eq!((host.hostname.as_bytes(), host.os.as_bytes()), (&b"captured"[..], &b"Some Linux"[..]));
    assert_eq!(
        (host.timezone.as_bytes(), host.vendor.as_bytes()),
        (&b"Europe/Oslo"[..], &b"Some Vendor"[..])
    );
    assert_eq!(facts.iter().filter(|f| matches!(f, Fact::User(_) | Fact::Group(_))).count(), 4);
}

#[test]
fn a_tree_without_a_process_directory_is_an_error() {
    let root = tempfile::tempdir().unwrap();
    tree(root.path());
    let view = HostView::of_tree(root.path()).unwrap();
    fs::remove_dir_all(root.path().join("proc")).unwrap();
    let context = Context::new(view);
    let (mut process, mut endpoint) = (ProcessSampler::new(&context), EndpointSampler::new(&context));
    let error = process.sample(&mut Observation::default()).unwrap_err().to_string();
    assert!(error.starts_with("cannot read /") && error.contains("No such file"), "{error}");
    let error = endpoint.sample(&mut Observation::default()).unwrap_err().to_string();
    assert_eq!(error, "holders of sockets: the processes of this tick could not be read");
    assert!(HostView::of_tree(root.path()).unwrap_err().to_string().contains("boot_id: "));
}
