//! Where everything of this server's is.

use crate::{
    cli::Global,
    config::{Accounts, Config, Server},
    record,
};
use anyhow::Context as _;
use pofr_ingest::registration::{Desk, Limits};
use std::path::PathBuf;

/// A server as its configuration says.
pub(crate) struct Site {
    /// The options that said where it is.
    pub(crate) global: Global,
    /// The data directory.
    pub(crate) data_dir: PathBuf,
    /// Accounts, keys, sshd.
    pub(crate) server: Server,
}

impl Site {
    /// Reads the configuration.
    pub(crate) fn load(global: &Global) -> anyhow::Result<Self> {
        let Config { server, .. } = record::config(global)?;
        Ok(Self { global: global.clone(), data_dir: record::data_dir(global)?, server })
    }

    /// Returns the desk where requests wait.
    pub(crate) fn desk(&self) -> Desk {
        Desk::new(&self.data_dir, Limits::default())
    }

    /// Returns where invites are remembered.
    pub(crate) fn invites(&self) -> PathBuf {
        self.data_dir.join("invites")
    }

    /// Tells whether clients have accounts of the system.
    pub(crate) fn has_accounts(&self) -> bool {
        self.server.accounts == Accounts::System
    }

    /// Returns the account that takes requests.
    pub(crate) fn registration_account(&self) -> anyhow::Result<String> {
        if self.has_accounts() { Ok(self.server.registration_account.clone()) } else { me() }
    }

    /// Returns the account that a client logs in to.
    pub(crate) fn account_of(&self, ciduser: &str) -> anyhow::Result<String> {
        if self.has_accounts() { Ok(ciduser.to_owned()) } else { me() }
    }

    /// Returns the file of authorised keys of an account, and its permission bits. sshd reads it as that account.
    pub(crate) fn keys_of(&self, account: &str) -> (PathBuf, u32) {
        if self.has_accounts() {
            (self.server.keys_dir.join(account), 0o644)
        } else {
            (self.server.keys_dir.join("authorized_keys"), 0o600)
        }
    }

    /// Returns the command that is forced on a client's key.
    pub(crate) fn receive_command(&self, ciduser: &str) -> anyhow::Result<String> {
        if self.has_accounts() {
            return Ok(self.server.shell.display().to_string());
        }
        Ok(format!("{} receive --as {ciduser}{}", program()?.display(), self.options()?))
    }

    /// Returns the command that is forced on an invitation's key.
    pub(crate) fn register_command(&self, invite: &str) -> anyhow::Result<String> {
        if self.has_accounts() {
            return Ok(self.server.shell.display().to_string());
        }
        Ok(format!("{} register-session --invite {invite}{}", program()?.display(), self.options()?))
    }

    fn options(&self) -> anyhow::Result<String> {
        let mut text = String::new();
        for word in super::client_row::where_it_is(&self.global) {
            let word = word.to_str().filter(|word| word.chars().all(is_plain));
            text = text
                + " "
                + word.context("the paths of a forced command must be plain: letters, digits, /._-:=?&%@")?;
        }
        Ok(text)
    }
}

fn is_plain(c: char) -> bool {
    c.is_ascii_alphanumeric() || "/._-:=?&%@".contains(c)
}

fn me() -> anyhow::Result<String> {
    let uid = nix::unistd::geteuid();
    let user = nix::unistd::User::from_uid(uid)?.with_context(|| format!("user {uid} has no name"))?;
    Ok(user.name)
}

fn program() -> anyhow::Result<PathBuf> {
    let path = std::env::current_exe()?;
    let plain = path.to_str().is_some_and(|text| text.chars().all(is_plain));
    plain.then_some(path).context("this program's path has characters that a forced command must not have")
}

/// Refuses where only root can do it.
pub(crate) fn need_root(what: &str) -> anyhow::Result<()> {
    if rustix::process::geteuid().is_root() {
        return Ok(());
    }
    anyhow::bail!(
        "{what} needs root: it makes accounts\nhint: --single-account does without, see docs/manual.md"
    )
}
