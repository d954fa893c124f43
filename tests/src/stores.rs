//! The stores that every end-to-end test runs on.

#[cfg(feature = "mariadb")]
use crate::mariadb::PrivateMariadb;
use std::path::Path;

/// A database that belongs to one test, and goes with it.
pub enum TestStore {
    /// SQLite files in a directory.
    Sqlite(String),
    /// A MariaDB server of the test's own.
    #[cfg(feature = "mariadb")]
    Mariadb(Box<PrivateMariadb>),
}

impl TestStore {
    /// Makes one of each kind; those that live in files do so below `dir`.
    #[must_use]
    pub fn all(dir: &Path) -> Vec<Self> {
        vec![
            Self::Sqlite(format!("sqlite:{}", dir.join("db").display())),
            #[cfg(feature = "mariadb")]
            Self::Mariadb(Box::new(PrivateMariadb::start().unwrap())),
        ]
    }

    /// Returns the URL to open it with.
    #[must_use]
    pub fn url(&self) -> String {
        match self {
            Self::Sqlite(url) => url.clone(),
            #[cfg(feature = "mariadb")]
            Self::Mariadb(server) => server.url(),
        }
    }

    /// Returns what it is called in messages.
    #[must_use]
    pub const fn name(&self) -> &'static str {
        match self {
            Self::Sqlite(_) => "SQLite",
            #[cfg(feature = "mariadb")]
            Self::Mariadb(_) => "MariaDB",
        }
    }
}
