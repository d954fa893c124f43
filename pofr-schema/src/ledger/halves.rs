//! pofr_halves: halves of v1 snapshots that wait for their other half.

use super::schema::pofr_halves::{self, dsl};
use crate::db::{Db, Doing as _, on_link};
use diesel::prelude::*;
use pofr_core::{
    digest::Sha256,
    store::{PendingHalf, StoreError},
    time::{WallMicros, ZoneOffset},
};

const ACTION: &str = "write table pofr_halves";

/// Returns all that wait, oldest first.
pub(crate) fn load_halves(db: &mut Db) -> Result<Vec<PendingHalf>, StoreError> {
    type Stored = (i64, i64, i64, Vec<u8>, String, i64);
    let stored: Vec<Stored> =
        on_link!(db, conn => pofr_halves::table.order((dsl::stamp, dsl::is_proc)).load(conn))
            .doing("read table pofr_halves")?;
    stored
        .into_iter()
        .map(|(stamp, is_proc, zone, text, bundle, received)| {
            let corrupt =
                |detail: &str| StoreError::Corrupt { table: "pofr_halves".into(), detail: detail.into() };
            Ok(PendingHalf {
                stamp: WallMicros(stamp),
                is_proc: is_proc != 0,
                zone: i32::try_from(zone)
                    .ok()
                    .and_then(ZoneOffset::from_minutes)
                    .ok_or_else(|| corrupt("zone is out of range"))?,
                text,
                bundle: Sha256::parse(&bundle).ok_or_else(|| corrupt("bundle is no SHA-256"))?,
                received: WallMicros(received),
            })
        })
        .collect()
}

/// Keeps halves for later; one of the same stamp and side is replaced.
pub(crate) fn keep_halves(db: &mut Db, halves: &[PendingHalf]) -> Result<(), StoreError> {
    for half in halves {
        on_link!(db, conn => diesel::replace_into(pofr_halves::table)
            .values((
                dsl::stamp.eq(half.stamp.0),
                dsl::is_proc.eq(i64::from(half.is_proc)),
                dsl::zone.eq(i64::from(half.zone.minutes())),
                dsl::content.eq(half.text.as_slice()),
                dsl::bundle.eq(half.bundle.to_string()),
                dsl::received.eq(half.received.0),
            ))
            .execute(conn))
        .doing(ACTION)?;
    }
    Ok(())
}

/// Drops halves, by stamp and side.
pub(crate) fn drop_halves(db: &mut Db, halves: &[(WallMicros, bool)]) -> Result<(), StoreError> {
    for (stamp, is_proc) in halves {
        on_link!(db, conn => diesel::delete(pofr_halves::table.find((stamp.0, i64::from(*is_proc)))).execute(conn))
            .doing(ACTION)?;
    }
    Ok(())
}
