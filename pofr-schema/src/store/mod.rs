//! The store over both databases: clients, and each client's reader and writer.

mod client;
mod commit;
mod drastic;
mod insert;
mod lock;
mod names;
mod order;
mod place;
pub(crate) mod read;
mod recover;
mod triads;
mod update;
mod urls;
mod views;

pub(crate) use place::{Place, current_name, exists};

use crate::{
    db::{Cell, Db, Dialect, Doing as _, LOOKUP, Pools, Rights, Statement, failure},
    ledger,
    open::Access,
};
use client::{Reader, Session, Writer};
use pofr_core::{
    identity::Cid,
    store::{ClientEntry, ClientReader, ClientStore, Store, StoreError},
};
use std::{path::Path, sync::Arc};

/// Names that are databases of somebody else's, or ours for another purpose.
const RESERVED: [&str; 6] = [LOOKUP, "mysql", "sys", "test", "main", "temp"];

/// All clients' records in one place.
pub(crate) struct SqlStore {
    pools: Arc<Pools>,
    access: Access,
}

impl SqlStore {
    /// Opens what is at the pools' location; with [`Access::Write`] makes the host-lookup table where it is missing.
    pub(crate) fn open(pools: Pools, access: Access) -> Result<Self, StoreError> {
        if access == Access::Write {
            let mut db = match pools.file(LOOKUP) {
                Some(_) => pools.get(LOOKUP, Rights::Create)?,
                None => {
                    let mut db = pools.get("", Rights::Create)?;
                    create_database(&mut db, LOOKUP)?;
                    db
                }
            };
            ledger::migrate_lookup(&mut db)?;
        }
        let store = Self { pools: Arc::new(pools), access };
        store.clients()?;
        Ok(store)
    }

    fn may_write(&self, action: &str) -> Result<(), StoreError> {
        match self.access {
            Access::Write => Ok(()),
            Access::Read => Err(failure(action, "the store was opened for reading only")),
        }
    }

    fn known(&self, cid: &Cid) -> Result<(), StoreError> {
        let mut db = self.pools.get(LOOKUP, Rights::Read)?;
        match ledger::client(&mut db, cid)? {
            Some(_) => Ok(()),
            None => Err(StoreError::NoClient(cid.to_string())),
        }
    }

    /// Makes a client's database with its tables where they are missing.
    fn make(&self, lookup: &mut Db, cid: &Cid) -> Result<(), StoreError> {
        let database = &cid.database();
        if lookup.dialect() == Dialect::Mariadb {
            refuse_foreign(lookup, database)?;
            create_database(lookup, database)?;
        }
        let mut db = self.pools.get(database, Rights::Create)?;
        let lock = lock::take(&mut db, cid, self.pools.file(database).as_deref(), database)?;
        let made = ledger::migrate(&mut db, database).and_then(|()| {
            // The views of a new client, which are empty.
            recover::recover(&mut db).map(drop)
        });
        lock.release(&mut db);
        made
    }

    /// Connects to a client's database, and checks that this program knows its schema.
    fn session(&self, cid: &Cid, rights: Rights) -> Result<Session, StoreError> {
        self.known(cid)?;
        let database = cid.database();
        let mut db = self.pools.get(&database, rights)?;
        let found = ledger::version(&mut db, &database)?.unwrap_or(0);
        if found > ledger::VERSION || (found < ledger::VERSION && rights == Rights::Read) {
            return Err(StoreError::SchemaVersion { database, found, known: ledger::VERSION });
        }
        Ok(Session { db, cid: cid.clone(), file: self.pools.file(&database), pools: Arc::clone(&self.pools) })
    }
}

/// Makes a database on MariaDB where there is none of that name.
fn create_database(db: &mut Db, name: &str) -> Result<(), StoreError> {
    let statement = Statement::new("CREATE DATABASE IF NOT EXISTS ")
        .name(name.to_owned())
        .sql(" CHARACTER SET utf8mb4 COLLATE utf8mb4_bin");
    db.execute(statement).doing(format_args!("make database {name}"))?;
    Ok(())
}

/// Removes a SQLite database with its log and shared memory; the lock's file stays, as it must.
fn remove_files(file: &Path) -> std::io::Result<()> {
    for ending in ["", "-wal", "-shm"] {
        let mut name = file.as_os_str().to_owned();
        name.push(ending);
        match std::fs::remove_file(&name) {
            Err(error) if error.kind() != std::io::ErrorKind::NotFound => return Err(error),
            _ => {}
        }
    }
    Ok(())
}

/// Tells whether MariaDB has a database of that name.
fn database_exists(db: &mut Db, name: &str) -> Result<bool, StoreError> {
    let statement = Statement::new("SELECT COUNT(*) FROM information_schema.schemata WHERE schema_name = ")
        .bind(Cell::text(name.to_owned()));
    Ok(db.number(statement).doing(format_args!("look for database {name}"))? != Some(0))
}

