//! What lies next to a bundle in the ledger, by a few looks into indexes however long the ledger is.

use super::{
    bundles::load_some,
    names::Names,
    schema::{pofr_bundles, pofr_triads},
};
use crate::db::{Cell, Db, Doing as _, Statement, on_link};
use diesel::{dsl, prelude::*};
use pofr_core::{
    digest::Sha256,
    identity::{BundleSeq, Cid, RunId},
    source::Source,
    store::{RunOrder, StoreError, StoredBundle},
    time::WallMicros,
};
use std::collections::{BTreeSet, HashSet};

const ACTION: &str = "read table pofr_bundles";
/// How many digests one statement asks for.
const DIGESTS: usize = 500;
/// How many looks go into one statement; SQLite takes at most 500 terms.
const TERMS: usize = 100;

/// Returns those of `bundles` that are stored.
pub(crate) fn stored(db: &mut Db, bundles: &[Sha256]) -> Result<HashSet<Sha256>, StoreError> {
    let mut found = HashSet::new();
    for some in bundles.chunks(DIGESTS) {
        let some: Vec<String> = some.iter().map(Sha256::to_string).collect();
        let there: Vec<String> = on_link!(db, conn => pofr_bundles::table
            .filter(pofr_bundles::sha256.eq_any(&some))
            .select(pofr_bundles::sha256)
            .load(conn))
        .doing(ACTION)?;
        found.extend(there.iter().filter_map(|text| Sha256::parse(text)));
    }
    Ok(found)
}

/// Returns the client that stored bundles name. All v2 bundles do, so the first one of each run tells.
pub(crate) fn owner(db: &mut Db) -> Result<Option<Cid>, StoreError> {
    let statement = Statement::new(
        "SELECT cid FROM (SELECT (SELECT b.cid FROM pofr_bundles b WHERE b.run = r.id ORDER BY b.seq LIMIT 1) AS cid \
         FROM pofr_runs r) o WHERE cid IS NOT NULL LIMIT 1",
    );
    match db.query(statement).doing(ACTION)?.into_iter().next() {
        Some(record) => record.reader("pofr_bundles").opt_parsed("cid", Cid::parse),
        None => Ok(None),
    }
}

/// Returns the latest stamp of any bundle.
pub(crate) fn last_stamp(db: &mut Db) -> Result<Option<WallMicros>, StoreError> {
    let last: Option<i64> = on_link!(db, conn => pofr_triads::table
        .filter(pofr_triads::state.eq("live"))
        .select(dsl::max(pofr_triads::to_stamp))
        .first(conn))
    .doing("read table pofr_triads")?;
    Ok(last.map(WallMicros))
}

/// Returns the stored bundles next to `bundle`, see [`pofr_core::store::Vicinity::near`].
pub(crate) fn near(
    db: &mut Db,
    names: &Names,
    bundle: &StoredBundle,
) -> Result<Vec<StoredBundle>, StoreError> {
    let Some(&run) = names.runs.get(&bundle.entry.run) else { return Ok(Vec::new()) };
    let seq = bundle.entry.seq.0.cast_signed();
    let first = bundle.entry.first.0;
    let mut looks = vec![
        Look::bundle(run, "seq", "<=", seq),
        Look::bundle(run, "seq", ">", seq),
        Look::bundle(run, "first_stamp", "<=", first),
        Look::bundle(run, "first_stamp", ">", first),
    ];
    for span in &bundle.spans {
        looks.push(Look::span(run, &span.source, "<=", span.first.0));
        looks.push(Look::span(run, &span.source, ">", span.first.0));
    }
    look(db, names, &looks)
}

/// Returns the first and last stamps of the bundles of a run on both sides of `t`.
pub(crate) fn beside(
    db: &mut Db,
    names: &Names,
    run: RunId,
    t: WallMicros,
) -> Result<Vec<(WallMicros, WallMicros)>, StoreError> {
    let Some(&run) = names.runs.get(&run) else { return Ok(Vec::new()) };
    let looks = [Look::bundle(run, "first_stamp", "<=", t.0), Look::bundle(run, "first_stamp", ">", t.0)];
    Ok(look(db, names, &looks)?.iter().map(|b| (b.entry.first, b.entry.last)).collect())
}

