//! The lock of a client's one writer, freed by the death of the process that holds it.

use crate::db::{Cell, Db, Doing as _, Statement, failure};
use pofr_core::{identity::Cid, store::StoreError};
use std::{
    fs::{File, OpenOptions, TryLockError},
    os::unix::fs::OpenOptionsExt as _,
    path::Path,
};

/// A lock that is held.
pub(super) enum Lock {
    /// A file with an flock(2) on it.
    File(#[expect(dead_code, reason = "dropping it frees the lock")] LockedFile),
    /// MariaDB's named lock, which the connection holds.
    Named(String),
}

/// A file that is locked as long as this lives.
pub(super) struct LockedFile(File);

impl Drop for LockedFile {
    fn drop(&mut self) {
        // Closing alone would leave it locked while a process that another thread is just starting still has a copy of the
        // descriptor, until its exec (flock(2)). Where this fails, closing it is all that can be done.
        let _ = self.0.unlock();
    }
}

/// Takes the lock of a client's record without waiting: [`StoreError::Locked`] where another has it.
pub(super) fn take(db: &mut Db, cid: &Cid, file: Option<&Path>, database: &str) -> Result<Lock, StoreError> {
    match file {
        Some(file) => take_file(&file.with_extension("lock"))?.ok_or_else(|| StoreError::Locked(cid.clone())),
        None => {
            // At most 64 characters: five and a database's 59.
            let name = format!("pofr.{database}");
            let statement = Statement::new("SELECT GET_LOCK(")
                .bind(Cell::text(name.clone()))
                .sql(", ")
                .int(LINGER_SECONDS)
                .sql(")");
            match db.number(statement).doing(format_args!("take lock {name}"))? {
                Some(1) => Ok(Lock::Named(name)),
                _ => Err(StoreError::Locked(cid.clone())),
            }
        }
    }
}

/// A server keeps the lock of a client that was killed until it has ended, or undone, the statement that it was at.
/// So long is waited for it; a file's lock is gone with its process.
const LINGER_SECONDS: i64 = 10;

/// Locks a file, making it where there is none; `None` where another holds it.
fn take_file(path: &Path) -> Result<Option<Lock>, StoreError> {
    let action = || format!("lock {}", path.display());
    // The file stays: removing it would let two processes lock two files of one name.
    let file = OpenOptions::new()
        .write(true)
        .create(true)
        .truncate(false)
        .mode(0o600)
        .open(path)
        .map_err(|e| failure(action(), e))?;
    match file.try_lock() {
        Ok(()) => Ok(Some(Lock::File(LockedFile(file)))),
        Err(TryLockError::WouldBlock) => Ok(None),
        Err(TryLockError::Error(error)) => Err(failure(action(), error)),
    }
}

impl Lock {
    /// Frees a named lock before its connection goes back to the pool.
    pub(super) fn release(&self, db: &mut Db) {
        if let Self::Named(name) = self {
            let statement = Statement::new("SELECT RELEASE_LOCK(").bind(Cell::text(name.clone())).sql(")");
            // Where this fails the connection is broken, and the server frees the lock with it.
            let _ = db.number(statement);
        }
    }
}
