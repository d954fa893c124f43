//! Lists of TCP sockets that stand: as long as the kernel counts nothing, and never for longer than a second.

use super::{Machine, alone::alone};
use pofr_core::fact::{Fact, TcpState};
use rustix::net::{
    AddressFamily, Shutdown, SocketType, bind, getsockname, ipproto, listen, shutdown, socket,
};
use std::{
    net::{Ipv4Addr, SocketAddr, SocketAddrV4, TcpStream},
    os::fd::OwnedFd,
};

/// Returns the endpoints that are believed to be at a port: other namespaces have other ones, or may have the same by chance.
fn states(machine: &Machine, port: u16) -> Vec<TcpState> {
    let netns = machine.process(std::process::id()).unwrap().key.namespaces.known().unwrap().net;
    let facts = machine.endpoints.facts();
    let mut states: Vec<TcpState> = facts
        .iter()
        .filter_map(|fact| match fact {
            Fact::Endpoint(endpoint) => Some(&endpoint.key),
            _ => None,
        })
        .filter(|key| key.netns == Some(netns))
        .filter(|key| [key.local.port(), key.remote.port()].contains(&port))
        .map(|key| key.state)
        .collect();
    states.sort_unstable();
    states
}

/// Samples until nothing that was done before is news.
fn settle(machine: &mut Machine) {
    for _ in 0..3 {
        machine.tick();
    }
}

/// Makes a socket that is bound and does nothing yet.
fn bound() -> (OwnedFd, u16) {
    let socket = socket(AddressFamily::INET, SocketType::STREAM, Some(ipproto::TCP)).unwrap();
    bind(&socket, &SocketAddrV4::new(Ipv4Addr::LOCALHOST, 0)).unwrap();
    let address = SocketAddr::try_from(getsockname(&socket).unwrap()).unwrap();
    (socket, address.port())
}

#[test]
fn whatever_the_kernel_counts_is_seen_at_once() {
    if !alone("still::whatever_the_kernel_counts_is_seen_at_once") {
        return;
    }
    let Some(mut machine) = Machine::new() else { return };
    let (socket, port) = bound();
    settle(&mut machine);
    // The descriptor is an old one: only that it listens is new.
    listen(&socket, 5).unwrap();
    machine.tick();
    assert_eq!(states(&machine, port), [TcpState::Listen]);
    let client = TcpStream::connect((Ipv4Addr::LOCALHOST, port)).unwrap();
    machine.tick();
    // Two ends, though nobody has accepted the one.
    assert_eq!(states(&machine, port), [TcpState::Established, TcpState::Established, TcpState::Listen]);
    settle(&mut machine);
    client.shutdown(std::net::Shutdown::Write).unwrap();
    machine.tick();
    assert!(states(&machine, port).contains(&TcpState::CloseWait));
    settle(&mut machine);
    shutdown(&socket, Shutdown::Both).unwrap();
    machine.tick();
    assert!(!states(&machine, port).contains(&TcpState::Listen));
    let late = machine.endpoints.gaps.iter().filter(|gap| gap.reason.starts_with("TCP sockets"));
    assert_eq!(late.count(), 0);
}

#[test]
fn what_it_does_not_count_is_seen_within_a_second_and_said_to_be_late() {
    if !alone("still::what_it_does_not_count_is_seen_within_a_second_and_said_to_be_late") {
        return;
    }
    let Some(mut machine) = Machine::new() else { return };
    // Processes elsewhere on the machine that get and lose sockets have the list asked for sooner.
    let stood = (0..50).any(|_| {
        let ((one, first), (other, second)) = (bound(), bound());
        listen(&one, 5).unwrap();
        settle(&mut machine);
        let both =
            |machine: &Machine| [first, second].map(|port| states(machine, port).contains(&TcpState::Listen));
        assert_eq!(both(&machine), [true, false]);
        // One ceases to listen, the other begins to, and both stay open: the kernel counts as many as before.
        shutdown(&one, Shutdown::Both).unwrap();
        listen(&other, 5).unwrap();
        machine.tick();
        let stood = both(&machine) == [true, false];
        (machine.endpoints.late, machine.endpoints.gaps) = Default::default();
        machine.skip(2);
        machine.tick();
        assert_eq!(both(&machine), [false, true]);
        let gaps = machine.endpoints.gaps.iter().filter(|gap| gap.reason.starts_with("TCP sockets"));
        stood && gaps.count() == 1 && machine.endpoints.late.values().any(Option::is_some)
    });
    assert!(stood, "this test shows nothing if the list never stands");
}
