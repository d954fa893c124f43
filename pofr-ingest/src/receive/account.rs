//! A client's account: what the administrator's approval wrote down, read by `receive` and `verify`.

use super::DEFAULT_QUOTA;
use pofr_core::identity::Cid;
use serde::{Deserialize, Serialize};
use std::{
    fs, io,
    path::{Path, PathBuf},
};

/// Why an account cannot be used.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum AccountError {
    /// A name that no account has.
    #[error("{0:?} is not a client's account: 1 to 32 letters, digits, - and _")]
    Name(String),
    /// Its file cannot be read.
    #[error("cannot read {path}: {cause}")]
    Io {
        /// Which file.
        path: PathBuf,
        /// What came of it.
        cause: io::Error,
    },
    /// Its file says something else.
    #[error("{path}: {detail}")]
    Malformed {
        /// Which file.
        path: PathBuf,
        /// What is wrong with it.
        detail: String,
    },
}

/// A key that a client had before.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct FormerKey {
    /// The key, one line as in `authorized_keys`.
    pub public_key: String,
    /// When it was replaced, µs since 1970 by the server's clock: what came later must not be signed with it.
    pub until: i64,
}

/// A client's account, `receive/<ciduser>.json` in the data directory.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Account {
    /// The client's id; checked by [`Account::load`].
    pub cid: String,
    /// Its name on the server.
    pub ciduser: String,
    /// Its key, one line as in `authorized_keys`.
    pub public_key: String,
    /// The keys that it had before.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub former_keys: Vec<FormerKey>,
    /// How many bytes may wait in its inbox.
    #[serde(default = "default_quota")]
    pub quota_bytes: u64,
    /// Whether it is a client of the first POFR, which sends by scp.
    #[serde(default)]
    pub v1: bool,
    /// The registration's id.
    #[serde(default)]
    pub registration_id: String,
    /// When it was approved, µs since 1970 by the server's clock.
    #[serde(default)]
    pub approved: i64,
}

const fn default_quota() -> u64 {
    DEFAULT_QUOTA
}

impl Account {
    /// Returns where an account's file is below the data directory.
    ///
    /// # Errors
    /// [`AccountError::Name`] where no account has that name.
    pub fn path(data_dir: &Path, ciduser: &str) -> Result<PathBuf, AccountError> {
        let good = (1..=32).contains(&ciduser.len())
            && ciduser.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_'));
        if !good {
            return Err(AccountError::Name(ciduser.to_owned()));
        }
        Ok(data_dir.join("receive").join(format!("{ciduser}.json")))
    }

    /// Reads an account.
    ///
    /// # Errors
    /// [`AccountError`].
    pub fn load(data_dir: &Path, ciduser: &str) -> Result<Self, AccountError> {
        let path = Self::path(data_dir, ciduser)?;
        Self::read(&path)
    }

    /// Reads the accounts that name a client: one, unless somebody made a second by hand. That there is no directory means none.
    ///
    /// # Errors
    /// [`AccountError`].
    pub fn of(data_dir: &Path, cid: &Cid) -> Result<Vec<Self>, AccountError> {
        let dir = data_dir.join("receive");
        let fail = |cause| AccountError::Io { path: dir.clone(), cause };
        let entries = match fs::read_dir(&dir) {
            Err(cause) if cause.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
            other => other.map_err(fail)?,
        };
        let mut found = Vec::new();
        for entry in entries {
            let path = entry.map_err(fail)?.path();
            if path.extension().is_some_and(|e| e == "json") {
                let account = Self::read(&path)?;
                if account.cid == cid.as_str() {
                    found.push(account);
                }
            }
        }
        Ok(found)
    }

    fn read(path: &Path) -> Result<Self, AccountError> {
        let malformed = |detail: String| AccountError::Malformed { path: path.to_owned(), detail };
        let text = fs::read(path).map_err(|cause| AccountError::Io { path: path.to_owned(), cause })?;
        let account: Self = serde_json::from_slice(&text).map_err(|e| malformed(e.to_string()))?;
        match Cid::parse(&account.cid) {
            Some(_) => Ok(account),
            None => Err(malformed("its cid is none".to_owned())),
        }
    }

    /// Returns the client's id.
    #[must_use]
    pub fn cid(&self) -> Option<Cid> {
        Cid::parse(&self.cid)
    }
}
