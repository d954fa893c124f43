//! The way in: from a URL to a store.

use crate::{
    db::Pools,
    login::PasswordError,
    store::SqlStore,
    url::{Location, UrlError},
};
use pofr_core::store::{Store, StoreError};
use std::{io, os::unix::fs::DirBuilderExt as _, path::PathBuf};

/// What a store is opened for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Access {
    /// Reading: nothing is made, and every attempt to write is refused.
    Read,
    /// Reading and writing: what is missing is made.
    Write,
}

/// Why a store could not be opened.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum OpenError {
    /// The URL names no store.
    #[error(transparent)]
    Url(#[from] UrlError),
    /// MariaDB was left out of this program.
    #[error(
        "cannot open {0}: this program was built without MariaDB\nhint: build it with --features mariadb (Debian: libmariadb-dev)"
    )]
    NoMariadb(Box<Location>),
    /// The directory cannot be made, or is not there.
    #[error("cannot open directory {path}: {cause}")]
    Directory {
        /// Which.
        path: PathBuf,
        /// Why.
        cause: io::Error,
    },
    /// The password cannot be had.
    #[error(transparent)]
    Password(#[from] PasswordError),
    /// The database does not answer, or is not ours.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// Opens the store at `url`, see [`Location`].
///
/// With [`Access::Write`] a SQLite directory is made, readable by its owner alone, and the host-lookup table where it is missing.
///
/// # Errors
/// [`OpenError`]: a bad URL, a kind of database that this program was built without, or a database that does not answer.
pub fn open(url: &str, access: Access) -> Result<Box<dyn Store>, OpenError> {
    let location = Location::parse(url)?.logged_in(access)?;
    match &location {
        Location::Sqlite(dir) => {
            let opened = match access {
                Access::Write => std::fs::DirBuilder::new().recursive(true).mode(0o700).create(dir),
                Access::Read => std::fs::metadata(dir).map(drop),
            };
            opened.map_err(|cause| OpenError::Directory { path: dir.clone(), cause })?;
        }
        Location::Mariadb(_) if cfg!(not(feature = "mariadb")) => {
            return Err(OpenError::NoMariadb(Box::new(location)));
        }
        Location::Mariadb(_) => {}
    }
    Ok(Box::new(SqlStore::open(Pools::new(location), access)?))
}
