//! The state directory, as far as it is about the server: what the client is registered as, its key, the server's key.
//!
//! - `registration.json`: with whom, as whom, and what became of it.
//! - `id`, `id.pub`: the client's key.
//! - `known_hosts`: the server's key, pinned when the client was registered.
//! - `invitation`: the key of an invitation whose answer has not come yet.
//!
//! They are for their owner alone, and for the group of the shipper's user, where there is one, to read.

use crate::{key::public_half, own_file, user::User};
use anyhow::{Context as _, bail};
use pofr_core::identity::Cid;
use serde::{Deserialize, Serialize};
use std::{
    fs::{File, OpenOptions, Permissions},
    io::{self, Write as _},
    os::unix::fs::{OpenOptionsExt as _, PermissionsExt as _, fchown},
    path::{Path, PathBuf},
};

/// The version of the file that this program writes.
const VERSION: u32 = 1;

/// The state directory.
#[derive(Clone, Debug)]
pub(crate) struct StateDir(PathBuf);

/// What the client is registered as.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct Registration {
    version: u32,
    /// The server's name or address.
    pub(crate) server: String,
    pub(crate) port: u16,
    /// The client's id.
    pub(crate) cid: String,
    /// What became of the request.
    pub(crate) status: Standing,
    /// The request's id, for the administrator.
    pub(crate) request_id: Option<String>,
    /// The account that registrations go through.
    pub(crate) desk: String,
}

/// What became of a request.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Standing {
    /// Nobody has decided yet.
    Pending,
    /// The client may send.
    Granted {
        ciduser: String,
        registration_id: String,
        /// The account to log in as.
        account: String,
    },
    /// The client may not.
    Denied { reason: String },
}

impl Registration {
    pub(crate) fn new(server: String, port: u16, cid: &Cid, desk: String) -> Self {
        let (cid, status) = (cid.as_str().to_owned(), Standing::Pending);
        Self { version: VERSION, server, port, cid, status, request_id: None, desk }
    }

    /// Returns the account to log in as, where the client may.
    pub(crate) fn account(&self) -> Option<&str> {
        match &self.status {
            Standing::Granted { account, .. } => Some(account),
            _ => None,
        }
    }

    /// Names the server as people write it.
    pub(crate) fn address(&self) -> String {
        address(&self.server, self.port)
    }
}

/// Names a server as people write it.
pub(crate) fn address(server: &str, port: u16) -> String {
    match (server.contains(':'), port) {
        (_, 22) => server.to_owned(),
        (true, port) => format!("[{server}]:{port}"),
        (false, port) => format!("{server}:{port}"),
    }
}

impl StateDir {
    pub(crate) fn new(path: impl Into<PathBuf>) -> Self {
        Self(path.into())
    }

    pub(crate) fn path(&self) -> &Path {
        &self.0
    }

    pub(crate) fn key(&self) -> PathBuf {
        self.0.join("id")
    }

    /// The key that is to take the key's place.
    pub(crate) fn next_key(&self) -> PathBuf {
        self.0.join("id.next")
    }

    pub(crate) fn known_hosts(&self) -> PathBuf {
        self.0.join("known_hosts")
    }

    pub(crate) fn invitation(&self) -> PathBuf {
        self.0.join("invitation")
    }

    fn registration_file(&self) -> PathBuf {
        self.0.join("registration.json")
    }

    /// Reads what the client is registered as; `None` where it never was.
    pub(crate) fn registration(&self) -> anyhow::Result<Option<Registration>> {
        let path = self.registration_file();
        let text = own_file::read(&path, own_file::SHORT);
        let Some(text) = text.with_context(|| format!("cannot read {}", path.display()))? else {
            return Ok(None);
        };
        let found: Registration = serde_json::from_slice(&text)
            .with_context(|| format!("{} is not a registration", path.display()))?;
        if found.version != VERSION {
            bail!("{} is of version {}, this program knows {VERSION}", path.display(), found.version);
        }
        Ok(Some(found))
    }

    /// Writes down what the client is registered as.
    pub(crate) fn register(&self, registration: &Registration) -> anyhow::Result<()> {
        let json = serde_json::to_vec_pretty(registration).context("cannot write down the registration")?;
        write_private(&self.registration_file(), &json)
    }

    /// Removes everything that is about the server; the key stays if `key` is not set.
    pub(crate) fn forget(&self, key: bool) -> anyhow::Result<()> {
        let mut gone = vec![self.registration_file(), self.known_hosts(), self.invitation()];
        if key {
            gone.extend([
                self.key(),
                public_half(&self.key()),
                self.next_key(),
                public_half(&self.next_key()),
            ]);
        }
        gone.iter().try_for_each(|path| crate::run_dir::remove(path))
    }

    /// Lets the shipper's user read what it needs, by its group.
    pub(crate) fn share(&self, user: &User) -> anyhow::Result<()> {
        let share = |path: &Path, mode: u32| -> io::Result<()> {
            let flags = rustix::fs::OFlags::NOFOLLOW.bits().cast_signed();
            let file = match OpenOptions::new().read(true).custom_flags(flags).open(path) {
                Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
                other => other?,
            };
            fchown(&file, None, Some(user.gid))?;
            file.set_permissions(Permissions::from_mode(mode))
        };
        let files = [self.registration_file(), self.known_hosts(), self.key()];
        let all = files.iter().map(|path| (path.as_path(), 0o640)).chain([(self.path(), 0o710)]);
        for (path, mode) in all {
            share(path, mode).with_context(|| format!("cannot share {}", path.display()))?;
        }
        Ok(())
    }
}

/// Writes a file for its owner alone; it is there whole or not at all.
pub(crate) fn write_private(path: &Path, bytes: &[u8]) -> anyhow::Result<()> {
    let mut new = path.as_os_str().to_owned();
    new.push(".new");
    let new = PathBuf::from(new);
    let write = || -> io::Result<()> {
        crate::run_dir::remove(&new).map_err(io::Error::other)?;
        let mut file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(&new)?;
        file.write_all(bytes)?;
        file.sync_all()?;
        std::fs::rename(&new, path)?;
        File::open(path.parent().unwrap_or(Path::new(".")))?.sync_all()
    };
    write().with_context(|| format!("cannot write {}", path.display()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_registration_is_kept_and_forgotten() {
        let dir = tempfile::tempdir().unwrap();
        let state = StateDir::new(dir.path());
        assert_eq!(state.registration().unwrap(), None);
        let cid = Cid::parse("4c4c4544-0042-1795434795702210").unwrap();
        let mut ours = Registration::new("log.example.org".into(), 2222, &cid, "pofrsreg".into());
        assert_eq!((ours.account(), ours.address()), (None, "log.example.org:2222".to_owned()));
        ours.status =
            Standing::Granted { ciduser: "ab".into(), registration_id: "1".into(), account: "ab".into() };
        state.register(&ours).unwrap();
        assert_eq!(state.registration().unwrap(), Some(ours));
        let mode = dir.path().join("registration.json").metadata().unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600);
        state.forget(true).unwrap();
        assert_eq!(state.registration().unwrap(), None);
        assert_eq!(address("::1", 2222), "[::1]:2222");
    }
}
