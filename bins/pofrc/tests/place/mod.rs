//! A place of its own for a recorder under test: run directory, spool, state; stopped and removed at the end.

use pofr_core::wire::v2::{Bundle, Limits, open};
use serde_json::Value;
use std::{
    path::PathBuf,
    process::{Child, Command, Output, Stdio},
    time::{Duration, Instant},
};

/// Who has not done within this time never will.
const PATIENCE: Duration = Duration::from_secs(60);

pub(crate) struct Place {
    pub(crate) dir: tempfile::TempDir,
}

impl Place {
    pub(crate) fn new() -> Self {
        Self { dir: tempfile::tempdir().unwrap() }
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    /// A command about this place's recorder.
    pub(crate) fn pofrc(&self, command: &str, more: &[&str]) -> Command {
        let mut pofrc = Command::new(env!("CARGO_BIN_EXE_pofrc"));
        // No configuration but the test's.
        let config = self.path("pofrc.toml");
        if !config.exists() {
            std::fs::write(&config, "").unwrap();
        }
        pofrc.arg(command).arg("--config").arg(config).arg("--run-dir").arg(self.path("run"));
        if command == "start" {
            pofrc.arg("--state").arg(self.path("state"));
        }
        if command == "start" && !more.contains(&"--spool") {
            pofrc.arg("--spool").arg(self.path("spool"));
        }
        pofrc.args(more).stdin(Stdio::null());
        pofrc
    }

    /// Starts a detached recorder.
    pub(crate) fn start(&self, more: &[&str]) -> Output {
        self.pofrc("start", &[&["--detach"], more].concat()).output().unwrap()
    }

    /// Starts a recorder that stays, and waits until it records.
    pub(crate) fn spawn(&self, more: &[&str]) -> Child {
        let mut pofrc = self.pofrc("start", more);
        let child = pofrc.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        self.until("it records", |status| status["samples"]["ticks"].as_u64() > Some(0));
        child
    }

    pub(crate) fn stop(&self) -> Output {
        self.pofrc("stop", &[]).output().unwrap()
    }

    pub(crate) fn status(&self) -> (Option<i32>, Value) {
        let output = self.pofrc("status", &["--json"]).output().unwrap();
        let said = serde_json::from_slice(&output.stdout).unwrap_or(Value::Null);
        (output.status.code(), said)
    }

    /// Waits until the status is as wanted.
    pub(crate) fn until(&self, what: &str, is_so: impl Fn(&Value) -> bool) -> Value {
        let began = Instant::now();
        loop {
            let (_, status) = self.status();
            if is_so(&status) {
                return status;
            }
            assert!(began.elapsed() < PATIENCE, "waited for: {what}; {status}");
            std::thread::sleep(Duration::from_millis(20));
        }
    }

    /// The process that records.
    pub(crate) fn pid(&self) -> i64 {
        self.status().1["pid"].as_i64().expect("a recorder runs")
    }

    pub(crate) fn signal(&self, name: &str, pid: i64) {
        assert!(Command::new("kill").args(["-s", name, &pid.to_string()]).status().unwrap().success());
    }

    /// The sealed bundles, the oldest first.
    pub(crate) fn bundles(&self) -> Vec<Bundle> {
        let entries = std::fs::read_dir(self.path("spool")).unwrap().map(|entry| entry.unwrap().path());
        let tars = entries.filter(|path| path.extension().is_some_and(|extension| extension == "tar"));
        let read = |path: PathBuf| open(&std::fs::read(path).unwrap(), Limits::default()).unwrap();
        let mut bundles: Vec<_> = tars.map(read).collect();
        bundles.sort_by_key(|bundle| bundle.manifest.seq);
        bundles
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        // Whatever went wrong, no recorder outlives its test.
        let _ = self.pofrc("stop", &[]).stdout(Stdio::null()).stderr(Stdio::null()).status();
    }
}

pub(crate) fn text(bytes: &[u8]) -> String {
    String::from_utf8(bytes.to_vec()).unwrap()
}
