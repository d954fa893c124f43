//! Recovery: whatever was killed when, the next writer begins with a whole record.

use super::{triads, views};
use crate::db::{Db, Dialect};
use pofr_core::store::StoreError;

/// Makes names and views what the ledger says.
///
/// Whoever changed the set of triads calls this: on SQLite within the transaction, on MariaDB, where DDL commits, after
/// it. Each step can be repeated, so one that was cut off is made up for by the next.
pub(crate) fn finish(db: &mut Db) -> Result<(), StoreError> {
    triads::finish_renames(db)?;
    views::rebuild(db)
}

/// Does what was left undone, and drops what does not count.
pub(crate) fn recover(db: &mut Db) -> Result<(), StoreError> {
    let steps = |db: &mut Db| {
        // The views first: none may name a table that is about to go.
        finish(db)?;
        triads::drop_uncounted(db)
    };
    match db.dialect() {
        Dialect::Sqlite => db.write("recover", steps),
        Dialect::Mariadb => steps(db),
    }
}
