//! What a store answers where it cannot do what was asked.

use crate::identity::Cid;

/// What a store answers where it cannot do what was asked.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum StoreError {
    /// There is no such client.
    #[error("no client {0}")]
    NoClient(String),
    /// The client is known already.
    #[error("client {0} exists already")]
    ClientExists(Cid),
    /// Another process writes to this client's record.
    #[error("the record of client {0} is being written by another pofrs")]
    Locked(Cid),
    /// The store was made by a newer or older program.
    #[error(
        "database {database} has schema version {found}, this program knows {known}\nhint: {}",
        if found > known { "use the newer pofrs" } else { "any command that writes brings it up, such as pofrs ingest" }
    )]
    SchemaVersion {
        /// Which database.
        database: String,
        /// What it has.
        found: i64,
        /// What we have.
        known: i64,
    },
    /// A statement that does more than read, where only reading is allowed.
    #[error("only one SELECT may be run here: {0}")]
    NotReadOnly(String),
    /// What the database holds makes no sense.
    #[error("table {table} holds what cannot be: {detail}")]
    Corrupt {
        /// The table.
        table: String,
        /// What is wrong.
        detail: String,
    },
    /// The database refused or failed.
    #[error("cannot {action}: {cause}")]
    Database {
        /// What was being done, with the table or file named.
        action: String,
        /// What the database said.
        cause: Box<dyn std::error::Error + Send + Sync>,
    },
}
