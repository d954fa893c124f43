//! The random adversary: an ordinary user does whatever the kernel lets him, beside a machine under normal load. The recorder
//! never stops, and what it saw of everybody else replays exactly.
//!
//! `POFR_ADVERSARY_SECONDS` (20 unless set) is how long; `POFR_SEED` (18 unless set) is printed, and decides what is tried.

use crate::{
    company::{Companion, bystander, pofrs, truth},
    scene::{ATTACKER, Scene},
};
use pofr_core::{gap, identity::Cid, source::Source};
use pofr_schema::Access;
use pofr_tests::{
    dice::number,
    programs::program,
    record::everything,
    replay::{compare, snapshots},
};
use serde_json::{Map, Value};
use std::{
    collections::HashSet,
    fs,
    process::Command,
    time::{Duration, Instant},
};

/// The process that a fact is of: of an endpoint, its holder.
fn process_of(fact: &Map<String, Value>) -> Option<(u64, u64)> {
    let of = if fact.contains_key("holder") { fact["holder"].as_object()? } else { fact };
    Some((of.get("pid")?.as_u64()?, of.get("start").and_then(Value::as_u64).unwrap_or(0)))
}

/// Tells whether a process fact may be the attacker's: by its ids, where they are known.
fn is_attackers(fact: &Map<String, Value>) -> bool {
    let id = |name: &str| fact.get(name).map(Value::as_u64);
    // Who is root in a user namespace is somebody else outside; unknown ids are nobody's.
    [id("ruid"), id("euid")].iter().flatten().any(|id| id.is_none_or(|id| id == u64::from(ATTACKER)))
}

#[test]
fn random_attacks() {
    let Some(scene) = Scene::new() else { return };
    let (seconds, seed) = (number("POFR_ADVERSARY_SECONDS", || 20), number("POFR_SEED", || 18));
    println!("POFR_SEED={seed}, {seconds} s");
    let device = scene.path("fuse");
    let made = Command::new("mknod").arg("-m666").arg(&device).args(["c", "10", "229"]).status().unwrap();
    assert!(made.success());
    let (out, file) = (scene.path("out"), scene.path("snapshots"));
    let mut pofrc = Command::new(program("pofrc"));
    pofrc.args(["record", "--interval", "300ms", "--bundle", "5s", "--out"]).arg(&out);
    pofrc.arg("--for").arg(format!("{}s", seconds + 4)).arg("--snapshots").arg(&file);
    let began = Instant::now();
    let mut recorder = Companion::start(&scene, "pofrc-record", &mut pofrc);
    let mut others = [bystander(&scene), bystander(&scene), bystander(&scene)];
    let attack = scene.compile("random");
    let words = [seconds.to_string(), seed.to_string(), scene.lair("").to_string_lossy().into_owned()];
    let words = words.into_iter().chain([device.to_string_lossy().into_owned()]).collect::<Vec<_>>();
    let mut attack = Companion::as_user(&scene, ATTACKER, 4096, &attack, &words);
    attack.until_it_says("at it");

    // It says when it is done: then it has lived through all of it.
    let deadline = Duration::from_secs(seconds + 4 + 120);
    while !recorder.said().contains("bundles in") && recorder.is_there() && began.elapsed() < deadline {
        std::thread::sleep(Duration::from_millis(100));
    }
    others.iter_mut().for_each(Companion::end);
    println!("{}{}", recorder.said(), attack.said());
    attack.kill();
    assert!(
        recorder.said().contains("bundles in"),
        "the recorder does not live through it: {}",
        recorder.said()
    );
    recorder.kill();
    // What is left of the attacker below his namespaces has ended with them.
    let data = scene.path("data");
    let output = pofrs(&data, &["ingest", out.to_str().unwrap(), "--client", "c"]);
    let said = String::from_utf8_lossy(&[&output.stdout[..], &output.stderr].concat()).into_owned();
    assert!(output.status.success() && !said.contains("quarantine"), "a bundle is not taken: {said}");

    let mut snapshots = snapshots(&file);
    snapshots.retain(|s| matches!(s.source, Source::Process | Source::Endpoint));
    let store = pofr_schema::open(&format!("sqlite:{}", data.join("db").display()), Access::Read).unwrap();
    let cid = Cid::parse("c").unwrap();
    let (ledger, rows) = everything(&mut *store.read(&cid).unwrap(), 5000);
    let facts = rows.iter().filter_map(|row| serde_json::to_value(&row.fact).unwrap().as_object().cloned());
    let facts = facts.chain(snapshots.iter().flat_map(|snapshot| snapshot.facts.iter().cloned()));
    let attackers: HashSet<_> = facts.filter(is_attackers).filter_map(|fact| process_of(&fact)).collect();
    let is_others = |fact: &Map<String, Value>| match process_of(fact) {
        Some(process) => !attackers.contains(&process),
        // A socket without a holder may be anybody's; of others it is the same in both.
        None => false,
    };
    let all: Vec<_> = snapshots.iter().collect();
    let (compared, differences) = compare(store.as_ref(), &cid, &all, &is_others);
    println!(
        "{compared} snapshots compared, {differences} differ, {} processes of the attacker",
        attackers.len()
    );
    assert!(compared > 0 && differences == 0, "what was seen of others does not replay");

    let gaps = gap::of(&ledger);
    let missed = gaps
        .iter()
        .filter(|gap| gap.reason.starts_with("the audit found") && !gap.reason.contains(" 0 missed"));
    let missed: Vec<_> = missed.collect();
    assert!(missed.is_empty(), "the audit missed what nothing explains: {missed:#?}");
    let blind: Vec<_> =
        gaps.iter().filter(|gap| gap.severity == gap::Severity::Blind && gap.to.is_some()).collect();
    assert!(blind.is_empty(), "{blind:#?}");
    for bystander in &others {
        let mut ran = truth(bystander).ran;
        // It went on while the recorder, which was done, sealed its last bundle.
        ran.truncate(ran.len().saturating_sub(3));
        let found = |pid: u32| facts_of(&rows, pid);
        let missing: Vec<_> = ran.iter().filter(|(n, pid)| !found(*pid).any(|a| a == wanted(*n))).collect();
        assert!(
            missing.is_empty(),
            "of {} programs of a bystander these are missing: {missing:?}",
            ran.len()
        );
    }
    fs::remove_dir_all(scene.path("attacker")).unwrap_or_default();
}

fn wanted(number: u32) -> Vec<u8> {
    format!("brief\0pofr-bystander\0{number}\0").into_bytes()
}

/// The arguments of each fact of a process.
fn facts_of(rows: &[pofr_core::lifetime::Row], pid: u32) -> impl Iterator<Item = Vec<u8>> + '_ {
    rows.iter().filter_map(move |row| match &row.fact {
        pofr_core::fact::Fact::Process(process) if process.key.entity.pid().0 == pid => {
            process.arguments().map(|arguments| arguments.as_bytes().to_vec())
        }
        _ => None,
    })
}
