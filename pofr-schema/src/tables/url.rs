//! urlinfo: the first POFR's table of URLs, which nothing fills yet.

use super::{Column, Type, ddl, lifetime_columns};
use crate::db::{Dialect, Statement};

/// Its columns before the broken-down time.
pub(crate) const URLINFO: [Column; 7] = [
    Column::new("urlinfo", Type::Id, "primary key"),
    Column::new("cmicros", Type::Big, "when, µs since 1970"),
    Column::new("zone", Type::Big, "the client's offset from UTC, minutes east"),
    Column::opt("sourceip", Type::Ascii(45), "who asked"),
    Column::opt("destip", Type::Ascii(45), "who was asked"),
    Column::opt("url", Type::Bytes, "the URL"),
    Column::opt("users", Type::Bytes, "users logged in, separated by commas"),
];

/// Returns the statements that make it.
pub(crate) fn create(dialect: Dialect) -> Vec<Statement<'static>> {
    ddl::create("urlinfo", "urlinfo", &all_columns(), &[], dialect)
}

/// Returns all of its columns.
pub(crate) fn all_columns() -> Vec<Column> {
    URLINFO.into_iter().chain(lifetime_columns::begin_only()).collect()
}
