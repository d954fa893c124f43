//! Floods: of names, of programs, of arguments. Who floods gets less of a record, nobody else does.

use crate::{
    recording::{Recording, rest},
    scene::Scene,
};

/// A flood lasts long enough for an average over 10 s to count.
const FLOOD: f64 = 10.0;

#[test]
fn a_name_a_microsecond() {
    let Some(scene) = Scene::new() else { return };
    let mut recording = Recording::begin(scene);
    let pid = recording.attack("rename", &["9"], "renaming");
    rest(FLOOD);
    let mut record = recording.end();
    record.must(!record.processes(pid).is_empty(), format!("process {pid} is missing"));
    let told = record.gaps().iter().any(|gap| gap.reason.starts_with("flood:"));
    record.must(told, "nothing says that a user's names were too many");
    record.judge();
}

#[test]
fn a_name_a_microsecond_with_two_megabytes_of_arguments() {
    let Some(scene) = Scene::new() else { return };
    let mut recording = Recording::begin(scene);
    let pid = recording.attack("rename", &["9", "1900000"], "renaming");
    rest(FLOOD);
    let mut record = recording.end();
    record.must(!record.processes(pid).is_empty(), format!("process {pid} is missing"));
    record.judge();
}

#[test]
fn two_hundred_programs_a_second() {
    let Some(scene) = Scene::new() else { return };
    let mut recording = Recording::begin(scene);
    recording.attack("execs", &["200", "9", "10"], "starting");
    rest(FLOOD);
    recording.end().judge();
}

#[test]
#[ignore = "open: events of others are lost in the kernel's queue; docs/threat-model.md, 'What does not hold'"]
fn forks_without_end() {
    let Some(scene) = Scene::new() else { return };
    let mut recording = Recording::begin(scene);
    recording.attack("execs", &["0", "7", "0"], "starting");
    rest(FLOOD);
    recording.end().judge();
}

#[test]
fn arguments_against_a_small_spool() {
    let Some(scene) = Scene::new() else { return };
    let mut recording = Recording::begin(scene.option("--spool-cap", "8MiB"));
    // What was there before the attack is what it is to push out.
    rest(2.0);
    let pid = recording.attack("execs", &["60", "6", "262144"], "starting");
    rest(8.0);
    let mut record = recording.end();
    record.must(!record.processes(pid).is_empty(), format!("process {pid} is missing"));
    record.judge();
}

#[test]
#[ignore = "open: the queue of fanotify is one for all users; docs/threat-model.md, 'What does not hold'"]
fn names_made_in_a_watched_directory() {
    let Some(scene) = Scene::new() else { return };
    let watched = scene.lair("watched");
    std::fs::create_dir(&watched).unwrap();
    std::os::unix::fs::chown(&watched, Some(crate::scene::ATTACKER), None).unwrap();
    let mut recording = Recording::begin(scene.option("--watch", &watched));
    recording.attack("names", &[watched.to_str().unwrap(), "8"], "naming");
    rest(FLOOD);
    recording.end().judge();
}
