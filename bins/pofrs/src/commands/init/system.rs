//! The plan for a server of its own: accounts of the system.

use super::{config_path, quoted, step::MakeRecord};
use crate::{
    admin::{
        Plan,
        account::{MakeGroup, MakeUser},
        directory::MakeDir,
        file::WriteFile,
        run,
        selinux::{self, Label},
        shell::InstallShell,
        site, sshd,
    },
    cli::Global,
    config::{self, Accounts, Config, Server},
};
use anyhow::bail;
use pofr_schema::Location;
use std::path::Path;

/// Makes the plan; returns what is to be said at the end.
pub(super) fn plan(plan: &mut Plan, global: &Global, password: bool) -> anyhow::Result<Vec<String>> {
    site::need_root("pofrs init")?;
    if run::find("sshd").is_none() {
        bail!("there is no sshd here\nhint: install openssh-server");
    }
    let path = config_path(global, Path::new(config::PATH));
    let there = path.exists();
    let found = if there { Config::load(Some(&path))? } else { Config::default() };
    if there && (found.server.accounts != Accounts::System || found.server.user.is_none()) {
        bail!(
            "{} is there, and has no [server] with accounts = \"system\" and user = \"pofr\"\nhint: add that to it, then say pofrs init again",
            path.display()
        );
    }
    let server = Server {
        user: Some(found.server.user.clone().unwrap_or_else(|| "pofr".into())),
        ..found.server.clone()
    };
    let user = server.user.clone().unwrap_or_default();
    let (registration, group) = (server.registration_account.clone(), server.group.clone());
    let data = global.data_dir.clone().or(found.data_dir.clone()).unwrap_or_else(|| "/var/lib/pofr".into());
    if !data.is_absolute() {
        bail!("the data directory must be an absolute path: {}", data.display());
    }
    let db = match (&global.db, &found.db) {
        (Some(url), _) | (None, Some(url)) => url.clone(),
        (None, None) => format!("sqlite:{}", data.join("db").display()),
    };
    let location = Location::parse(&db)?;
    if !there && data.join("lhlt.sqlite").exists() {
        bail!(
            "{0} has a record already, which would be left behind\nhint: mkdir {0}/db; mv {0}/*.sqlite* {0}/*.lock {0}/db; then say pofrs init again, and chown -R {1}: {0}/db {0}/bundles",
            data.display(),
            user
        );
    }

    plan.then(MakeGroup::new(&group));
    let account = |name: &str, shell: &Path, what: &str| MakeUser {
        name: name.to_owned(),
        group: None,
        home: data.clone(),
        shell: shell.to_owned(),
        comment: what.to_owned(),
        client: false,
        made: false,
    };
    plan.then(account(&user, Path::new("/usr/sbin/nologin"), "POFR record"));
    plan.then(InstallShell::new(&server.shell));
    plan.then(account(&registration, &server.shell, "POFR registration"));

    plan.then(MakeDir::new(&data, 0o755));
    // Clients may go to what is theirs, and list nothing.
    plan.then(MakeDir::owned(data.join("inbox"), "root", &user, 0o751));
    plan.then(MakeDir::owned(data.join("receive"), "root", &user, 0o751));
    plan.then(MakeDir::owned(data.join("requests"), &registration, &registration, 0o700));
    plan.then(MakeDir::owned(data.join("answers"), "root", &registration, 0o750));
    plan.then(MakeDir::owned(data.join("invites"), "root", &registration, 0o2750));
    for own in ["bundles", "rebuild"] {
        plan.then(MakeDir::owned(data.join(own), &user, &user, 0o700));
    }
    if let Location::Sqlite(dir) = &location {
        plan.then(MakeDir::owned(dir, &user, &user, 0o700));
    }
    if let Some(dir) = path.parent() {
        plan.then(MakeDir::new(dir, 0o755));
    }
    plan.then(WriteFile::unless_there(&path, config_text(&data, &db, &server), 0o644));
    plan.then(MakeDir::new(&server.keys_dir, 0o711));
    plan.then(WriteFile::unless_there(server.keys_dir.join(&registration), "", 0o644));
    if selinux::is_on() {
        plan.then(Label::new(&server.keys_dir));
    }
    plan.then(MakeRecord::new(&Global { config: Some(path.clone()), ..record_at(global) }, location, &user));
    plan.then(sshd::Configure::new(&server, password));

    let mut notes = Vec::new();
    if path != Path::new(config::PATH) {
        notes.push(format!("note: the clients' login shell reads {} and nothing else", config::PATH));
    }
    if sshd::running().ok().flatten().is_none() {
        notes
            .push("note: no sshd that listens was found; it will take the drop-in when it starts".to_owned());
    }
    if password {
        notes.push(format!("now give the account its password: passwd {registration}"));
    }
    Ok(notes)
}

/// The record is where the configuration says, once that is written.
fn record_at(global: &Global) -> Global {
    Global { db: None, data_dir: None, ..global.clone() }
}

fn config_text(data: &Path, db: &str, server: &Server) -> String {
    format!(
        "# Made by pofrs init, which leaves it alone from now on. Every key: pofrs ingest --help.
data_dir = {}
db = {}

[server]
accounts = \"system\"
user = {}
",
        quoted(&data.display().to_string()),
        quoted(db),
        quoted(server.user.as_deref().unwrap_or_default()),
    )
}
