//! Connections: one [`Db`] over both databases, which differ only behind it and in [`Dialect`].
//!
//! Static tables go through Diesel's typed queries (see [`crate::ledger`]); tables whose names are made
//! at run time go through [`Statement`], which quotes every name and binds every value.

mod cell;
mod connect;
mod hint;
#[cfg(feature = "mariadb")]
mod mariadb;
mod row;
mod sqlite;
mod statement;

pub(crate) use cell::Cell;
pub(crate) use connect::{LOOKUP, Pools, Rights};
pub(crate) use row::{NamedRecord, Record, Value, Values};
pub(crate) use statement::{Insert, Statement};

use diesel::{
    RunQueryDsl as _,
    connection::{
        AnsiTransactionManager, CacheSize, Connection as _, DefaultLoadingMode, SimpleConnection as _,
        TransactionManager,
    },
    r2d2::{ConnectionManager, PooledConnection},
    result::Error,
};
use pofr_core::store::StoreError;
use std::ops::ControlFlow;

/// Whose SQL is to be spoken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Dialect {
    /// SQLite.
    Sqlite,
    /// MariaDB.
    Mariadb,
}

/// A pooled connection of either kind.
pub(crate) enum Link {
    Sqlite(PooledConnection<ConnectionManager<diesel::SqliteConnection>>),
    #[cfg(feature = "mariadb")]
    Mariadb(PooledConnection<ConnectionManager<diesel::MysqlConnection>>),
}

/// A connection to one database.
pub(crate) struct Db {
    pub(crate) link: Link,
    rights: Rights,
    /// The table that rows were last added to, and to how many others before it since statements were forgotten.
    filling: (String, u32),
}

/// Runs one expression on the connection inside a [`Db`], whichever it is.
macro_rules! on_link {
    ($db:expr, $conn:ident => $body:expr) => {{
        match ($db.burn(), &mut $db.link) {
            (Err(error), _) => Err(error),
            (Ok(()), $crate::db::Link::Sqlite(pooled)) => {
                let $conn: &mut diesel::SqliteConnection = pooled;
                $body
            }
            #[cfg(feature = "mariadb")]
            (Ok(()), $crate::db::Link::Mariadb(pooled)) => {
                let $conn: &mut diesel::MysqlConnection = pooled;
                $body
            }
        }
    }};
}
pub(crate) use on_link;

impl Db {
    pub(crate) fn new(link: Link, rights: Rights) -> Self {
        Self { link, rights, filling: (String::new(), 0) }
    }

    pub(crate) fn dialect(&self) -> Dialect {
        match self.link {
            Link::Sqlite(_) => Dialect::Sqlite,
            #[cfg(feature = "mariadb")]
            Link::Mariadb(_) => Dialect::Mariadb,
        }
    }

    /// Tells whether the connection may do more than read.
    pub(crate) fn may_write(&self) -> bool {
        self.rights != Rights::Read
    }

    /// Stands before every statement: where tests cut the power.
    pub(crate) fn burn(&mut self) -> Result<(), Error> {
        #[cfg(test)]
        fuse::burn()?;
        Ok(())
    }

    /// Runs statements without parameters that are written in this crate.
    pub(crate) fn batch(&mut self, sql: &str) -> Result<(), Error> {
        on_link!(self, conn => conn.batch_execute(sql))
    }

    /// Runs a statement; returns how many rows it changed.
    pub(crate) fn execute(&mut self, statement: Statement<'_>) -> Result<usize, Error> {
        on_link!(self, conn => statement.execute(conn))
    }

    /// Adds rows.
    pub(crate) fn insert(&mut self, insert: Insert<'_>) -> Result<usize, Error> {
        on_link!(self, conn => insert.execute(conn))
    }

    /// Runs a statement and returns all of its rows.
    pub(crate) fn query(&mut self, statement: Statement<'_>) -> Result<Vec<Record>, Error> {
        on_link!(self, conn => statement.load::<Record>(conn))
    }

    /// Runs a statement and hands out its rows one by one, until `each` has enough.
    pub(crate) fn each(
        &mut self,
        statement: Statement<'_>,
        each: &mut dyn FnMut(NamedRecord) -> ControlFlow<()>,
    ) -> Result<(), Error> {
        on_link!(self, conn => {
            for row in statement.load_iter::<NamedRecord, DefaultLoadingMode>(conn)? {
                if each(row?).is_break() {
                    break;
                }
            }
            Ok(())
        })
    }

    /// Runs a statement that answers with one number, if any.
    pub(crate) fn number(&mut self, statement: Statement<'_>) -> Result<Option<i64>, Error> {
        Ok(self.query(statement)?.first().and_then(Record::first_int))
    }

    /// Runs `body` in a transaction that may write: all of it or nothing.
    pub(crate) fn write<T>(
        &mut self,
        action: &str,
        body: impl FnOnce(&mut Self) -> Result<T, StoreError>,
    ) -> Result<T, StoreError> {
        // IMMEDIATE: a SQLite transaction that begins as a reader cannot always become a writer.
        let begin = match self.dialect() {
            Dialect::Sqlite => "BEGIN IMMEDIATE",
            Dialect::Mariadb => "START TRANSACTION",
        };
        self.within(begin, action, body)
    }

