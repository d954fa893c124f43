//! A server's record of clients whose bundles are made by hand, and `pofrs` on it.

use pofr_tests::{
    outcome::{outcome, succeed},
    stores::TestStore,
};
use serde_json::Value;
use std::{
    path::{Path, PathBuf},
    process::Command,
};

/// A store, and inboxes in a directory of their own.
pub(crate) struct Site {
    pub(crate) store: TestStore,
    pub(crate) dir: tempfile::TempDir,
}

impl Site {
    /// A site with an embedded database.
    pub(crate) fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let store = TestStore::Sqlite(format!("sqlite:{}", dir.path().join("data").display()));
        Self { store, dir }
    }

    /// A site for each kind of database; what they have in files lies below `dir`.
    pub(crate) fn all(dir: &Path) -> Vec<Self> {
        let stores = TestStore::all(dir).into_iter();
        stores.map(|store| Self { store, dir: tempfile::tempdir().unwrap() }).collect()
    }

    pub(crate) fn inbox(&self, client: &str) -> PathBuf {
        let dir = self.dir.path().join(client);
        std::fs::create_dir_all(&dir).unwrap();
        dir
    }

    pub(crate) fn ingest(&self, client: &str) -> String {
        self.ok(&["ingest", self.inbox(client).to_str().unwrap(), "--client", client])
    }

    pub(crate) fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(assert_cmd::cargo::cargo_bin!("pofrs"));
        command.args(arguments).env("POFR_DB", self.store.url());
        command
    }

    /// Runs pofrs; returns exit code, standard output and standard error.
    pub(crate) fn run(&self, arguments: &[&str]) -> (i32, String, String) {
        outcome(&mut self.command(arguments))
    }

    /// Runs pofrs, which must succeed; returns what it says.
    #[track_caller]
    pub(crate) fn ok(&self, arguments: &[&str]) -> String {
        succeed(&mut self.command(arguments))
    }

    /// Runs pofrs with --json; returns the lines.
    #[track_caller]
    pub(crate) fn json(&self, arguments: &[&str]) -> Vec<Value> {
        parse(&self.ok(&[arguments, &["--json"]].concat()))
    }
}

/// Parses NDJSON.
pub(crate) fn parse(lines: &str) -> Vec<Value> {
    lines.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}
