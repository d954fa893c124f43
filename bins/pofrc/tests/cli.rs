//! The command line: help, exit codes, what is written where.
#![expect(clippy::unwrap_used, reason = "what a test cannot go on without ends it")]

use pofr_core::wire::v2::{Limits, open};
use std::{
    path::Path,
    process::{Command, Output, Stdio},
    time::{Duration, Instant},
};

fn pofrc(args: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_pofrc"));
    command.args(args).stdin(Stdio::null());
    command
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8(bytes.to_vec()).unwrap()
}

fn record(dir: &Path, more: &[&str]) -> Output {
    pofrc(&["record", "--interval", "20ms", "--out"]).arg(dir).args(more).output().unwrap()
}

fn tars(dir: &Path) -> Vec<std::path::PathBuf> {
    let entries = std::fs::read_dir(dir).unwrap().map(|e| e.unwrap().path());
    entries.filter(|path| path.extension().is_some_and(|e| e == "tar")).collect()
}

#[test]
fn snapshots_are_one_line_for_each_source_and_tick() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("s");
    let output = record(&dir.path().join("out"), &["--for", "400ms", "--snapshots", file.to_str().unwrap()]);
    assert!(output.status.success(), "{output:?}");
    assert!(text(&output.stdout).contains(" bundles, "), "{output:?}");
    let lines = std::fs::read_to_string(&file).unwrap();
    let snapshots: Vec<serde_json::Value> = lines.lines().map(|l| serde_json::from_str(l).unwrap()).collect();
    let of = |source: &str| snapshots.iter().filter(|s| s["source"] == source).count();
    assert_eq!(of("process"), of("endpoint"));
    assert_eq!((of("host"), of("account")), (1, 1));
    let tar = std::fs::read(&tars(&dir.path().join("out"))[0]).unwrap();
    let manifest = open(&tar, Limits::default()).unwrap().manifest;
    assert_eq!(manifest.sources["process"], of("process") as u64);
    assert_eq!(manifest.interval_micros, 20_000);
    assert!(manifest.complete);
    // It leaves itself out, and says so.
    let pid = manifest.recorder_pids[0];
    let all = snapshots.iter().flat_map(|s| s["facts"].as_array().unwrap());
    assert!(all.filter(|fact| fact["pid"] == pid).count() == 0);
}

#[test]
fn a_signal_seals_the_bundle() {
    for signal in ["INT", "TERM", "HUP"] {
        let dir = tempfile::tempdir().unwrap();
        let child = pofrc(&["record", "--interval", "20ms", "--out"])
            .arg(dir.path())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let patience = Instant::now() + Duration::from_secs(20);
        let started = || dir.path().join(".open/1.frames").metadata().is_ok_and(|m| m.len() > 0);
        while !started() {
            assert!(Instant::now() < patience, "it never began");
            std::thread::sleep(Duration::from_millis(10));
        }
        let pid = child.id().to_string();
        assert!(Command::new("kill").args(["-s", signal, &pid]).status().unwrap().success());
        let output = child.wait_with_output().unwrap();
        assert_eq!(output.status.code(), Some(0), "{signal}");
        let bundle = open(&std::fs::read(&tars(dir.path())[0]).unwrap(), Limits::default()).unwrap();
        assert!(bundle.manifest.complete, "{signal}");
    }
}

#[test]
fn two_recorders_do_not_share_a_directory() {
    let dir = tempfile::tempdir().unwrap();
    let mut first = pofrc(&["record", "--for", "1h", "--out"]).arg(dir.path()).spawn().unwrap();
    let patience = Instant::now() + Duration::from_secs(20);
    while !dir.path().join(".state/state.json").exists() {
        assert!(Instant::now() < patience, "it never began");
        std::thread::sleep(Duration::from_millis(10));
    }
    let output = record(dir.path(), &["--for", "100ms"]);
    first.kill().unwrap();
    first.wait().unwrap();
    assert_eq!(output.status.code(), Some(3));
    assert!(text(&output.stderr).contains("in use by another recorder\nhint: "), "{output:?}");
}

#[test]
fn errors_name_the_path_and_the_cause() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("file");
    std::fs::write(&file, "").unwrap();
    let output = record(&file, &["--for", "100ms"]);
    assert_eq!(output.status.code(), Some(1));
    let said = text(&output.stderr);
    assert!(said.starts_with("pofrc: cannot make ") && said.contains("/file/.state: "), "{said}");
    for (bad, code, why) in [("5", 2, "such as 100ms"), ("1us", 1, "the interval must be from 100 to")] {
        let mut command = pofrc(&["record", "--for", "1s", "--interval", bad, "--out"]);
        let output = command.arg(dir.path().join("out")).output().unwrap();
        assert_eq!(output.status.code(), Some(code), "{output:?}");
        assert!(text(&output.stderr).contains(why), "{output:?}");
    }
    assert_eq!(pofrc(&["record"]).output().unwrap().status.code(), Some(2));
}

#[test]
fn help_has_examples_and_exit_codes() {
    let help = text(&pofrc(&["record", "--help"]).output().unwrap().stdout);
    for part in ["Examples:", "pofrc record --out record --for 30s", "Exit codes:", "--snapshots <FILE>"] {
        assert!(help.contains(part), "{part} is missing in:\n{help}");
    }
    assert!(text(&pofrc(&["completions", "bash"]).output().unwrap().stdout).contains("_pofrc()"));
    assert!(text(&pofrc(&["man"]).output().unwrap().stdout).contains(".TH pofrc 1"));
    let dir = tempfile::tempdir().unwrap();
    assert!(pofrc(&["man", "--dir"]).arg(dir.path()).status().unwrap().success());
    assert!(dir.path().join("pofrc-record.1").exists());
}
