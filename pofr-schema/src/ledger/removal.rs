//! Taking things out of the ledger: what is forgotten leaves its tombstone, what begins anew leaves nothing.

use super::schema::{pofr_bundles, pofr_gaps, pofr_halves, pofr_spans};
use crate::db::{Db, Doing as _, on_link};
use diesel::prelude::*;
use pofr_core::{
    digest::Sha256,
    store::{StoreError, TriadId},
};

/// How many digests one statement names.
const DIGESTS: usize = 500;

/// Leaves nothing of these bundles but their own entries: they have no triad and cover no time.
pub(crate) fn bury_bundles(db: &mut Db, bundles: &[Sha256]) -> Result<(), StoreError> {
    for some in bundles.chunks(DIGESTS) {
        let some: Vec<String> = some.iter().map(Sha256::to_string).collect();
        on_link!(db, conn => diesel::update(pofr_bundles::table.filter(pofr_bundles::sha256.eq_any(&some)))
            .set(pofr_bundles::triad.eq(TriadId::NONE.0))
            .execute(conn))
        .doing("write table pofr_bundles")?;
        on_link!(db, conn => diesel::delete(pofr_spans::table.filter(pofr_spans::bundle.eq_any(&some)))
            .execute(conn))
        .doing("write table pofr_spans")?;
    }
    Ok(())
}

/// Removes all bundles with what they cover and what they say is missing, and all halves.
pub(crate) fn clear_bundles(db: &mut Db) -> Result<(), StoreError> {
    on_link!(db, conn => diesel::delete(pofr_spans::table).execute(conn)).doing("empty table pofr_spans")?;
    on_link!(db, conn => diesel::delete(pofr_gaps::table).execute(conn)).doing("empty table pofr_gaps")?;
    on_link!(db, conn => diesel::delete(pofr_halves::table).execute(conn))
        .doing("empty table pofr_halves")?;
    on_link!(db, conn => diesel::delete(pofr_bundles::table).execute(conn))
        .doing("empty table pofr_bundles")?;
    Ok(())
}
