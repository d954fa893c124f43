//! Sockets of other network namespaces, on real ones: found wherever they are, with their ends, and a gap where they cannot be read.

#![expect(clippy::unwrap_used, reason = "what a test cannot go on without ends it")]
#![expect(dead_code, reason = "this test needs little of what tests share")]

mod stream;

use pofr_collect::{HostView, Recorder, Registry, Stop, events::SocketEvents};
use pofr_core::{
    fact::{Endpoint, Fact, TcpState},
    gap::Gap,
    identity::RunId,
    lifetime::{Row, Tracker},
    record::Record,
};
use std::{
    io::{BufRead as _, BufReader, Write as _},
    process::{Child, Command, Stdio},
    time::{Duration, Instant},
};
use stream::{Memory, settings};

/// Makes namespaces as `ip netns add` does: each with a name and nobody in it. They are gone with it.
struct Named(Vec<String>);

impl Named {
    /// `None` where the machine does not let us.
    fn make(names: &[&str]) -> Option<Self> {
        let names: Vec<String> =
            names.iter().map(|name| format!("pofr-{}-{name}", std::process::id())).collect();
        let made = Self(names);
        for name in &made.0 {
            if !ip(&["netns", "add", name]) || !ip(&["-n", name, "link", "set", "lo", "up"]) {
                eprintln!("NOT TRIED: no network namespace can be made");
                return None;
            }
        }
        Some(made)
    }
}

impl Drop for Named {
    fn drop(&mut self) {
        for name in &self.0 {
            ip(&["netns", "del", name]);
        }
    }
}

fn ip(arguments: &[&str]) -> bool {
    Command::new("ip").args(arguments).stderr(Stdio::null()).status().is_ok_and(|status| status.success())
}

/// A program in Python that says `up`, and waits for lines before it goes on. It ends with this.
struct Program(Child, BufReader<std::process::ChildStdout>);

impl Program {
    fn start(code: &str, arguments: &[&str]) -> Self {
        let head = "import ctypes, os, socket, sys, threading, time\n\
            libc = ctypes.CDLL(None, use_errno=True)\n\
            def enter(path):\n    assert libc.setns(os.open(path, os.O_RDONLY), 0x40000000) == 0\n";
        let mut child = Command::new("python3")
            .args(["-c", &format!("{head}{code}")])
            .args(arguments)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let out = BufReader::new(child.stdout.take().unwrap());
        let mut program = Self(child, out);
        program.wait_for("up");
        program
    }

    fn wait_for(&mut self, said: &str) {
        let mut line = String::new();
        self.1.read_line(&mut line).unwrap();
        assert_eq!(line.trim(), said);
    }

    fn go_on(&mut self) {
        self.0.stdin.as_mut().unwrap().write_all(b"\n").unwrap();
    }
}

impl Drop for Program {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// What the recorder may.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Power {
    /// Everything, as root's `pofrc record`.
    All,
    /// What `pofrc start` keeps.
    Kept,
}

/// Gives up what `pofrc start` gives up once its sources are open, in this thread.
fn give_up() {
    use rustix::thread::{CapabilitySet, CapabilitySets, capabilities, set_capabilities};
    let kept = CapabilitySet::SYS_PTRACE | CapabilitySet::DAC_READ_SEARCH | CapabilitySet::NET_ADMIN;
    let kept = capabilities(None).unwrap().permitted & kept;
    let sets = CapabilitySets { effective: kept, permitted: kept, inheritable: CapabilitySet::empty() };
    set_capabilities(None, sets).unwrap();
}

/// Records while `work` goes on; `enough` is asked of all rows before it ends.
fn record(
    power: Power,
    work: impl FnOnce() + Send,
    enough: impl Fn(&[Row], &[Gap]) -> bool + Sync,
) -> (Vec<Row>, Vec<Gap>) {
    let view = HostView::live().unwrap();
    let events = SocketEvents::open(&view).unwrap();
    let registry = Registry::samplers_only(&view).event_source(events);
    let memory = Memory::default();
    let mut recorder = Recorder::new(view, registry, settings(50_000, 600_000_000), memory.clone()).unwrap();
    let stop = Stop::new().unwrap();
    std::thread::scope(|scope| {
        scope.spawn(|| {
            work();
            let begun = Instant::now();
            loop {
                let (rows, gaps) = told(&memory);
                if enough(&rows, &gaps) || begun.elapsed() > Duration::from_secs(60) {
                    break;
                }
                std::thread::sleep(Duration::from_millis(200));
            }
            stop.stop();
        });
        if power == Power::Kept {
            give_up();
        }
        recorder.run(&stop, Some(Duration::from_secs(150))).unwrap();
    });
    told(&memory)
}

fn told(memory: &Memory) -> (Vec<Row>, Vec<Gap>) {
    let (mut rows, mut gaps) = (Vec::new(), Vec::new());
    for bundle in memory.bundles() {
        let mut tracker = Tracker::new(RunId([1; 16]), bundle.opening.zone);
        bundle.records.iter().for_each(|record| tracker.apply(record.clone()).unwrap());
        rows.extend(tracker.finish().rows);
        gaps.extend(bundle.records.into_iter().filter_map(|record| match record {
            Record::Gap(gap) => Some(gap),
            _ => None,
        }));
    }
    (rows, gaps)
}

