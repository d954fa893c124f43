//! Groups and accounts of the system, made by its own tools.

use super::{plan::Step, run};
use anyhow::{Context as _, bail};
use nix::unistd::{Gid, Group as Entry, Uid, User};
use std::path::PathBuf;

/// The ids that clients' accounts get: the range of system accounts is too small for a thousand clients.
const CLIENT_IDS: [&str; 2] = ["SYS_UID_MIN=20000", "SYS_UID_MAX=29999"];

/// Finds a user.
pub(crate) fn user(name: &str) -> anyhow::Result<Option<User>> {
    User::from_name(name).with_context(|| format!("cannot look up user {name}"))
}

/// Returns the ids of an owner and a group that must be there.
pub(crate) fn ids(owner: &str, group: &str) -> anyhow::Result<(Uid, Gid)> {
    let user = user(owner)?.with_context(|| format!("there is no user {owner}"))?;
    let entry = Entry::from_name(group).with_context(|| format!("cannot look up group {group}"))?;
    let gid = entry.with_context(|| format!("there is no group {group}"))?.gid;
    Ok((user.uid, gid))
}

/// Makes a group.
pub(crate) struct MakeGroup {
    /// Its name.
    pub(crate) name: String,
    made: bool,
}

impl MakeGroup {
    /// Names it.
    pub(crate) fn new(name: impl Into<String>) -> Self {
        Self { name: name.into(), made: false }
    }
}

impl Step for MakeGroup {
    fn says(&self) -> String {
        format!("make group {}", self.name)
    }

    fn is_done(&self) -> anyhow::Result<bool> {
        Ok(Entry::from_name(&self.name)?.is_some())
    }

    fn act(&mut self) -> anyhow::Result<()> {
        run::tool("groupadd", ["--system", &self.name])?;
        self.made = true;
        Ok(())
    }

    fn undo(&mut self) -> anyhow::Result<()> {
        if self.made {
            run::tool("groupdel", [&self.name])?;
        }
        Ok(())
    }
}

/// Makes an account that nobody can log in to by password: `*` is no hash.
pub(crate) struct MakeUser {
    /// Its name.
    pub(crate) name: String,
    /// Its group; `None` for one of its own name.
    pub(crate) group: Option<String>,
    /// Its home, which it does not own.
    pub(crate) home: PathBuf,
    /// Its login shell.
    pub(crate) shell: PathBuf,
    /// What it is for.
    pub(crate) comment: String,
    /// Whether it is a client's, of which there may be thousands.
    pub(crate) client: bool,
    /// Whether this step made it.
    pub(crate) made: bool,
}

impl Step for MakeUser {
    fn says(&self) -> String {
        format!("make user {}, shell {}, without a password", self.name, self.shell.display())
    }

    fn is_done(&self) -> anyhow::Result<bool> {
        Ok(user(&self.name)?.is_some_and(|user| user.shell == self.shell))
    }

    fn act(&mut self) -> anyhow::Result<()> {
        let shell = self.shell.to_str().context("a shell's path is UTF-8")?;
        if user(&self.name)?.is_some() {
            run::tool("usermod", ["--shell", shell, &self.name])?;
            return Ok(());
        }
        let home = self.home.to_str().context("a home's path is UTF-8")?;
        let mut words = vec!["--system", "--no-create-home", "--home-dir", home, "--shell", shell];
        words.extend(["--password", "*", "--comment", &self.comment]);
        match &self.group {
            Some(group) => words.extend(["--no-user-group", "--gid", group]),
            None => words.push("--user-group"),
        }
        if self.client {
            words.extend(CLIENT_IDS.iter().flat_map(|pair| ["--key", pair]));
        }
        words.push(&self.name);
        run::tool("useradd", words)?;
        self.made = true;
        Ok(())
    }

    fn undo(&mut self) -> anyhow::Result<()> {
        if self.made { remove(&self.name) } else { Ok(()) }
    }
}

/// Removes an account, if it is there; its home stays.
pub(crate) fn remove(name: &str) -> anyhow::Result<()> {
    if user(name)?.is_some() {
        run::tool("userdel", [name])?;
    }
    if user(name)?.is_some() {
        bail!("user {name} is there after userdel: it is not a local account");
    }
    Ok(())
}
