//! An independent look: on a stopped workload the sampled facts equal what ps(1), lsof(8) and ss(8) say.
//!
//! Nothing of the samplers is used on the other side: their facts are written as text the way those programs write theirs, and
//! the texts are compared.
#![expect(clippy::unwrap_used, reason = "what a test cannot go on without ends it")]

use pofr_collect::{HostView, Registry};
use pofr_core::{
    Source,
    collector::Observation,
    fact::{Endpoint, Fact, FileMode, OpenFile, Process, SocketId, Transport},
    raw::{RawText, Reading},
};
use rustix::process::{Pid, Signal, kill_process};
use std::{
    collections::{BTreeMap, BTreeSet},
    ffi::OsStr,
    fs::{File, OpenOptions},
    io::{BufRead as _, BufReader, Write as _},
    net::{Ipv6Addr, SocketAddr, TcpListener, TcpStream, UdpSocket},
    os::unix::{ffi::OsStrExt as _, process::CommandExt as _},
    path::Path,
    process::{Child, Command, Stdio},
};

/// Tells a copy of this test program that it is the workload, and where it may write.
const WORKLOAD: &str = "POFR_TEST_WORKLOAD";

/// Processes that end with the test.
struct Workload {
    children: Vec<Child>,
    dir: tempfile::TempDir,
}

impl Drop for Workload {
    fn drop(&mut self) {
        for child in &mut self.children {
            let _ = child.kill();
            let _ = child.wait();
        }
    }
}

impl Workload {
    fn pids(&self) -> Vec<u32> {
        self.children.iter().map(Child::id).collect()
    }
}

/// The part that runs as a child: odd files and sockets, then nothing.
#[test]
fn workload() {
    let Some(dir) = std::env::var_os(WORKLOAD) else { return };
    let dir = Path::new(&dir);
    let name = |bytes: &[u8]| dir.join(OsStr::from_bytes(bytes));
    let mut files = vec![
        File::create(name(b"written to")).unwrap(),
        File::create(name(b"new\nline")).unwrap(),
        File::create(name(b"bytes \xff\xfe#%")).unwrap(),
        File::create(name(b"really named (deleted)")).unwrap(),
        OpenOptions::new().read(true).write(true).create(true).truncate(true).open(name(b"both")).unwrap(),
        File::create(name(b"gone")).unwrap(),
        File::create(name(b"gone (deleted)")).unwrap(),
    ];
    files.push(File::open(name(b"written to")).unwrap());
    files.push(File::open(dir).unwrap());
    std::fs::remove_file(name(b"gone")).unwrap();
    std::fs::remove_file(name(b"gone (deleted)")).unwrap();
    let mut sockets: Vec<Box<dyn std::any::Any>> = Vec::new();
    for address in ["127.0.0.1:0", "[::1]:0", "[::]:0"] {
        let listener = TcpListener::bind(address).unwrap();
        // An IPv4 connection to a dual-stack listener has a mapped address at that end.
        let target = match listener.local_addr().unwrap() {
            any if any.ip().is_unspecified() => format!("127.0.0.1:{}", any.port()),
            other => other.to_string(),
        };
        let client = TcpStream::connect(target).unwrap();
        let (served, _) = listener.accept().unwrap();
        sockets.push(Box::new((client, served, listener)));
    }
    for address in ["127.0.0.1:0", "[::1]:0", "0.0.0.0:0"] {
        let udp = UdpSocket::bind(address).unwrap();
        if !address.starts_with("0.") {
            udp.connect((udp.local_addr().unwrap().ip(), 9)).unwrap();
        }
        sockets.push(Box::new(udp));
    }
    std::fs::write("/proc/self/comm", "it's ) R 1 (x").unwrap();
    println!("\nready");
    std::io::stdout().flush().unwrap();
    loop {
        std::thread::park();
        std::hint::black_box((&files, &sockets));
    }
}

/// Starts the part of the workload that holds files and sockets, by a command that takes its program and arguments.
fn start_holder(mut command: Command, dir: &Path) -> Child {
    let command = command.args(["--exact", "workload", "--nocapture", "--test-threads=1"]).env(WORKLOAD, dir);
    let mut holder = command.stdout(Stdio::piped()).spawn().unwrap();
    let lines = BufReader::new(holder.stdout.take().unwrap()).lines();
    assert!(lines.map(Result::unwrap).any(|line| line.ends_with("ready")), "the workload began");
    holder
}

