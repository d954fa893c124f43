//! Pools of connections, one for each database and what may be done there.

use super::{Db, Link, failure, sqlite};
use crate::url::Location;
use diesel::r2d2::{ConnectionManager, Pool};
use pofr_core::store::StoreError;
use scheduled_thread_pool::ScheduledThreadPool;
use std::{
    collections::HashMap,
    path::{Path, PathBuf},
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

/// What a connection may do.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Rights {
    /// Read.
    Read,
    /// Read and write what exists.
    Write,
    /// Make the database, too.
    Create,
}

enum AnyPool {
    Sqlite(Pool<ConnectionManager<diesel::SqliteConnection>>),
    #[cfg(feature = "mariadb")]
    Mariadb(Pool<ConnectionManager<diesel::MysqlConnection>>),
}

/// All pools of a store, made when they are first asked for.
///
/// On MariaDB each database has a pool of its own, since a prepared statement stays with the
/// database that was in use when it was prepared.
pub(crate) struct Pools {
    location: Location,
    threads: Arc<ScheduledThreadPool>,
    pools: Mutex<HashMap<(String, Rights), AnyPool>>,
}

/// The database that looks up hosts.
pub(crate) const LOOKUP: &str = "lhlt";

impl Pools {
    pub(crate) fn new(location: Location) -> Self {
        Self {
            location,
            threads: Arc::new(
                ScheduledThreadPool::builder().num_threads(1).thread_name_pattern("pofr-pool-{}").build(),
            ),
            pools: Mutex::default(),
        }
    }

    /// Returns the SQLite file of a database; `None` on MariaDB.
    pub(crate) fn file(&self, database: &str) -> Option<PathBuf> {
        match &self.location {
            Location::Sqlite(dir) => Some(dir.join(format!("{database}.sqlite"))),
            Location::Mariadb(_) => None,
        }
    }

    /// Returns a connection to `database`; with an empty name, on MariaDB, to none of them.
    pub(crate) fn get(&self, database: &str, rights: Rights) -> Result<Db, StoreError> {
        let mut pools = self.pools.lock().unwrap_or_else(PoisonError::into_inner);
        let key = (database.to_owned(), rights);
        let pool = match pools.get(&key) {
            Some(pool) => pool,
            None => {
                let made = self.make(database, rights)?;
                pools.entry(key).or_insert(made)
            }
        };
        let action = || self.connecting(database);
        match pool {
            AnyPool::Sqlite(pool) => {
                let pool = pool.clone();
                drop(pools);
                Ok(Db::new(Link::Sqlite(pool.get().map_err(|e| failure(action(), e))?), rights))
            }
            #[cfg(feature = "mariadb")]
            AnyPool::Mariadb(pool) => {
                let pool = pool.clone();
                drop(pools);
                Ok(Db::new(Link::Mariadb(pool.get().map_err(|e| failure(action(), e))?), rights))
            }
        }
    }

    fn make(&self, database: &str, rights: Rights) -> Result<AnyPool, StoreError> {
        match &self.location {
            Location::Sqlite(dir) => {
                let file = dir.join(format!("{database}.sqlite"));
                if rights != Rights::Create && !file.exists() {
                    let missing = std::io::Error::from(std::io::ErrorKind::NotFound);
                    return Err(failure(format_args!("open {}", file.display()), missing));
                }
                if rights == Rights::Create {
                    keep_private(&file).map_err(|e| failure(format_args!("make {}", file.display()), e))?;
                }
                // The host-lookup database itself is attached to an empty one, so that it has the same name everywhere.
                let lookup = sqlite::uri(&dir.join(format!("{LOOKUP}.sqlite")), rights);
                let (url, lookup) = match (database, rights) {
                    (LOOKUP, _) => ("file::memory:".to_owned(), Some(lookup)),
                    (_, Rights::Read) => (sqlite::uri(&file, rights), Some(lookup)),
                    _ => (sqlite::uri(&file, rights), None),
                };
                let manager = ConnectionManager::new(url);
                self.try_out(database, &manager)?;
                let setup = Box::new(sqlite::Setup { rights, lookup });
                Ok(AnyPool::Sqlite(self.builder().connection_customizer(setup).build_unchecked(manager)))
            }
            #[cfg(feature = "mariadb")]
            Location::Mariadb(server) => {
                let manager = ConnectionManager::new(server.database_url(database));
                self.try_out(database, &manager)?;
                let setup = Box::new(super::mariadb::Setup { rights });
                Ok(AnyPool::Mariadb(self.builder().connection_customizer(setup).build_unchecked(manager)))
            }
            #[cfg(not(feature = "mariadb"))]
            Location::Mariadb(_) => unreachable!("open() refuses such a location"),
        }
    }

    /// Connects once: the pool itself would try again and again until its time is up, and hide why it cannot.
    fn try_out<M>(&self, database: &str, manager: &M) -> Result<(), StoreError>
    where
        M: r2d2::ManageConnection,
        M::Error: Send + Sync,
    {
        manager.connect().map(drop).map_err(|e| failure(self.connecting(database), e))
    }

    fn connecting(&self, database: &str) -> String {
        match database {
            "" => format!("connect to {}", self.location),
            _ => format!("connect to database {database} at {}", self.location),
        }
    }

    fn builder<M: r2d2::ManageConnection>(&self) -> r2d2::Builder<M> {
        Pool::builder()
            .max_size(16)
            .min_idle(Some(0))
            .idle_timeout(Some(Duration::from_secs(60)))
            .connection_timeout(Duration::from_secs(15))
            .thread_pool(Arc::clone(&self.threads))
    }
}

/// Makes a database file that only its owner can read; SQLite gives its journal the same mode.
fn keep_private(file: &Path) -> std::io::Result<()> {
    use std::os::unix::fs::OpenOptionsExt as _;
    std::fs::OpenOptions::new().append(true).create(true).mode(0o600).open(file).map(drop)
}
