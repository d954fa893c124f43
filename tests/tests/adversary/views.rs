//! What hides a process from whoever looks: mounts over /proc, ends that nobody tells of, starts that nobody knows.

use crate::{
    recording::{Recording, rest},
    scene::Scene,
};
use std::{path::Path, process::Command};

#[test]
fn a_mount_over_a_processs_directory() {
    let Some(scene) = Scene::new() else { return };
    let scene = scene.through(&["unshare", "--mount", "--propagation", "private"]);
    let mut recording = Recording::begin(scene);
    let hidden = recording.run(Path::new("sleep"), &["59.01"]);
    rest(1.0);
    // Only root can, and only where the recorder looks.
    let script = format!(
        "mkdir -p /tmp/pofr-empty-$$ && mount --bind /tmp/pofr-empty-$$ /proc/{hidden} && rmdir /tmp/pofr-empty-$$; echo over it"
    );
    let mut enter = Command::new("nsenter");
    enter.args(["--target", &recording.pid().to_string(), "--mount", "sh", "-c", &script]);
    recording.arrange(&mut enter, "over it");
    rest(3.0);
    let mut record = recording.end();
    let (_, to) = record.during();
    let last = record.rows().iter().filter(
        |row| matches!(&row.fact, pofr_core::fact::Fact::Process(p) if p.key.entity.pid().0 == hidden),
    );
    let seen_until = last.filter_map(|row| row.life.last_seen).max().map_or(0, |stamp| to.0 - stamp.0);
    let still_seen = seen_until < 2_000_000;
    let told = record.gap_names("vanished:", hidden);
    record.must(
        still_seen || told,
        format!("process {hidden} is told as gone {seen_until} µs before the end, and no gap names it"),
    );
    record.expect_gaps("vanished:");
    record.judge();
}

#[test]
fn short_programs_while_a_recording_begins() {
    let Some(scene) = Scene::new() else { return };
    let program = scene.compile("execs");
    // They run before the recorder does.
    let mut storm = crate::company::Companion::as_user(
        &scene,
        crate::scene::ATTACKER,
        1024,
        &program,
        &["100", "30", "10"],
    );
    storm.until_it_says("starting");
    let recording = Recording::begin(scene);
    rest(2.0);
    let mut record = recording.end();
    storm.kill();
    let unset = record.all_processes().find(|process| {
        let process = serde_json::to_value(process).unwrap();
        ["ruid", "euid", "rgid", "egid"].iter().any(|id| process[id] == u32::MAX)
    });
    let unset = unset.map(|process| format!("{:?}", process.key));
    record.must(unset.is_none(), format!("a process of the user 4294967295: {unset:?}"));
    record.judge();
}

#[test]
fn the_recorder_cannot_be_touched() {
    let Some(scene) = Scene::new() else { return };
    let mut recording = Recording::begin(scene);
    let recorder = recording.pid().to_string();
    let run = recording.scene.path("run");
    let words = [
        &recorder,
        run.to_str().unwrap(),
        recording.scene.spool.to_str().unwrap(),
        recording.scene.state.to_str().unwrap(),
    ];
    let words = words.map(str::to_owned);
    let words: Vec<&str> = words.iter().map(String::as_str).collect();
    let pid = recording.script("powerless", &words, "done");
    let said = recording.said(pid);
    rest(1.0);
    let mut record = recording.end();
    record.must(!said.contains("COULD"), format!("an ordinary user can: {said}"));
    record.judge();
}