/// Starts the workload and stops all of it.
fn start() -> Workload {
    let dir = tempfile::tempdir().unwrap();
    let holder = start_holder(Command::new(std::env::current_exe().unwrap()), dir.path());
    let mut children = vec![holder];
    let mut sleep = |name: &[u8]| {
        let mut command = Command::new("/bin/sleep");
        command.arg0(OsStr::from_bytes(name)).arg("1000").current_dir("/usr");
        children.push(command.spawn().unwrap());
    };
    sleep(b"it's; DROP TABLE x--");
    sleep(b"two words");
    sleep(b"line\nfeed\ttab\x1b[2J\xff");
    let long = "long ".repeat(20_000);
    // It waits for input that never comes, rather than for a child that would outlive it.
    let mut reading = Command::new("/bin/sh");
    reading.args(["-c", "read line", "sh", &long]).stdin(Stdio::piped());
    children.push(reading.spawn().unwrap());
    // A zombie: it has exited, and nobody has asked how.
    children.push(Command::new("/bin/sh").args(["-c", "exit 3"]).spawn().unwrap());
    let mut workload = Workload { children, dir };
    let zombie = workload.children.last().map(Child::id);
    let is_in = |pid: u32, states: &str| {
        let text = std::fs::read_to_string(format!("/proc/{pid}/status")).unwrap();
        states.contains(text.split("State:\t").nth(1).unwrap().chars().next().unwrap())
    };
    for child in &mut workload.children {
        let states = if Some(child.id()) == zombie {
            "Z"
        } else {
            kill_process(Pid::from_child(child), Signal::STOP).unwrap();
            "T"
        };
        while !is_in(child.id(), states) {
            std::thread::yield_now();
        }
    }
    workload
}

/// Samples processes with files, and endpoints, as a recorder would in one tick.
fn sample() -> Vec<Fact> {
    let view = HostView::live().unwrap();
    let mut facts = Vec::new();
    for mut sampler in Registry::built_in(&view).into_samplers() {
        if matches!(sampler.source(), Source::Process | Source::Endpoint) {
            let mut seen = Observation::default();
            sampler.sample(&mut seen).unwrap();
            facts.extend(seen.facts);
        }
    }
    facts
}

/// Runs a program and returns what it prints.
fn output(program: &str, args: &[&str]) -> Vec<u8> {
    let output = Command::new(program).args(args).env("LC_ALL", "C").output();
    let output = output.unwrap_or_else(|e| panic!("{program} is needed for this test: {e}"));
    assert!(!output.stdout.is_empty(), "{program}: {}", String::from_utf8_lossy(&output.stderr));
    output.stdout
}

fn ps(pid: u32, columns: &str) -> String {
    let text = output("ps", &["-ww", "-o", columns, "-p", &pid.to_string()]);
    String::from_utf8(text).unwrap().trim_end_matches('\n').to_owned()
}

/// Writes bytes as ps does in the C locale: a dot for a control character, a question mark for what is not ASCII.
fn as_ps(text: &[u8]) -> String {
    let one = |b: &u8| match b {
        0..=31 => '.',
        b' '..=b'~' => char::from(*b),
        _ => '?',
    };
    text.iter().map(one).collect()
}

