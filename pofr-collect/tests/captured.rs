//! A captured tree's interfaces, routes and modules, and one that has none of them.

#![expect(clippy::unwrap_used, reason = "what a test cannot go on without ends it")]

use pofr_collect::{
    HostView,
    samplers::{Context, DeviceSampler, InterfaceSampler, ModuleSampler, RouteSampler},
};
use pofr_core::{Collector, collector::Observation, fact::Fact};
use std::{fs, path::Path};

fn tree(files: &[(&str, &str)]) -> tempfile::TempDir {
    let dir = tempfile::tempdir().unwrap();
    let boot = ("proc/sys/kernel/random/boot_id", "cb7fb6df-ff37-45d6-88e0-73badcb21c38\n");
    for (path, text) in [boot].iter().chain(files) {
        let path = dir.path().join(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
    }
    dir
}

/// What the four samplers see, as text.
fn seen(root: &Path) -> Vec<String> {
    let context = Context::new(HostView::of_tree(root).unwrap());
    let samplers: [Box<dyn Collector>; 4] = [
        Box::new(InterfaceSampler::new(&context)),
        Box::new(RouteSampler::new(&context)),
        Box::new(DeviceSampler::new(&context)),
        Box::new(ModuleSampler::new(&context)),
    ];
    let mut out = Observation::default();
    for mut sampler in samplers {
        sampler.sample(&mut out).unwrap();
    }
    let line = |fact: &Fact| match fact {
        Fact::Interface(i) => format!("{} {} {:?}/{} {}", i.name, i.mac, i.address, i.prefix, i.up),
        Fact::Route(r) => {
            format!("{}/{} {:?} {} {}", r.destination, r.prefix, r.gateway, r.interface, r.metric)
        }
        Fact::Module(m) => format!("{} {}", m.name, m.size),
        other => format!("{other:?}"),
    };
    let mut lines: Vec<String> = out.facts.iter().map(line).collect();
    lines.sort();
    lines
}

#[test]
fn a_captured_tree_tells_what_the_machine_had() {
    let zero = "0".repeat(32);
    let six_route = format!(
        "{zero} 00 {zero} 00 fd000000000000000000000000000001 00000400 00000001 00000000 00000003     eth0\n"
    );
    let tree = tree(&[
        ("sys/class/net/bonding_masters", "bond0\n"),
        ("sys/class/net/eth0/flags", "0x1003\n"),
        ("sys/class/net/eth0/address", "02:fc:00:00:00:01\n"),
        ("sys/class/net/lo/flags", "0x9\n"),
        ("sys/class/net/lo/address", "00:00:00:00:00:00\n"),
        ("sys/class/net/wlan0/flags", "0x1002\n"),
        ("proc/net/if_inet6", "fd000000000000000000000000000002 02 40 00 80     eth0\n"),
        (
            "proc/net/fib_trie",
            "Local:\n     |-- 127.0.0.1\n        /32 host LOCAL\n     |-- 192.0.2.2\n        /32 host LOCAL\n",
        ),
        (
            "proc/net/route",
            "Iface\tDestination\tGateway\neth0\t00000000\t010200C0\t0003\t0\t0\t100\t00000000\t0\t0\t0\n\
             eth0\t000200C0\t00000000\t0001\t0\t0\t0\t00FFFFFF\t0\t0\t0\n",
        ),
        ("proc/net/ipv6_route", &six_route),
        ("proc/modules", "ext4 1130496 1 - Live 0x0000000000000000\n"),
    ]);
    assert_eq!(
        seen(tree.path()),
        [
            "0.0.0.0/0 Some(192.0.2.1) eth0 100",
            "192.0.2.0/24 None eth0 0",
            "::/0 Some(fd00::1) eth0 1024",
            "eth0 02:fc:00:00:00:01 Some(192.0.2.2)/24 true",
            "eth0 02:fc:00:00:00:01 Some(fd00::2)/64 true",
            "ext4 1130496",
            "lo 00:00:00:00:00:00 Some(127.0.0.1)/8 true",
            "wlan0  None/0 false",
        ]
    );
}

#[test]
fn what_is_not_there_is_no_error() {
    assert_eq!(seen(tree(&[]).path()), [""; 0]);
}
