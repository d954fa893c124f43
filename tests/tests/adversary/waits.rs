//! What does not answer: filesystems that fall silent, and the locks and pages of who uses them.

use crate::{
    record::Record,
    recording::{Recording, rest},
    scene::Scene,
};
use std::{collections::BTreeMap, process::Command};

/// What is done in a filesystem before it falls silent.
const DOINGS: [&str; 5] = ["deleted", "program", "cwd", "arguments", "lock"];

/// Lets a filesystem fall silent in each way at once; returns who plays in each.
fn fall_silent(recording: &mut Recording, root: bool) -> BTreeMap<&'static str, u32> {
    let device = recording.scene.path("fuse");
    // On many systems everybody may open it; here it need not be so.
    let made = Command::new("mknod").arg("-m666").arg(&device).args(["c", "10", "229"]).status().unwrap();
    assert!(made.success());
    let mut players = BTreeMap::new();
    for doing in DOINGS {
        let mount = recording.scene.lair(&format!("silent-{doing}"));
        std::fs::create_dir(&mount).unwrap();
        let (device, mount) = (device.to_str().unwrap().to_owned(), mount.to_str().unwrap().to_owned());
        let words = [&device, &mount, doing, "/bin/sleep"];
        let server = if root {
            let source = crate::scene::source("silentfs.py");
            recording.arrange(Command::new(crate::recording::python()).arg(source).args(words), "silent ")
        } else {
            recording.script("silentfs", &words, "silent ")
        };
        let said = recording.said(server);
        players.insert(doing, said.trim().rsplit(' ').next().unwrap().parse().unwrap());
    }
    players
}

/// Nothing waits for them, and what is not known of them is unreadable, not none.
fn told_truly(record: &mut Record, players: &BTreeMap<&str, u32>) {
    for (doing, pid) in players {
        record.must(!record.processes(*pid).is_empty(), format!("{doing}: process {pid} is missing"));
    }
    for doing in ["arguments", "lock"] {
        let pid = players[doing];
        let told = record.marked(pid, "unreadable").is_some() || record.gap_names("unreadable:", pid);
        record.must(told, format!("{doing}: nothing says that process {pid} cannot be read"));
    }
    let deleted = players["deleted"];
    let file = record.files().any(|file| {
        file.key.entity.pid().0 == deleted && file.key.deleted && file.key.path.as_bytes().ends_with(b"/f")
    });
    let told = file || record.marked(deleted, "unreadable").is_some();
    record.must(told, "the deleted file of the silent filesystem is neither there nor unreadable");
}

fn silent(root: bool) {
    let Some(scene) = Scene::new() else { return };
    let mut recording = Recording::begin(scene);
    let mounts = DOINGS.map(|doing| recording.scene.lair(&format!("silent-{doing}")));
    let players = fall_silent(&mut recording, root);
    rest(5.0);
    let mut record = recording.end();
    for mount in mounts.iter().filter(|_| root) {
        let _ = Command::new("umount").arg("-l").arg(mount).status();
    }
    told_truly(&mut record, &players);
    record.judge();
}

#[test]
fn a_filesystem_of_a_users_own_falls_silent() {
    silent(false);
}

#[test]
fn a_filesystem_for_everybody_falls_silent() {
    silent(true);
}