#[test]
fn processes_are_as_ps_has_them() {
    let workload = start();
    let facts = sample();
    let processes: BTreeMap<u32, &Process> = facts
        .iter()
        .filter_map(|fact| match fact {
            Fact::Process(p) => Some((p.key.entity.pid().0, p)),
            _ => None,
        })
        .collect();
    for pid in workload.pids() {
        let Process { key, details } = processes[&pid];
        let ids = key.ids;
        let numbers = format!(
            "{} {} {} {} {} {} {}",
            key.ppid, ids.ruid, ids.euid, ids.rgid, ids.egid, key.session, key.zombie
        );
        let told = ps(pid, "ppid=,ruid=,euid=,rgid=,egid=,sess=,stat=");
        let mut told: Vec<String> = told.split_whitespace().map(str::to_owned).collect();
        let state = told.pop().unwrap();
        told.push(state.starts_with('Z').to_string());
        assert_eq!(numbers, told.join(" "), "pid {pid}");

        assert_eq!(as_ps(key.comm.as_bytes()), ps(pid, "ucomm=").trim_end_matches(" <defunct>"), "pid {pid}");
        if key.zombie {
            assert_eq!(details.exit_code, Some(3 << 8));
            assert_eq!((&key.exe, &key.cwd), (&Reading::Absent, &Reading::Absent));
            continue;
        }
        let arguments = key.arguments.as_ref().unwrap().as_bytes();
        let spaced: Vec<u8> =
            arguments.iter().map(|b| if matches!(b, 0 | b'\n') { b' ' } else { *b }).collect();
        assert_eq!(as_ps(spaced.trim_ascii_end()), ps(pid, "args=").trim_end(), "pid {pid}");
        assert_eq!(as_ps(key.exe.known().unwrap().as_bytes()), ps(pid, "exe="), "pid {pid}");

        let n = *key.namespaces.known().unwrap();
        let numbers = [n.cgroup, n.ipc, n.mnt, n.net, n.pid, n.time, n.user, n.uts].map(|n| n.to_string());
        let told = ps(pid, "cgroupns=,ipcns=,mntns=,netns=,pidns=,timens=,userns=,utsns=");
        assert_eq!(numbers.to_vec(), told.split_whitespace().collect::<Vec<_>>(), "pid {pid}");
        let told = ps(pid, "luid=");
        assert_eq!(key.login_uid.map_or("-".to_owned(), |uid| uid.to_string()), told.trim(), "pid {pid}");

        // Seconds since it started, which ps takes from the start ticks as well.
        let age: f64 = ps(pid, "etimes=").trim().parse().unwrap();
        let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap().as_secs_f64();
        let started = details.started.unwrap().0 as f64 / 1e6;
        assert!((now - started - age).abs() < 3.0, "pid {pid}: started {started}, {age} s old at {now}");
    }
    let long = workload.children[4].id();
    assert!(processes[&long].key.arguments.as_ref().unwrap().as_bytes().len() > 100_000);
    let odd = processes[&workload.children[3].id()].key.arguments.as_ref().unwrap();
    assert_eq!(odd.as_bytes(), b"line\nfeed\ttab\x1b[2J\xff\x001000\x00", "byte for byte");
}

/// Writes bytes as lsof does in the C locale: `\n`, `^[`, `\xff`.
fn as_lsof(text: &[u8]) -> String {
    let one = |b: &u8| match b {
        b'\n' => "\\n".to_owned(),
        b'\t' => "\\t".to_owned(),
        0..=31 => format!("^{}", char::from(b + 64)),
        b' '..=b'~' => char::from(*b).to_string(),
        _ => format!("\\x{b:02x}"),
    };
    text.iter().map(one).collect()
}

/// What lsof says of one process: descriptor, access, name; those that are no numbers under their names.
fn lsof(pid: u32) -> BTreeMap<String, (String, String, String)> {
    let text = output("lsof", &["-nP", "-w", "-p", &pid.to_string(), "-F", "fatn"]);
    let (mut files, mut fd) = (BTreeMap::new(), String::new());
    for line in String::from_utf8(text).unwrap().lines() {
        let (field, value) = line.split_at(1);
        let entry: &mut (String, String, String) = files.entry(fd.clone()).or_default();
        match field {
            "f" => value.clone_into(&mut fd),
            "a" => value.clone_into(&mut entry.0),
            "t" => value.clone_into(&mut entry.1),
            "n" => value.clone_into(&mut entry.2),
            _ => {}
        }
    }
    files
}

#[test]
fn open_files_are_as_lsof_has_them() {
    let workload = start();
    let facts = sample();
    let mut odd = BTreeSet::new();
    for pid in workload.pids() {
        let of_pid = |fact: &&Fact| fact.entity_pid() == Some(pid);
        if facts.iter().any(|f| matches!(f, Fact::Process(p) if p.key.zombie && of_pid(&f))) {
            assert_eq!(
                facts.iter().filter(of_pid).count(),
                1,
                "a zombie has no files, and lsof nothing to say"
            );
            continue;
        }
        let mut told = lsof(pid);
        let named =
            |told: &BTreeMap<String, (String, String, String)>, fd: &str| told.get(fd).map(|f| f.2.clone());
        let (cwd, exe) = (named(&told, "cwd"), named(&told, "txt"));
        told.retain(|fd, _| fd.parse::<u32>().is_ok());
        let mut ours = BTreeMap::new();
        for fact in facts.iter().filter(of_pid) {
            match fact {
                Fact::File(OpenFile { key, .. }) => {
                    let access = match key.mode {
                        FileMode::Read => "r",
                        FileMode::Write => "w",
                        FileMode::ReadWrite => "u",
                        FileMode::Neither | FileMode::Unknown => "",
                    };
                    let kind = told.get(&key.fd.to_string()).map(|f| f.1.clone()).unwrap_or_default();
                    let name = if matches!(&*kind, "REG" | "DIR" | "CHR") {
                        as_lsof(key.path.as_bytes()) + if key.deleted { " (deleted)" } else { "" }
                    } else {
                        // lsof has its own words for pipes and sockets.
                        named(&told, &key.fd.to_string()).unwrap_or_default()
                    };
                    if key.path.as_bytes().starts_with(workload.dir.path().as_os_str().as_bytes()) {
                        let last = key.path.as_bytes().rsplit(|b| *b == b'/').next().unwrap();
                        odd.insert((RawText::from(last).escaped(), key.mode.text(), key.deleted));
                    }
                    ours.insert(key.fd.to_string(), (access.to_owned(), kind, name));
                }
                Fact::Process(process) if !process.key.zombie => {
                    let key = &process.key;
                    assert_eq!(key.cwd.known().map(|p| as_lsof(p.as_bytes())), cwd, "pid {pid}");
                    assert_eq!(key.exe.known().map(|p| as_lsof(p.as_bytes())), exe, "pid {pid}");
                }
                _ => {}
            }
        }
        assert_eq!(ours, told, "pid {pid}");
    }
    let last = RawText::from(workload.dir.path().file_name().unwrap().as_bytes()).escaped();
    let expected: BTreeSet<(String, &str, bool)> = [
        ("written to", "w", false),
        ("written to", "r", false),
        ("new\\nline", "w", false),
        ("bytes \\xff\\xfe#%", "w", false),
        ("really named (deleted)", "w", false),
        ("both", "rw", false),
        ("gone", "w", true),
        ("gone (deleted)", "w", true),
        (&last, "r", false),
    ]
    .into_iter()
    .map(|(name, mode, deleted)| (name.to_owned(), mode, deleted))
    .collect();
    assert_eq!(odd, expected);
}

