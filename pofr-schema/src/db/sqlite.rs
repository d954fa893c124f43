//! How SQLite's connections are set up.

use super::Rights;
use diesel::{
    SqliteConnection,
    connection::SimpleConnection as _,
    r2d2::{CustomizeConnection, Error},
};
use std::{fmt::Write as _, path::Path};

/// Makes the URI of a database file (<https://www.sqlite.org/uri.html>).
pub(crate) fn uri(file: &Path, rights: Rights) -> String {
    use std::os::unix::ffi::OsStrExt as _;
    let mut uri = String::from("file:");
    for byte in file.as_os_str().as_bytes() {
        if byte.is_ascii_alphanumeric() || b"/-._~".contains(byte) {
            uri.push(char::from(*byte));
        } else {
            let _ = write!(uri, "%{byte:02X}");
        }
    }
    uri.push_str(match rights {
        Rights::Read => "?mode=ro",
        Rights::Write => "?mode=rw",
        Rights::Create => "?mode=rwc",
    });
    uri
}

/// Prepares each new connection.
#[derive(Debug)]
pub(crate) struct Setup {
    /// What it may do.
    pub(crate) rights: Rights,
    /// The host-lookup database, to be attached as `lhlt`.
    pub(crate) lookup: Option<String>,
}

impl CustomizeConnection<SqliteConnection, Error> for Setup {
    fn on_acquire(&self, conn: &mut SqliteConnection) -> Result<(), Error> {
        let mut sql = String::from("PRAGMA busy_timeout = 10000;");
        if let Some(lookup) = &self.lookup {
            // The URI has no quote left in it.
            let _ = write!(sql, "ATTACH '{lookup}' AS lhlt;");
        }
        if self.rights == Rights::Read {
            sql.push_str("PRAGMA query_only = ON;");
        } else {
            // FULL: with NORMAL, a power cut may take back commits that were acknowledged.
            // legacy_alter_table: renaming a table leaves the views alone, which are made anew in the same transaction.
            sql.push_str(
                "PRAGMA synchronous = FULL; PRAGMA cache_size = -32768; PRAGMA legacy_alter_table = ON;",
            );
        }
        conn.batch_execute(&sql).map_err(Error::QueryError)
    }
}