    /// Runs `body` in a transaction that sees one state of the database.
    pub(crate) fn snapshot<T>(
        &mut self,
        action: &str,
        body: impl FnOnce(&mut Self) -> Result<T, StoreError>,
    ) -> Result<T, StoreError> {
        let begin = match self.dialect() {
            Dialect::Sqlite => "BEGIN",
            Dialect::Mariadb => "START TRANSACTION WITH CONSISTENT SNAPSHOT, READ ONLY",
        };
        self.within(begin, action, body)
    }

    /// Runs `body`, one statement that names merged views, in a transaction. What it sees is the state of when its tables were
    /// opened, not of an earlier moment: at that, those that its views name might not have had all their rows yet.
    pub(crate) fn read<T>(
        &mut self,
        action: &str,
        body: impl FnOnce(&mut Self) -> Result<T, StoreError>,
    ) -> Result<T, StoreError> {
        let begin = match self.dialect() {
            Dialect::Sqlite => "BEGIN",
            Dialect::Mariadb => "START TRANSACTION READ ONLY",
        };
        self.within(begin, action, body)
    }

    fn within<T>(
        &mut self,
        begin: &str,
        action: &str,
        body: impl FnOnce(&mut Self) -> Result<T, StoreError>,
    ) -> Result<T, StoreError> {
        on_link!(self, conn => AnsiTransactionManager::begin_transaction_sql(conn, begin)).doing(action)?;
        let result = body(self);
        if result.is_ok() {
            match on_link!(self, conn => AnsiTransactionManager::commit_transaction(conn)) {
                Ok(()) => return result,
                Err(error) => {
                    let _ = self.roll_back();
                    return Err(error).doing(action);
                }
            }
        }
        // A failed rollback leaves a connection that the pool throws away, and the database rolls back itself.
        let _ = self.roll_back();
        result
    }

    fn roll_back(&mut self) -> Result<(), Error> {
        on_link!(self, conn => AnsiTransactionManager::rollback_transaction(conn))
    }

    /// Takes note that rows are to be added to `table`: the prepared statements of a few tables are kept, since each may
    /// hold some megabytes at either end, and a backlog fills hundreds of tables.
    pub(crate) fn begin_filling(&mut self, table: &str) {
        if self.filling.0 != table {
            if self.filling.1 >= 6 {
                self.forget_statements();
            }
            self.filling = (table.to_owned(), self.filling.1 + 1);
        }
    }

    /// Forgets prepared statements: their names of tables would pile up.
    pub(crate) fn forget_statements(&mut self) {
        self.filling = (String::new(), 0);
        let _: Result<(), Error> = on_link!(self, conn => {
            conn.set_prepared_statement_cache_size(CacheSize::Disabled);
            conn.set_prepared_statement_cache_size(CacheSize::Unbounded);
            Ok(())
        });
    }
}

/// Says what was being done when the database failed.
pub(crate) trait Doing<T> {
    /// Turns the error into one that names `action`, a phrase such as `read table x`.
    fn doing(self, action: impl std::fmt::Display) -> Result<T, StoreError>;
}

impl<T> Doing<T> for Result<T, Error> {
    fn doing(self, action: impl std::fmt::Display) -> Result<T, StoreError> {
        self.map_err(|cause| failure(action, cause))
    }
}

/// Makes the error of a database that failed while doing `action`.
pub(crate) fn failure(
    action: impl std::fmt::Display,
    cause: impl Into<Box<dyn std::error::Error + Send + Sync>>,
) -> StoreError {
    StoreError::Database { action: action.to_string(), cause: hint::with_hint(cause.into()) }
}

/// Tells whether a read met a table that was renamed or dropped underneath it: then the list of tables is to be read again.
pub(crate) fn is_vanished(error: &StoreError) -> bool {
    let StoreError::Database { cause, .. } = error else { return false };
    let text = cause.to_string();
    // SQLite; MariaDB's ER_NO_SUCH_TABLE, ER_TABLE_DEF_CHANGED, ER_VIEW_INVALID.
    ["no such table", "doesn't exist", "definition has changed", "references invalid table"]
        .iter()
        .any(|sign| text.contains(sign))
}

/// Tells whether a statement waited in vain for readers to let go of a table (MariaDB's ER_LOCK_WAIT_TIMEOUT).
pub(crate) fn is_kept_waiting(error: &StoreError) -> bool {
    matches!(error, StoreError::Database { cause, .. } if cause.to_string().contains("Lock wait timeout"))
}

/// How tests kill a process between any two statements: after so many of them, every further one of this thread fails,
/// rollbacks too.
#[cfg(test)]
pub(crate) mod fuse {
    use std::cell::Cell;

    thread_local! {
        static LEFT: Cell<Option<u32>> = const { Cell::new(None) };
    }

    /// Sets how many more statements may run; `None` for any number.
    pub(crate) fn set(statements: Option<u32>) {
        LEFT.set(statements);
    }

    /// Tells whether the power is cut.
    pub(crate) fn is_blown() -> bool {
        LEFT.get() == Some(0)
    }

    pub(super) fn burn() -> Result<(), diesel::result::Error> {
        if is_blown() {
            return Err(diesel::result::Error::QueryBuilderError("the power is cut".into()));
        }
        LEFT.set(LEFT.get().map(|left| left - 1));
        Ok(())
    }
}
