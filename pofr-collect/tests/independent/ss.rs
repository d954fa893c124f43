//! Endpoints, against ss(8).

use crate::{
    output, sample,
    workload::{Workload, start, start_holder},
};
use pofr_core::fact::{Endpoint, Fact, SocketId, Transport};
use std::{
    collections::BTreeSet,
    net::{Ipv6Addr, SocketAddr, TcpListener, TcpStream},
    process::Command,
};

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
            Fact::Endpoint(endpoint) if endpoint.key.holder.is_some_and(|h| h.pid().0 == pid) => {
                let Endpoint { key, details } = &**endpoint;
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
        if let Fact::Endpoint(endpoint) = fact
            && let key = &endpoint.key
            && key.netns == Some(inode)
        {
            assert_eq!(key.holder.map(|h| h.pid().0), Some(pid), "{key:?}");
            assert!(matches!(key.socket, SocketId::Cookie(_)), "root enters the namespace: {key:?}");
            let inode = endpoint.details.inode.unwrap();
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