/// Writes an address as `ss -n` does; `any` tells whether IPv6's unspecified one stands for both families.
fn as_ss(address: SocketAddr, any: bool) -> String {
    let port = if address.port() == 0 { "*".to_owned() } else { address.port().to_string() };
    match address {
        SocketAddr::V4(four) => format!("{}:{port}", four.ip()),
        SocketAddr::V6(six) if *six.ip() == Ipv6Addr::UNSPECIFIED && any => format!("*:{port}"),
        SocketAddr::V6(six) => format!("[{}]:{port}", six.ip()),
    }
}

#[test]
fn endpoints_are_as_ss_has_them() {
    let workload = start();
    let facts = sample();
    let pid = workload.children[0].id();
    let ours: BTreeSet<String> = facts
        .iter()
        .filter_map(|fact| match fact {
            Fact::Endpoint(Endpoint { key, details }) if key.holder.is_some_and(|h| h.pid().0 == pid) => {
                let SocketId::Cookie(cookie) = key.socket else { panic!("no cookie: {key:?}") };
                let transport = if key.transport == Transport::Tcp { "tcp" } else { "udp" };
                Some(format!(
                    "{transport} {} {} {} ino:{} sk:{cookie:x}",
                    key.state.text(),
                    as_ss(key.local, true),
                    as_ss(key.remote, true),
                    details.inode.unwrap(),
                ))
            }
            _ => None,
        })
        .collect();
    let text = String::from_utf8(output("ss", &["-H", "-O", "-n", "-a", "-t", "-u", "-p", "-e"])).unwrap();
    let told: BTreeSet<String> = text
        .lines()
        .filter(|line| line.contains(&format!("pid={pid},")))
        .map(|line| {
            let fields: Vec<&str> = line.split_whitespace().collect();
            let [transport, state, _, _, local, remote, ..] = fields[..] else { panic!("{line}") };
            let named =
                |name: &str| *fields.iter().find(|f| f.starts_with(name)).unwrap_or_else(|| panic!("{line}"));
            let plain = |address: &str| address.replace("[::]", "*");
            format!(
                "{transport} {state} {} {} {} {}",
                plain(local),
                plain(remote),
                named("ino:"),
                named("sk:")
            )
        })
        .collect();
    assert_eq!(ours, told);
    assert_eq!(ours.len(), 12, "three listeners, three connections with both ends, three UDP sockets");
    assert!(ours.iter().any(|line| line.contains("[::ffff:127.0.0.1]")), "mapped addresses stay IPv6");
}