/// Refuses a database that has tables but not ours.
fn refuse_foreign(db: &mut Db, name: &str) -> Result<(), StoreError> {
    let tables = Statement::new(
        "SELECT COUNT(*) FROM information_schema.tables t WHERE NOT EXISTS (SELECT 1 FROM information_schema.tables o \
         WHERE o.table_schema = t.table_schema AND o.table_name = 'pofr_meta') AND t.table_schema = ",
    )
    .bind(Cell::text(name.to_owned()));
    let foreign = db.number(tables).doing(format_args!("look into database {name}"))?.unwrap_or(0);
    if foreign > 0 {
        return Err(failure(format_args!("make database {name}"), "it exists, and POFR did not make it"));
    }
    Ok(())
}

impl Store for SqlStore {
    fn clients(&self) -> Result<Vec<ClientEntry>, StoreError> {
        ledger::clients(&mut self.pools.get(LOOKUP, Rights::Read)?)
    }

    fn add_client(&self, client: &ClientEntry) -> Result<(), StoreError> {
        let action = format!("add client {}", client.cid);
        self.may_write(&action)?;
        let database = client.cid.database();
        if RESERVED.iter().any(|name| database.eq_ignore_ascii_case(name)) {
            return Err(failure(action, format!("{database} is the name of another database")));
        }
        let mut lookup = self.pools.get(LOOKUP, Rights::Write)?;
        // Two ids that differ only in their dashes would share a database.
        let same = |known: &ClientEntry| known.cid.database().eq_ignore_ascii_case(&database);
        if ledger::clients(&mut lookup)?.iter().any(same) {
            return Err(StoreError::ClientExists(client.cid.clone()));
        }
        // The row comes last: a database without a row is nobody's, and is taken over when the client is added again.
        self.make(&mut lookup, &client.cid)?;
        let added = lookup.write(&action, |db| {
            if ledger::clients(db)?.iter().any(same) {
                return Err(StoreError::ClientExists(client.cid.clone()));
            }
            ledger::insert_client(db, client)
        });
        // On MariaDB two may both see that there is none; then the second row is refused by its key.
        match added {
            Err(_) if ledger::clients(&mut lookup)?.iter().any(same) => {
                Err(StoreError::ClientExists(client.cid.clone()))
            }
            other => other,
        }
    }

    fn set_last_ip(&self, cid: &Cid, ip: &str) -> Result<(), StoreError> {
        self.may_write("write down a client's address")?;
        ledger::set_last_ip(&mut self.pools.get(LOOKUP, Rights::Write)?, cid, ip)
    }

    fn restore_client(&self, cid: &Cid) -> Result<(), StoreError> {
        self.may_write("make a client's database")?;
        self.known(cid)?;
        let database = cid.database();
        let mut lookup = self.pools.get(LOOKUP, Rights::Write)?;
        let there = match self.pools.file(&database) {
            Some(file) => file.exists(),
            None => database_exists(&mut lookup, &database)?,
        };
        if there { Ok(()) } else { self.make(&mut lookup, cid) }
    }

    fn remove_client(&self, cid: &Cid) -> Result<(), StoreError> {
        let action = format!("remove client {cid}");
        self.may_write(&action)?;
        self.known(cid)?;
        let database = cid.database();
        let file = self.pools.file(&database);
        let mut lookup = self.pools.get(LOOKUP, Rights::Write)?;
        let there = match &file {
            Some(file) => file.exists(),
            None => database_exists(&mut lookup, &database)?,
        };
        if !there {
            return ledger::delete_client(&mut lookup, cid);
        }
        let mut db = self.pools.get(&database, Rights::Write)?;
        let lock = lock::take(&mut db, cid, file.as_deref(), &database)?;
        let removed = ledger::delete_client(&mut lookup, cid).and_then(|()| match &file {
            Some(file) => remove_files(file).map_err(|e| failure(&action, e)),
            None => {
                let statement = Statement::new("DROP DATABASE ").name(database.clone());
                lookup.execute(statement).map(drop).doing(format_args!("drop database {database}"))
            }
        });
        lock.release(&mut db);
        removed
    }

    fn write(&self, cid: &Cid) -> Result<Box<dyn ClientStore>, StoreError> {
        self.may_write("write a client's record")?;
        let mut session = self.session(cid, Rights::Write)?;
        let database = cid.database();
        let lock = lock::take(&mut session.db, cid, session.file.as_deref(), &database)?;
        ledger::migrate(&mut session.db, &database)?;
        Ok(Box::new(Writer::new(session, lock)?))
    }

    fn read(&self, cid: &Cid) -> Result<Box<dyn ClientReader>, StoreError> {
        Ok(Box::new(Reader { session: self.session(cid, Rights::Read)? }))
    }
}
