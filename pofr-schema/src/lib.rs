//! POFR's tables: the SQLite and MariaDB stores behind [`pofr_core::Store`], and the queries over them.
//!
//! [`open`] takes a URL and gives a store; everything else is behind core's traits. docs/schema.md has every table and
//! column. MariaDB needs the cargo feature `mariadb` and Debian's libmariadb.
//!
//! Inside: `db` is a connection to either database, `tables` how facts become rows, `ledger` the static tables that
//! say what is stored, `store` reading and writing, `query` the questions.
#![forbid(unsafe_code)]

#[cfg(test)]
mod conformance;
mod db;
#[cfg(any(test, feature = "fuzzing"))]
#[doc(hidden)]
pub mod fuzzing;
mod ledger;
pub mod login;
mod open;
pub mod query;
mod reference;
pub mod rights;
mod store;
mod tables;
mod url;

pub use open::{Access, OpenError, open};
pub use reference::reference;
pub use url::{Location, Server, UrlError};
