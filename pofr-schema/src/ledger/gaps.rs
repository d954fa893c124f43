//! The gaps that touch a time, without reading all of the ledger.
//!
//! What bundles state is picked by its time. What follows from the ledger ([`pofr_core::gap::derived`]) follows from few
//! bundles: those of the time that lack a neighbour in the chain, of each run the nearest on both sides of the time, and its
//! first and last, by which the runs are put in order.

use super::{
    bundles::{GapRow, corrupt, gap_of, load_some},
    names::Names,
    schema::{pofr_bundles, pofr_gaps},
};
use crate::db::{Cell, Db, Doing as _, Statement, on_link};
use diesel::prelude::*;
use pofr_core::{
    digest::Sha256,
    gap::{self, Gap},
    store::{Ledger, StoreError},
    time::WallMicros,
};
use std::collections::{BTreeSet, HashSet};

const ACTION: &str = "read table pofr_bundles";
/// How many digests one statement asks for.
const DIGESTS: usize = 500;
/// What [`super::bundles`] has in `complete` of a bundle that was made of what was streamed.
const STREAMED: i64 = -1;

/// Returns the gaps that touch a time, in the order of [`gap::of`].
pub(crate) fn gaps_touching(
    db: &mut Db,
    names: &Names,
    (from, until): (Option<WallMicros>, Option<WallMicros>),
) -> Result<Vec<Gap>, StoreError> {
    let (low, high) = (from.map_or(i64::MIN, |t| t.0), until.map_or(i64::MAX, |t| t.0));
    let digests = digests(db, low, high)?;
    let mut ledger = Ledger::default();
    let mut followed = HashSet::new();
    for some in digests.chunks(DIGESTS) {
        ledger.bundles.extend(load_some(db, names, some)?);
        let statement = Statement::new("SELECT b.sha256 FROM pofr_bundles b WHERE b.sha256 IN ")
            .tuple(some.iter().map(|digest| Cell::text(digest.as_str())))
            .sql(" AND EXISTS ")
            .sql(NEXT);
        for record in db.query(statement).doing(ACTION)? {
            followed.insert(record.reader("pofr_bundles").parsed("sha256", Sha256::parse)?);
        }
    }
    let stated = stated(db, low, high)?;
    // Whoever stated them: they are of this time.
    if let Some(first) = ledger.bundles.iter_mut().find(|bundle| !bundle.is_withdrawn()) {
        first.gaps = stated;
    }
    let mut gaps = gap::of_part(&ledger, |entry| followed.contains(&entry.sha256));
    gaps.retain(|gap| touches(gap, low, high));
    Ok(gaps)
}

/// Tells whether a gap has a moment in common with a time: those at which it begins and ends are whole.
fn touches(gap: &Gap, low: i64, high: i64) -> bool {
    gap.from.0 < high.saturating_add(i64::from(low == high)) && gap.to.is_none_or(|to| to.0 > low)
        || gap.to == Some(gap.from) && (low..=high).contains(&gap.from.0)
}

/// The bundle behind another in its chain.
const NEXT: &str = "(SELECT 1 FROM pofr_bundles n WHERE n.run = b.run AND n.seq = b.seq + 1)";
/// The bundle before it.
const PREVIOUS: &str = "(SELECT 1 FROM pofr_bundles p WHERE p.run = b.run AND p.seq = b.seq - 1)";

/// Returns the bundles that decide: of the time those at holes, of each run the nearest on both sides, its first and its last.
fn digests(db: &mut Db, low: i64, high: i64) -> Result<Vec<String>, StoreError> {
    let mut found = BTreeSet::new();
    let within = Statement::new("SELECT b.sha256 FROM pofr_bundles b WHERE b.first_stamp BETWEEN ")
        .int(low)
        .sql(" AND ")
        .int(high)
        .sql(" AND (b.format = 'v1' OR NOT EXISTS ")
        .sql(NEXT)
        .sql(" OR NOT EXISTS ")
        .sql(PREVIOUS)
        .sql(")");
    for record in db.query(within).doing(ACTION)? {
        found.insert(record.reader("pofr_bundles").parsed("sha256", |text| Some(text.to_owned()))?);
    }
    let runs: Vec<i64> =
        on_link!(db, conn => super::schema::pofr_runs::table.select(super::schema::pofr_runs::id).load(conn))
            .doing("read table pofr_runs")?;
    for run in runs {
        let nearest = |table: &str, digest: &str, column: &str, sign: &str, bound: i64, also: &str| {
            let direction = if sign.starts_with('<') { "DESC" } else { "ASC" };
            Statement::new(format!(
                "SELECT {digest} AS bundle FROM {table} WHERE run = {run}{also} AND {column} {sign} "
            ))
            .int(bound)
            .sql(format!(" ORDER BY {column} {direction} LIMIT 1"))
        };
        // Not one that was withdrawn when the whole bundle came.
        let counts = " AND (complete <> -1 OR triad <> 0)";
        let mut looks = vec![
            nearest("pofr_bundles", "sha256", "seq", ">=", i64::MIN, counts),
            nearest("pofr_bundles", "sha256", "seq", "<=", i64::MAX, counts),
            nearest("pofr_bundles", "sha256", "first_stamp", "<", low, counts),
            nearest("pofr_bundles", "sha256", "first_stamp", ">", high, counts),
        ];
        // The silences of v1 are each source's own.
        for source in [" AND source = 'process'", " AND source = 'endpoint'"] {
            looks.push(nearest("pofr_spans", "bundle", "first_stamp", "<", low, source));
            looks.push(nearest("pofr_spans", "bundle", "first_stamp", ">", high, source));
        }
        for look in looks {
            for record in db.query(look).doing(ACTION)? {
                found.insert(record.reader("pofr_bundles").parsed("sha256", |text| Some(text.to_owned()))?);
            }
        }
    }
    Ok(found.into_iter().collect())
}

/// Returns the gaps that bundles state of a time.
fn stated(db: &mut Db, low: i64, high: i64) -> Result<Vec<Gap>, StoreError> {
    let rows: Vec<GapRow> = on_link!(db, conn => pofr_gaps::table
        .inner_join(pofr_bundles::table.on(pofr_bundles::sha256.eq(pofr_gaps::bundle)))
        .filter(pofr_bundles::complete.ne(STREAMED).or(pofr_bundles::triad.ne(0)))
        .filter(pofr_gaps::from_stamp.le(high))
        .filter(pofr_gaps::to_stamp.is_null().or(pofr_gaps::to_stamp.assume_not_null().ge(low)))
        .select(GapRow::as_select())
        .load(conn))
    .doing("read table pofr_gaps")?;
    rows.into_iter()
        .map(|row| {
            let bundle = row.bundle.clone();
            gap_of(row).ok_or_else(|| corrupt("pofr_gaps", &bundle, "source or severity"))
        })
        .collect()
}