/// The rows of endpoints with this port of ours in a namespace: there may be others with the same on this machine.
fn of_port(rows: &[Row], netns: u32, port: u16) -> Vec<(&Row, &Endpoint)> {
    let endpoints = rows.iter().filter_map(|row| match &row.fact {
        Fact::Endpoint(endpoint) => Some((row, &**endpoint)),
        _ => None,
    });
    endpoints.filter(|(_, e)| e.key.local.port() == port && e.key.netns == Some(netns)).collect()
}

fn inode(path: &str) -> u32 {
    use std::os::unix::fs::MetadataExt as _;
    u32::try_from(std::fs::metadata(path).unwrap().ino()).unwrap()
}

#[test]
fn a_namespace_is_found_by_its_name_by_a_thread_and_by_a_socket_alone() {
    let Some(named) = Named::make(&["a", "b", "c"]) else { return };
    let paths: Vec<String> = named.0.iter().map(|name| format!("/run/netns/{name}")).collect();
    // A: a name, and a socket of a process that lives elsewhere. B: a thread. C: the socket is all that there is.
    let mut program = Program::start(
        "own = '/proc/self/ns/net'\n\
        home = os.open(own, os.O_RDONLY)\n\
        def back():\n    assert libc.setns(home, 0x40000000) == 0\n\
        enter(sys.argv[1]); a = socket.create_server(('0.0.0.0', 45874)); back()\n\
        enter(sys.argv[3]); c = socket.create_server(('0.0.0.0', 45876)); back()\n\
        ready = threading.Event()\n\
        def work():\n    enter(sys.argv[2]); b = socket.create_server(('0.0.0.0', 45875)); ready.set()\n    time.sleep(600)\n\
        threading.Thread(target=work, daemon=True).start(); ready.wait()\n\
        print('up', flush=True); sys.stdin.readline()",
        &paths.iter().map(String::as_str).collect::<Vec<_>>(),
    );
    let inodes: Vec<u32> = paths.iter().map(|path| inode(path)).collect();
    ip(&["netns", "del", &named.0[2]]);
    let pid = program.0.id();
    let is_held = |rows: &[Row], port: u16| {
        of_port(rows, inodes[usize::from(port - 45_874)], port)
            .iter()
            .any(|(_, e)| e.key.holder.is_some_and(|holder| holder.pid().0 == pid))
    };
    let all = |rows: &[Row], _: &[Gap]| (45_874..=45_876).all(|port| is_held(rows, port));
    let (rows, gaps) = record(Power::All, || {}, all);
    for (port, inode) in (45_874..).zip(&inodes) {
        let found = of_port(&rows, *inode, port);
        assert!(is_held(&rows, port), "port {port}: {found:#?}\n{gaps:#?}");
        assert!(found.iter().all(|(_, e)| e.key.state == TcpState::Listen));
    }
    program.go_on();
}

#[test]
fn ends_in_other_namespaces_are_exact_and_what_is_short_is_not_missed() {
    ends(Power::All, "d");
}

#[test]
fn ends_are_heard_with_the_power_that_a_service_keeps() {
    ends(Power::Kept, "e");
}

fn ends(power: Power, name: &str) {
    const CONNECTIONS: usize = 50;
    const HELD: usize = 20;
    let Some(named) = Named::make(&[name]) else { return };
    let path = format!("/run/netns/{}", named.0[0]);
    let mut program = Program::start(
        &format!(
            "enter(sys.argv[1]); l = socket.create_server(('127.0.0.1', 45880))\n\
            held = [socket.create_server(('127.0.0.1', 45881 + i)) for i in range({HELD})]\n\
            print('up', flush=True); sys.stdin.readline()\n\
            for i in range({CONNECTIONS}):\n\
            \x20   c = socket.create_connection(('127.0.0.1', 45880)); s, _ = l.accept(); c.close(); s.close()\n\
            for one in held:\n\
            \x20   one.close(); time.sleep(0.1)\n\
            print('over', flush=True); sys.stdin.readline()"
        ),
        &[&path],
    );
    let netns = inode(&path);
    fn is_end(row: &Row) -> bool {
        row.life.ended.is_some()
    }
    let connections = |rows: &[Row]| {
        of_port(rows, netns, 45_880).iter().filter(|(row, e)| e.key.remote.port() != 0 && is_end(row)).count()
    };
    let held = |rows: &[Row], is: fn(&Row) -> bool| {
        // It may have been seen before its holder was, too.
        let one =
            |port| of_port(rows, netns, port).iter().any(|(row, _)| row.life.first_seen.is_some() && is(row));
        (45_881..45_881 + HELD as u16).filter(|port| one(*port)).count()
    };
    let is_gone = |row: &Row| row.life.ended.is_some() || row.life.gone_by.is_some();
    let work = || {
        // Once it is known that there is such a namespace.
        std::thread::sleep(Duration::from_secs(3));
        program.go_on();
        program.wait_for("over");
    };
    let (rows, gaps) =
        record(power, work, |rows, _| connections(rows) >= CONNECTIONS && held(rows, is_gone) == HELD);
    assert!(connections(&rows) >= CONNECTIONS, "{} ends\n{gaps:#?}", connections(&rows));
    // The kernel tells of an end from a work queue: a reading may have found the socket gone by then.
    let exact = held(&rows, is_end);
    assert!(
        exact > HELD / 4 && held(&rows, is_gone) == HELD,
        "{exact} of {HELD} ends belong to what samples show"
    );
    program.go_on();
}

