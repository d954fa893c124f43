//! Networks that no process's first thread is in, that are many, and that live for a moment.

use crate::{
    recording::{Recording, rest},
    scene::Scene,
};
use std::{path::Path, process::Command};

/// A network namespace with a name, which ends with this.
struct Network(String);

impl Network {
    /// Makes one with its loopback up; only root may.
    fn new(name: &str) -> Self {
        let network = Self(format!("pofr-{name}-{}", std::process::id()));
        network.ip(&["netns", "add", &network.0]);
        network.ip(&["-n", &network.0, "link", "set", "lo", "up"]);
        network
    }

    fn ip(&self, words: &[&str]) {
        assert!(Command::new("ip").args(words).status().unwrap().success(), "ip {words:?}");
    }

    fn path(&self) -> String {
        format!("/run/netns/{}", self.0)
    }
}

impl Drop for Network {
    fn drop(&mut self) {
        let _ = Command::new("ip").args(["netns", "del", &self.0]).status();
    }
}

#[test]
fn sockets_in_networks_that_no_process_is_in() {
    let Some(scene) = Scene::new() else { return };
    let networks = ["bound", "thread", "hidden"].map(Network::new);
    let mut recording = Recording::begin(scene);
    let source = crate::scene::source("elsewhere.py");
    let mut python = Command::new(crate::recording::python());
    python.arg(source).args(networks.iter().map(Network::path));
    let pid = recording.arrange(&mut python, "all there");
    // This one has no name any more: only the socket keeps it.
    let hidden = networks.into_iter().nth(2).map(|network| {
        let path = network.path();
        drop(network);
        path
    });
    rest(4.0);
    let mut record = recording.end();
    for (port, what) in
        [(45874, "a bound network"), (45875, "a bound network (UDP)"), (45876, "a thread's network")]
    {
        let holders: Vec<_> = record.endpoints().filter(|(e, _)| e.key.local.port() == port).collect();
        let mine = holders.iter().any(|(e, _)| e.key.holder.is_some_and(|h| h.pid().0 == pid));
        let gap = record.gaps().iter().any(|gap| gap.reason.contains("namespace"));
        record.must(
            mine || gap,
            format!("{what}: the socket at {port} of process {pid} is neither told nor missed"),
        );
    }
    let there = record.endpoints().any(|(e, _)| e.key.local.port() == 45877)
        || record.gaps().iter().any(|gap| gap.reason.contains("namespace"));
    record.must(there, format!("nothing is told of {hidden:?}, which only a socket keeps"));
    record.expect_gaps("network namespace");
    record.judge();
}

#[test]
fn thirty_busy_networks_and_short_connections_in_them() {
    let Some(scene) = Scene::new() else { return };
    let mut recording = Recording::begin(scene);
    let busy: Vec<u32> = (0..30).map(|_| recording.script("busy_network", &["12", "20"], "busy")).collect();
    let brief = recording.script("busy_network", &["2", "0"], "busy");
    rest(5.0);
    let made = recording.said(brief);
    let mut record = recording.end();
    for pid in busy {
        record.must(!record.processes(pid).is_empty(), format!("process {pid} is missing"));
    }
    // How many short connections were made, by what the attacker says last: made N.
    let made: usize = made.lines().rev().find_map(|l| l.strip_prefix("made ")?.parse().ok()).unwrap_or(0);
    record.must(made > 20, format!("{made} short connections were made only"));
    // The listener of the second kind is at 45888 in its network.
    let ended =
        record.endpoints().filter(|(e, row)| e.key.remote.port() == 45888 && row.life.ended.is_some());
    let ended = ended.count();
    let gap = record.gaps().iter().any(|gap| gap.reason.contains("namespace"));
    record.must(
        ended * 2 >= made || gap,
        format!("of {made} short connections in another network {ended} have an end, and no gap says why"),
    );
    record.expect_gaps("network namespace");
    record.judge();
}

#[test]
fn a_network_for_a_moment_again_and_again() {
    let Some(scene) = Scene::new() else { return };
    let mut recording = Recording::begin(scene);
    let unshare = Path::new("sh");
    let forever = "while :; do unshare --user --net true; done";
    recording.run(unshare, &["-c", forever]);
    rest(6.0);
    let mut record = recording.end();
    record.expect_gaps("network namespace");
    record.judge();
}
