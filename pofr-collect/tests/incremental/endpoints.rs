//! Sockets: what was told again of them comes to what a fresh reading shows, holders included.

use super::{Machine, puppet::perl};
use pofr_collect::samplers::{Context, EndpointSampler, ProcessSampler};
use pofr_core::{Collector as _, collector::Observation, fact::Fact};
use std::{
    collections::BTreeSet,
    net::{TcpListener, TcpStream, UdpSocket},
};

/// Writes the endpoints of some ports as text.
fn texts(facts: &[Fact], ports: &BTreeSet<u16>) -> Vec<String> {
    let mut texts: Vec<String> = facts
        .iter()
        .filter_map(|fact| match fact {
            Fact::Endpoint(e) if ports.contains(&e.key.local.port()) => Some(format!("{:?}", e.key)),
            _ => None,
        })
        .collect();
    texts.sort();
    texts
}

impl Machine {
    /// Samples and checks the endpoints of some ports against a fresh reading; returns how many there are.
    fn check_ports(&mut self, ports: &BTreeSet<u16>) -> usize {
        let mut tries = 0;
        loop {
            self.tick();
            let context = Context::new(self.view.clone());
            let mut seen = Observation::default();
            ProcessSampler::full_scan(&context).sample(&mut Observation::default()).unwrap();
            EndpointSampler::new(&context).sample(&mut seen).unwrap();
            let (told, truth) = (texts(&self.endpoints.facts(), ports), texts(&seen.facts, ports));
            // TCP changes its states by itself, when it acknowledges for one, between the two readings too; but not for long.
            if told == truth || tries == 10 {
                assert_eq!(told, truth);
                return truth.len();
            }
            tries += 1;
            std::thread::sleep(std::time::Duration::from_millis(50));
        }
    }
}

#[test]
fn sockets_that_come_change_and_go_are_followed() {
    let Some(mut machine) = Machine::new() else { return };
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    let mut ports = BTreeSet::from([address.port()]);
    assert_eq!(machine.check_ports(&ports), 1);
    let client = TcpStream::connect(address).unwrap();
    ports.insert(client.local_addr().unwrap().port());
    assert_eq!(machine.check_ports(&ports), 3);
    let served = listener.accept().unwrap().0;
    assert_eq!(machine.check_ports(&ports), 3);
    // Another state at both ends; the process that reads is not asked.
    client.shutdown(std::net::Shutdown::Write).unwrap();
    assert_eq!(machine.check_ports(&ports), 3);
    let udp = UdpSocket::bind("127.0.0.1:0").unwrap();
    ports.insert(udp.local_addr().unwrap().port());
    assert_eq!(machine.check_ports(&ports), 4);
    drop(udp);
    assert_eq!(machine.check_ports(&ports), 3);
    drop(served);
    drop(client);
    machine.check_ports(&ports);
    drop(listener);
    machine.check_ports(&ports);
}

#[test]
fn holders_are_followed_though_the_socket_stays_as_it_is() {
    let Some(mut machine) = Machine::new() else { return };
    let script = r#"use IO::Socket::INET; my $s = IO::Socket::INET->new(Listen => 5, LocalAddr => "127.0.0.1");
        print $s->sockport, "\n";
        my $child;
        while (<STDIN>) {
            if (/fork/) { $child = fork; if (!$child) { sleep 100; exit } }
            if (/end/) { kill 9, $child; waitpid $child, 0 }
            print "done\n";
        }
        kill 9, $child if $child;"#;
    let (mut puppet, port) = perl(script, &[]);
    let ports = BTreeSet::from([port.parse().unwrap()]);
    assert_eq!(machine.check_ports(&ports), 1);
    puppet.tell("fork");
    assert_eq!(machine.check_ports(&ports), 2);
    puppet.tell("end");
    assert_eq!(machine.check_ports(&ports), 1);
    puppet.kill();
    assert_eq!(machine.check_ports(&ports), 0);
}

#[test]
fn a_namespace_is_read_when_its_processes_ran_and_once_a_second() {
    let Some(mut machine) = Machine::new() else { return };
    let can =
        std::process::Command::new("unshare").args(["--net", "true"]).status().is_ok_and(|s| s.success());
    if !can {
        assert!(!rustix::process::geteuid().is_root(), "root may make a network namespace");
        eprintln!("not run: a network namespace is not to be had here");
        return;
    }
    // Bound to no address, since the loopback of a new namespace is down.
    let script = r#"use IO::Socket::INET; $| = 1; my @s; print "ready\n";
        while (<STDIN>) {
            if (/more/) { push @s, IO::Socket::INET->new(Listen => 5, LocalPort => 40000 + @s) or die }
            if (/less/) { pop @s }
            print "done\n";
        }"#;
    let (mut puppet, _) = super::puppet::Puppet::start("unshare", &["--net", "perl", "-e", script]);
    machine.tick();
    assert_eq!(count(&machine, puppet.pid()), 0);
    for (word, expected) in [("more", 1), ("more", 2), ("less", 1), ("more", 2)] {
        puppet.tell(word);
        machine.tick();
        assert_eq!(count(&machine, puppet.pid()), expected);
    }
    let netns = machine.process(puppet.pid()).unwrap().key.namespaces.known().unwrap().net;
    puppet.kill();
    machine.tick();
    let of = |fact: &Fact| matches!(fact, Fact::Endpoint(e) if e.key.netns == Some(netns));
    assert!(!machine.endpoints.facts().iter().any(of));
}

/// Counts the endpoints in the network namespace of a process.
fn count(machine: &Machine, pid: u32) -> usize {
    let netns = machine.process(pid).unwrap().key.namespaces.known().unwrap().net;
    let of = |fact: &&Fact| matches!(fact, Fact::Endpoint(e) if e.key.netns == Some(netns));
    machine.endpoints.facts().iter().filter(of).count()
}
