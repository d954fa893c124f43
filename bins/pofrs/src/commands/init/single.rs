//! The plan for one account: nothing that needs root.

use super::{config_path, quoted, step::MakeRecord};
use crate::{
    admin::{Plan, directory::MakeDir, file::WriteFile},
    cli::Global,
    config::Config,
    record,
};
use anyhow::{Context as _, bail};
use pofr_schema::Location;
use std::path::{Path, PathBuf};

/// Makes the plan; returns what is to be said at the end.
pub(super) fn plan(plan: &mut Plan, global: &Global) -> anyhow::Result<Vec<String>> {
    if rustix::process::geteuid().is_root() {
        bail!("--single-account is for an account of its own, not root: clients would log in to it");
    }
    let home = std::env::var_os("HOME").map(PathBuf::from).filter(|home| home.is_absolute());
    let home = home.context("HOME is not set")?;
    let Some(path) = &global.config else {
        bail!(
            "--single-account needs --config FILE, and so does every command after it: {} is the system's\nhint: --config {}",
            crate::config::PATH,
            home.join(".config/pofr/pofrs.toml").display()
        );
    };
    let path = config_path(global, path);
    let found = if path.exists() { Config::load(Some(&path))? } else { Config::default() };
    let data = match (&global.data_dir, found.data_dir) {
        (Some(dir), _) => dir.clone(),
        (None, Some(dir)) => dir,
        (None, None) => record::data_dir(&Global { config: None, ..global.clone() })?,
    };
    if !data.is_absolute() || !path.is_absolute() {
        bail!("data directory and configuration must be absolute paths: sshd starts elsewhere");
    }
    let db =
        global.db.clone().or(found.db).unwrap_or_else(|| format!("sqlite:{}", data.join("db").display()));
    let location = Location::parse(&db)?;
    let keys = home.join(".ssh");
    plan.then(MakeDir::new(&data, 0o700));
    for dir in ["inbox", "receive", "requests", "answers", "invites", "bundles", "rebuild"] {
        plan.then(MakeDir::new(data.join(dir), 0o700));
    }
    if let Location::Sqlite(dir) = &location {
        plan.then(MakeDir::new(dir, 0o700));
    }
    if let Some(dir) = path.parent() {
        plan.then(MakeDir::new(dir, 0o700));
    }
    plan.then(WriteFile::unless_there(&path, config_text(&data, &db, &keys), 0o600));
    plan.then(MakeDir::new(&keys, 0o700));
    let global = Global { db: None, data_dir: None, config: Some(path.clone()), utc: global.utc };
    plan.then(MakeRecord::new(&global, location, ""));
    Ok(vec![
        "one account for all clients: they are kept apart by the forced commands in ~/.ssh/authorized_keys and by Landlock, not by the system's accounts; sshd's limits are whatever the system's configuration says".to_owned(),
        format!("every command from now on takes --config {}", path.display()),
    ])
}

fn config_text(data: &Path, db: &str, keys: &Path) -> String {
    format!(
        "# Made by pofrs init --single-account, which leaves it alone from now on.
data_dir = {}
db = {}

[server]
accounts = \"single\"
keys_dir = {}
",
        quoted(&data.display().to_string()),
        quoted(db),
        quoted(&keys.display().to_string()),
    )
}
