//! urlinfo: the first POFR's table of URLs: those among the arguments of processes.

use super::{Column, Type, ddl, lifetime_columns};
use crate::db::{Dialect, Statement};

/// Its columns before the broken-down time.
pub(crate) const URLINFO: [Column; 10] = [
    Column::new("urlinfo", Type::Id, "primary key"),
    Column::new("run", Type::Big, "the recorder's run: pofr_runs.id"),
    Column::new("entity", Type::Ascii(40), "the process, as in the other tables"),
    Column::new("pid", Type::U32, "its process id"),
    Column::new("cmicros", Type::Big, "when the process was first known to have it, µs since 1970"),
    Column::new("zone", Type::Big, "the client's offset from UTC, minutes east"),
    Column::opt("sourceip", Type::Ascii(45), "who asked; not known from arguments, so NULL"),
    Column::opt("destip", Type::Ascii(45), "who was asked; not known from arguments, so NULL"),
    Column::opt("url", Type::Bytes, "the URL, http or https, as it stands in the arguments"),
    Column::opt(
        "users",
        Type::Bytes,
        "who ran the process: the name that the client's accounts had for its real user id, else the number, ? where it is not known",
    ),
];

/// Its indexes.
const INDEXES: [super::Index; 2] = [("entity", &["entity"], None), ("first", &["cmicros"], None)];

/// Returns the statements that make it.
pub(crate) fn create(dialect: Dialect) -> Vec<Statement<'static>> {
    ddl::create("urlinfo", "urlinfo", &all_columns(), &INDEXES, dialect)
}

/// Returns all of its columns.
pub(crate) fn all_columns() -> Vec<Column> {
    URLINFO.into_iter().chain(lifetime_columns::begin_only()).collect()
}