/// Returns the bundles at both ends of a run, see [`pofr_core::store::Vicinity::ends`].
pub(crate) fn ends(db: &mut Db, names: &Names, run: RunId) -> Result<Vec<StoredBundle>, StoreError> {
    const SOURCES: [Source; 6] =
        [Source::Process, Source::Endpoint, Source::Interface, Source::Route, Source::Device, Source::Module];
    let Some(&run) = names.runs.get(&run) else { return Ok(Vec::new()) };
    let mut looks = vec![Look::bundle(run, "seq", ">=", i64::MIN)];
    for source in &SOURCES {
        looks.push(Look::span(run, source, ">=", i64::MIN));
        looks.push(Look::span(run, source, "<=", i64::MAX));
    }
    look(db, names, &looks)
}

/// Returns all runs that have bundles.
pub(crate) fn runs(db: &mut Db, names: &Names) -> Result<Vec<RunOrder>, StoreError> {
    let statement = Statement::new(
        "SELECT r.id, (SELECT b.boot FROM pofr_bundles b WHERE b.run = r.id ORDER BY b.seq LIMIT 1), \
         (SELECT MIN(b.seq) FROM pofr_bundles b WHERE b.run = r.id) FROM pofr_runs r",
    );
    let mut runs = Vec::new();
    for record in db.query(statement).doing(ACTION)? {
        let mut values = record.reader("pofr_bundles");
        let (run, boot, first): (i64, Option<i64>, Option<i64>) =
            (values.int("run")?, values.opt_int("boot")?, values.opt_int("seq")?);
        let (Some(boot), Some(first)) = (boot, first) else { continue };
        let boot = names.context.boot_names.get(&boot);
        runs.push(RunOrder {
            run: *names.run_names.get(&run).ok_or_else(|| values.corrupt("a run without a name"))?,
            boot: *boot.ok_or_else(|| values.corrupt("a boot without a name"))?,
            first: BundleSeq(first.cast_unsigned()),
        });
    }
    Ok(runs)
}

/// One look into an index: the nearest bundle on one side.
struct Look {
    sql: String,
    source: Option<String>,
    bound: i64,
    order: String,
}

impl Look {
    fn bundle(run: i64, column: &str, sign: &str, bound: i64) -> Self {
        let sql = format!("SELECT sha256 AS bundle FROM pofr_bundles WHERE run = {run} AND {column} {sign} ");
        Self { sql, source: None, bound, order: order(column, sign) }
    }

    fn span(run: i64, source: &Source, sign: &str, bound: i64) -> Self {
        let sql = format!("SELECT bundle FROM pofr_spans WHERE run = {run} AND first_stamp {sign} ");
        Self { sql, source: Some(source.name().to_owned()), bound, order: order("first_stamp", sign) }
    }
}

/// The nearest comes first.
fn order(column: &str, sign: &str) -> String {
    let direction = if sign.starts_with('<') { "DESC" } else { "ASC" };
    format!(" ORDER BY {column} {direction} LIMIT 1")
}

/// Takes all these looks, and reads the bundles that are found.
fn look(db: &mut Db, names: &Names, looks: &[Look]) -> Result<Vec<StoredBundle>, StoreError> {
    let mut found: BTreeSet<String> = BTreeSet::new();
    for some in looks.chunks(TERMS) {
        let mut statement = Statement::new("");
        for (i, look) in some.iter().enumerate() {
            statement = statement
                .sql(if i > 0 { " UNION SELECT bundle FROM (" } else { "SELECT bundle FROM (" })
                .sql(look.sql.as_str())
                .int(look.bound);
            if let Some(source) = &look.source {
                statement = statement.sql(" AND source = ").bind(Cell::text(source.as_str()));
            }
            statement = statement.sql(look.order.as_str()).sql(format!(") l{i}"));
        }
        for record in db.query(statement).doing(ACTION)? {
            found.insert(record.reader("pofr_bundles").parsed("sha256", |text| Some(text.to_owned()))?);
        }
    }
    load_some(db, names, &found.into_iter().collect::<Vec<_>>())
}