#[test]
fn other_network_namespaces_are_read_once_each() {
    if !rustix::process::geteuid().is_root() {
        assert!(std::env::var_os("CI").is_none(), "this test needs root");
        eprintln!("not run: making a network namespace needs root");
        return;
    }
    let dir = tempfile::tempdir().unwrap();
    let mut command = Command::new("unshare");
    command
        .args(["--net", "sh", "-c", "ip link set lo up && exec \"$@\"", "sh"])
        .arg(std::env::current_exe().unwrap());
    let holder = start_holder(command, dir.path());
    let pid = holder.id();
    // Another process of the same namespace, which holds none of its sockets.
    let mut enter = Command::new("nsenter");
    enter.args(["--net", "-t", &pid.to_string(), "sleep", "1000"]);
    let workload = Workload { children: vec![holder, enter.spawn().unwrap()], dir };
    let facts = sample();
    let netns = |pid: u32| {
        std::fs::metadata(format!("/proc/{pid}/ns/net")).map(|m| std::os::unix::fs::MetadataExt::ino(&m))
    };
    let inode = u32::try_from(netns(pid).unwrap()).unwrap();
    let mut ours = Vec::new();
    for fact in &facts {
        if let Fact::Endpoint(Endpoint { key, .. }) = fact
            && key.netns == Some(inode)
        {
            assert_eq!(key.holder.map(|h| h.pid().0), Some(pid), "{key:?}");
            let SocketId::Inode(inode) = key.socket else { panic!("{key:?}") };
            ours.push(format!("{} {} ino:{inode}", as_ss(key.local, true), as_ss(key.remote, true)));
        }
    }
    ours.sort();
    let args = ["--net", "-t", &pid.to_string(), "ss", "-H", "-O", "-n", "-a", "-t", "-u", "-e"];
    let text = String::from_utf8(output("nsenter", &args)).unwrap();
    let line = |line: &str| {
        let fields: Vec<&str> = line.split_whitespace().collect();
        let plain = |address: &str| address.replace("[::]", "*");
        let inode = fields.iter().find(|f| f.starts_with("ino:")).unwrap();
        format!("{} {} {inode}", plain(fields[4]), plain(fields[5]))
    };
    let mut told: Vec<String> = text.lines().map(line).collect();
    told.sort();
    assert_eq!((ours.len(), ours), (12, told));
    assert_ne!(netns(std::process::id()).unwrap(), u64::from(inode));
    drop(workload);
}

#[test]
fn a_socket_that_nobody_holds_any_more_is_there_without_a_holder() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let client = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
    let (served, _) = listener.accept().unwrap();
    let (local, remote) = (client.local_addr().unwrap(), client.peer_addr().unwrap());
    // Who closes first keeps the socket in TIME-WAIT for a minute.
    drop(client);
    drop(served);
    let facts = sample();
    let waiting = facts.iter().filter_map(|fact| match fact {
        Fact::Endpoint(e) if (e.key.local, e.key.remote) == (local, remote) => Some(e),
        _ => None,
    });
    let waiting: Vec<_> = waiting.collect();
    assert_eq!(waiting.len(), 1, "{waiting:?}");
    assert_eq!((waiting[0].key.state.text(), waiting[0].key.holder), ("TIME-WAIT", None));
    assert_eq!((waiting[0].details.uid, waiting[0].details.inode), (None, None));
}

#[test]
fn all_endpoints_of_the_machine_are_there_whoever_holds_them() {
    let _workload = start();
    let count = |facts: &[Fact]| {
        let sockets = facts.iter().filter_map(|fact| match fact {
            Fact::Endpoint(e) => Some(e.key.socket),
            _ => None,
        });
        sockets.collect::<BTreeSet<_>>()
    };
    let ss = || {
        let text = String::from_utf8(output("ss", &["-H", "-O", "-n", "-a", "-t", "-u", "-e"])).unwrap();
        let cookie = |line: &str| {
            let field = line.split_whitespace().find_map(|f| f.strip_prefix("sk:")).unwrap().to_owned();
            SocketId::Cookie(u64::from_str_radix(&field, 16).unwrap())
        };
        text.lines().map(cookie).collect::<BTreeSet<_>>()
    };
    // Others come and go: what ss saw both before and after must be there, and nothing that it never saw.
    let (before, ours, after) = (ss(), count(&sample()), ss());
    assert!(before.intersection(&after).all(|socket| ours.contains(socket)));
    let strangers = ours.iter().filter(|socket| !before.contains(socket) && !after.contains(socket)).count();
    assert!(
        strangers <= before.symmetric_difference(&after).count() + 2,
        "{strangers} sockets that ss never saw"
    );
}

/// The process that a fact of a process or file belongs to.
trait EntityPid {
    fn entity_pid(&self) -> Option<u32>;
}

impl EntityPid for Fact {
    fn entity_pid(&self) -> Option<u32> {
        match self {
            Self::Process(p) => Some(p.key.entity.pid().0),
            Self::File(f) => Some(f.key.entity.pid().0),
            _ => None,
        }
    }
}
