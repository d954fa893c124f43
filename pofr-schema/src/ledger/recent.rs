//! The end of the ledger, for those who watch it: reading all of it each minute would cost more than storing what comes.

use super::{
    bundles::{BundleRow, GapRow, corrupt, entry_of, gap_of},
    names::Names,
    schema::{pofr_bundles, pofr_gaps},
};
use crate::db::{Db, Doing as _, on_link};
use diesel::{dsl::max, prelude::*};
use pofr_core::{
    gap::Gap,
    store::{StoreError, StoredBundle, TriadId},
    time::WallMicros,
};
use std::collections::HashMap;

/// Reads the bundles that were received from `since` on, or else those received last, with their gaps but without their spans.
pub(crate) fn recent_bundles(
    db: &mut Db,
    names: &Names,
    since: WallMicros,
) -> Result<Vec<StoredBundle>, StoreError> {
    let last: Option<i64> =
        on_link!(db, conn => pofr_bundles::table.select(max(pofr_bundles::received)).first(conn))
            .doing("read table pofr_bundles")?;
    let Some(last) = last else { return Ok(Vec::new()) };
    let since = since.0.min(last);
    let rows: Vec<BundleRow> = on_link!(db, conn => pofr_bundles::table
        .filter(pofr_bundles::received.ge(since))
        .order((pofr_bundles::run, pofr_bundles::seq))
        .select(BundleRow::as_select())
        .load(conn))
    .doing("read table pofr_bundles")?;
    let gaps: Vec<GapRow> = on_link!(db, conn => pofr_gaps::table
        .inner_join(pofr_bundles::table.on(pofr_bundles::sha256.eq(pofr_gaps::bundle)))
        .filter(pofr_bundles::received.ge(since))
        .order((pofr_gaps::bundle, pofr_gaps::position))
        .select(GapRow::as_select())
        .load(conn))
    .doing("read table pofr_gaps")?;
    let mut gaps_of: HashMap<String, Vec<Gap>> = HashMap::new();
    for row in gaps {
        let bundle = row.bundle.clone();
        let gap = gap_of(row).ok_or_else(|| corrupt("pofr_gaps", &bundle, "source or severity"))?;
        gaps_of.entry(bundle).or_default().push(gap);
    }
    rows.into_iter()
        .map(|row| {
            let (sha, triad) = (row.sha256.clone(), TriadId(row.triad));
            let entry = entry_of(row, names).ok_or_else(|| corrupt("pofr_bundles", &sha, "a column"))?;
            let gaps = gaps_of.remove(&sha).unwrap_or_default();
            Ok(StoredBundle { entry, spans: Vec::new(), gaps, triad })
        })
        .collect()
}
