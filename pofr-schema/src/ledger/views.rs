//! pofr_views: what the views were last made of, so that only those that changed are made anew.

use super::schema::pofr_views;
use crate::db::{Db, Doing as _, on_link};
use diesel::prelude::*;
use pofr_core::store::StoreError;
use std::collections::BTreeMap;

/// Returns the views that were made, with the SHA-256 of their definitions.
pub(crate) fn load_views(db: &mut Db) -> Result<BTreeMap<String, String>, StoreError> {
    let rows: Vec<(String, String)> =
        on_link!(db, conn => pofr_views::table.load(conn)).doing("read table pofr_views")?;
    Ok(rows.into_iter().collect())
}

/// Notes that a view was made.
pub(crate) fn record_view(db: &mut Db, name: &str, sum: &str) -> Result<(), StoreError> {
    on_link!(db, conn => diesel::replace_into(pofr_views::table)
        .values((pofr_views::name.eq(name), pofr_views::body.eq(sum)))
        .execute(conn))
    .doing("write table pofr_views")?;
    Ok(())
}

/// Notes that a view was dropped.
pub(crate) fn forget_view(db: &mut Db, name: &str) -> Result<(), StoreError> {
    on_link!(db, conn => diesel::delete(pofr_views::table.find(name)).execute(conn))
        .doing("write table pofr_views")?;
    Ok(())
}
