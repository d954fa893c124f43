//! Rooms that are full, squatted or in disorder: the spool's, the state's.

use crate::{
    recording::{Recording, rest},
    scene::{ATTACKER, Scene},
};
use pofr_tests::tmpfs::Tmpfs;
use std::{
    fs,
    os::unix::fs::{PermissionsExt as _, chown},
    path::Path,
    process::Command,
};

/// A small filesystem that everybody may write to, as /dev/shm is.
fn room_for_all(kib: u64) -> Option<Tmpfs> {
    let room = Tmpfs::mount(kib)?;
    fs::set_permissions(room.path(), fs::Permissions::from_mode(0o1777)).unwrap();
    Some(room)
}

/// Lets the attacker take all that is left in a filesystem, and give it back after some seconds.
fn fill(recording: &mut Recording, room: &Path, seconds: &str) {
    let file = room.join("filler");
    recording.attack("fill", &[file.to_str().unwrap(), seconds], "full");
}

#[test]
fn the_spools_filesystem_is_full() {
    let Some(scene) = Scene::new() else { return };
    let Some(room) = room_for_all(32 << 10) else { return };
    let mut recording = Recording::begin(scene.spool_in(room.path().join("pofr")));
    rest(2.5);
    fill(&mut recording, room.path(), "5");
    rest(9.0);
    let mut record = recording.end();
    record.expect_gaps("no room:");
    record.judge();
}

/// Records while a filesystem is full, to the end and beyond.
fn records_without_room(scene: Scene, room: &Path) {
    let mut recording = Recording::begin(scene);
    rest(2.5);
    fill(&mut recording, room, "50");
    recording.without_room_to_the_last();
    rest(6.0);
    let mut record = recording.end();
    record.expect_gaps("no room:");
    record.judge();
}

#[test]
fn the_spools_filesystem_stays_full() {
    let Some(scene) = Scene::new() else { return };
    let Some(room) = room_for_all(32 << 10) else { return };
    records_without_room(scene.spool_in(room.path().join("pofr")), room.path());
}

#[test]
fn the_states_filesystem_is_full() {
    let Some(scene) = Scene::new() else { return };
    let Some(room) = room_for_all(4 << 10) else { return };
    records_without_room(scene.state_in(room.path().join("state")), room.path());
}

#[test]
fn a_spool_that_somebody_else_has_made() {
    let Some(scene) = Scene::new() else { return };
    let Some(room) = room_for_all(32 << 10) else { return };
    let spool = room.path().join("pofr");
    fs::create_dir(&spool).unwrap();
    fs::set_permissions(&spool, fs::Permissions::from_mode(0o777)).unwrap();
    fs::write(spool.join("mine"), "x").unwrap();
    for path in [&spool, &spool.join("mine")] {
        chown(path, Some(ATTACKER), Some(ATTACKER)).unwrap();
    }
    let recording = Recording::begin(scene.spool_in(&spool));
    rest(3.0);
    let mut record = recording.end();
    let entries: Vec<_> = fs::read_dir(&spool).unwrap().map(|e| e.unwrap().file_name()).collect();
    record.must(entries == ["mine"], format!("what the squatter has now: {entries:?}"));
    record.judge();
}

#[test]
fn a_spool_that_is_a_link_of_somebody_elses() {
    let Some(scene) = Scene::new() else { return };
    let Some(room) = room_for_all(32 << 10) else { return };
    let (spool, there) = (room.path().join("pofr"), room.path().join("there"));
    fs::create_dir(&there).unwrap();
    chown(&there, Some(ATTACKER), Some(ATTACKER)).unwrap();
    std::os::unix::fs::symlink(&there, &spool).unwrap();
    std::os::unix::fs::lchown(&spool, Some(ATTACKER), Some(ATTACKER)).unwrap();
    let recording = Recording::begin(scene.spool_in(&spool));
    rest(3.0);
    let mut record = recording.end();
    let followed = fs::read_dir(&there).unwrap().count();
    record.must(followed == 0, "it follows the link of an ordinary user");
    record.judge();
}

/// Records for a second and kills the recorder: its open bundle stays as it is.
fn killed(scene: &Scene) {
    let mut recorder = crate::company::Companion::start(scene, "pofrc-killed", &mut scene.start());
    recorder.until_it_says("recording: process");
    rest(1.5);
    recorder.kill();
}

/// All files below a directory.
fn files(dir: &Path) -> Vec<std::path::PathBuf> {
    let find = Command::new("find").arg(dir).args(["-type", "f", "-print0"]).output().unwrap();
    let names = find.stdout.split(|byte| *byte == 0).filter(|name| !name.is_empty());
    names.map(|name| std::ffi::OsStr::new(std::str::from_utf8(name).unwrap()).into()).collect()
}

#[test]
fn an_open_bundle_is_damaged() {
    let Some(scene) = Scene::new() else { return };
    killed(&scene);
    let open = files(&scene.spool.join(".open"));
    assert!(!open.is_empty(), "a killed recorder leaves an open bundle");
    for file in open {
        let mut bytes = fs::read(&file).unwrap();
        let middle = bytes.len() / 2;
        bytes.iter_mut().skip(middle).step_by(3).for_each(|byte| *byte ^= 0x5a);
        fs::write(&file, bytes).unwrap();
    }
    let recording = Recording::begin(scene);
    rest(2.0);
    recording.end().judge();
}

#[test]
fn every_file_of_the_state_is_damaged() {
    let Some(scene) = Scene::new() else { return };
    for damage in ["", "{", "\0\0\0\0\0\0\0\0", "[1,2]", "{\"version\":99999999999999999999}"] {
        killed(&scene);
        for file in files(&scene.state) {
            fs::write(file, damage).unwrap();
        }
        let mut next = crate::company::Companion::start(&scene, "pofrc-next", &mut scene.start());
        next.until_it_says("recording: process");
        next.end();
        assert!(next.said().contains("ended:"), "with {damage:?}: {}", next.said());
    }
    let recording = Recording::begin(scene);
    rest(2.0);
    recording.end().judge();
}