#[test]
fn what_cannot_be_entered_and_has_nobody_in_it_is_said_to_be_unreadable() {
    let Some(named) = Named::make(&["f", "g"]) else { return };
    let paths: Vec<String> = named.0.iter().map(|name| format!("/run/netns/{name}")).collect();
    // In the first there is a thread; in the second there is only a socket.
    let _program = Program::start(
        "home = os.open('/proc/self/ns/net', os.O_RDONLY)\n\
        enter(sys.argv[2]); g = socket.create_server(('0.0.0.0', 45911)); assert libc.setns(home, 0x40000000) == 0\n\
        ready = threading.Event()\n\
        def work():\n    enter(sys.argv[1]); f = socket.create_server(('0.0.0.0', 45910)); ready.set()\n    time.sleep(600)\n\
        threading.Thread(target=work, daemon=True).start(); ready.wait()\n\
        print('up', flush=True); sys.stdin.readline()",
        &paths.iter().map(String::as_str).collect::<Vec<_>>(),
    );
    let (thread, nobody) = (inode(&paths[0]), inode(&paths[1]));
    let says = |gaps: &[Gap], of: u32| {
        gaps.iter().any(|gap| gap.reason.starts_with("unreadable:") && gap.reason.contains(&of.to_string()))
    };
    let enough = |rows: &[Row], gaps: &[Gap]| says(gaps, nobody) && !of_port(rows, thread, 45_910).is_empty();
    let (rows, gaps) = record(Power::Kept, || {}, enough);
    assert!(says(&gaps, nobody), "{gaps:#?}");
    assert!(!says(&gaps, thread), "{gaps:#?}");
    let found = of_port(&rows, thread, 45_910);
    assert!(found.iter().any(|(_, e)| e.key.holder.is_some()), "{found:#?}");
    assert!(of_port(&rows, nobody, 45_911).is_empty());
}

#[test]
fn a_link_local_address_has_its_interface_in_samples_and_in_ends() {
    let Some(named) = Named::make(&["h"]) else { return };
    let name = &named.0[0];
    let made = ["v0", "v1"].iter().all(|link| {
        let peer = format!("{link}p");
        ip(&["-n", name, "link", "add", link, "type", "veth", "peer", "name", &peer])
            && ip(&["-n", name, "-6", "addr", "add", "fe80::1/64", "dev", link, "nodad"])
            && ip(&["-n", name, "link", "set", link, "up"])
            && ip(&["-n", name, "link", "set", &peer, "up"])
    });
    if !made {
        eprintln!("NOT TRIED: no link of two ends can be made");
        return;
    }
    // Both have the same address; what is bound to it stays, and what is bound to the next port passes.
    let mut program = Program::start(
        "enter(sys.argv[1])\n\
        def bind(link, port):\n\
        \x20   s = socket.socket(socket.AF_INET6, socket.SOCK_DGRAM)\n\
        \x20   s.bind(('fe80::1', port, 0, socket.if_nametoindex(link))); return s\n\
        held = [bind(link, 45920) for link in ('v0', 'v1')]\n\
        print('up', flush=True); sys.stdin.readline()\n\
        [bind(link, 45921).close() for link in ('v0', 'v1')]\n\
        print(' '.join(str(socket.if_nametoindex(link)) for link in ('v0', 'v1')), flush=True); sys.stdin.readline()",
        &[&format!("/run/netns/{name}")],
    );
    let netns = inode(&format!("/run/netns/{name}"));
    let scopes = |rows: &[Row], port: u16| {
        let all = of_port(rows, netns, port);
        let scopes = all.iter().map(|(_, e)| match e.key.local {
            std::net::SocketAddr::V6(address) => address.scope_id(),
            std::net::SocketAddr::V4(_) => 0,
        });
        scopes.collect::<std::collections::BTreeSet<u32>>()
    };
    let mut said = String::new();
    let work = || {
        std::thread::sleep(Duration::from_secs(3));
        program.go_on();
        program.1.read_line(&mut said).unwrap();
    };
    let enough = |rows: &[Row], _: &[Gap]| scopes(rows, 45_920).len() >= 2 && scopes(rows, 45_921).len() >= 2;
    let (rows, gaps) = record(Power::All, work, enough);
    let links: std::collections::BTreeSet<u32> =
        said.split_whitespace().map(|n| n.parse().unwrap()).collect();
    assert_eq!(links.len(), 2, "{said}");
    assert_eq!(scopes(&rows, 45_920), links, "{gaps:#?}");
    assert_eq!(scopes(&rows, 45_921), links, "{gaps:#?}");
}
