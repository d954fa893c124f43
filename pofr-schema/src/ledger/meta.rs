//! Numbers by name: the schema's version, and the generation of the set of triads.

use super::schema::pofr_meta;
use crate::db::{Db, Doing as _, on_link};
use diesel::prelude::*;
use pofr_core::store::StoreError;

/// Returns a number; `None` where it was never set.
pub(crate) fn get(db: &mut Db, name: &str) -> Result<Option<i64>, StoreError> {
    on_link!(db, conn => pofr_meta::table.find(name).select(pofr_meta::value).first(conn).optional())
        .doing("read table pofr_meta")
}

/// Sets a number.
pub(crate) fn set(db: &mut Db, name: &str, value: i64) -> Result<(), StoreError> {
    on_link!(db, conn => diesel::replace_into(pofr_meta::table)
        .values((pofr_meta::name.eq(name), pofr_meta::value.eq(value)))
        .execute(conn))
    .doing("write table pofr_meta")?;
    Ok(())
}

/// Returns the generation: it goes up by one with every change of the set of triads.
pub(crate) fn generation(db: &mut Db) -> Result<i64, StoreError> {
    Ok(get(db, "generation")?.unwrap_or(0))
}

/// Counts the generation up.
pub(crate) fn bump_generation(db: &mut Db) -> Result<(), StoreError> {
    let next = generation(db)? + 1;
    set(db, "generation", next)
}
