//! Questions to pofr_spans that need not read all of it.

use super::{
    bundles::{format_of, span_of},
    names::Names,
    schema::{pofr_bundles, pofr_spans},
};
use crate::db::{Cell, Db, Doing as _, Statement, on_link};
use diesel::{dsl, prelude::*};
use pofr_core::{
    coverage::{Border, Coverage, Neighbour, PlacedSpan},
    identity::{BundleSeq, RunId},
    source::Source,
    store::{Edge, StoreError},
    time::WallMicros,
};
use std::collections::HashMap;

const ACTION: &str = "read table pofr_spans";

/// The last stamps of sources in runs, as one triad's bundles have them.
pub(crate) type Ends = HashMap<(RunId, Source), WallMicros>;

/// Returns the last stamp of every source and run in one triad.
pub(crate) fn triad_ends(db: &mut Db, names: &Names, triad: i64) -> Result<Ends, StoreError> {
    let rows: Vec<(i64, String, Option<i64>)> = on_link!(db, conn => pofr_spans::table
        .filter(pofr_spans::triad.eq(triad))
        .group_by((pofr_spans::run, pofr_spans::source))
        .select((pofr_spans::run, pofr_spans::source, dsl::max(pofr_spans::last_stamp)))
        .load(conn))
    .doing(ACTION)?;
    let ends = rows.into_iter().filter_map(|(run, source, last)| {
        Some(((*names.run_names.get(&run)?, Source::parse(&source)?), WallMicros(last?)))
    });
    Ok(ends.collect())
}

/// Returns the third parties' sources.
pub(crate) fn custom_sources(db: &mut Db) -> Result<Vec<Source>, StoreError> {
    // One look into the index for each source, where DISTINCT would read all of it.
    let statement = Statement::new(
        "WITH RECURSIVE each_source (source) AS (SELECT MIN(source) FROM pofr_spans UNION ALL \
         SELECT (SELECT MIN(s.source) FROM pofr_spans s WHERE s.source > e.source) FROM each_source e \
         WHERE e.source IS NOT NULL) SELECT source FROM each_source WHERE source IS NOT NULL",
    );
    let records = db.query(statement).doing(ACTION)?;
    let mut sources = Vec::new();
    for record in records {
        let source = record.reader("pofr_spans").parsed("source", Source::parse)?;
        sources.extend(matches!(source, Source::Custom(_)).then_some(source));
    }
    Ok(sources)
}

/// Returns, for each run, the span of `source` that begins last at or before `t`, and the one that begins first after it.
pub(crate) fn spans_around(
    db: &mut Db,
    names: &Names,
    source: &Source,
    t: WallMicros,
) -> Result<Vec<PlacedSpan>, StoreError> {
    let mut found = Vec::new();
    for (run, before, after) in nearest(db, source, (t, t))? {
        if let Some(first) = before {
            found.extend(placed(db, names, source, run, (first, first))?);
        }
        if let Some(first) = after {
            found.extend(placed(db, names, source, run, (first, first))?);
        }
    }
    Ok(found)
}

/// Returns the border at an edge of a run's record.
pub(crate) fn border_at(
    db: &mut Db,
    names: &Names,
    run: RunId,
    source: &Source,
    edge: Edge,
) -> Result<Option<Border>, StoreError> {
    let t = match edge {
        Edge::EndingAt(t) => t,
        // So that the span that begins there counts as the one behind.
        Edge::BeginningAt(t) => t.plus(-1),
    };
    let coverage = Coverage::new(&spans_around(db, names, source, t)?);
    let neighbour = match edge {
        Edge::EndingAt(t) => coverage.after(run, source, t),
        Edge::BeginningAt(t) => coverage.before(run, source, t),
    };
    Ok(match neighbour {
        Some(Neighbour::Border(border)) => Some(border),
        _ => None,
    })
}

/// Returns the spans of `source` that begin within a time, and of each run the nearest before and after that.
pub(crate) fn spans_within(
    db: &mut Db,
    names: &Names,
    source: &Source,
    (from, to): (WallMicros, WallMicros),
) -> Result<Vec<PlacedSpan>, StoreError> {
    let mut found = Vec::new();
    for (run, before, after) in nearest(db, source, (from, to))? {
        found.extend(placed(
            db,
            names,
            source,
            run,
            (before.unwrap_or(from.0).min(from.0), after.unwrap_or(to.0)),
        )?);
    }
    Ok(found)
}

/// A run's number, and the first stamps of its spans on both sides of a time.
type Nearest = (i64, Option<i64>, Option<i64>);

/// Returns, for each run, the first stamps of the spans of `source` next to a time: the last at or before its begin, and
/// the first after its end.
fn nearest(
    db: &mut Db,
    source: &Source,
    (from, to): (WallMicros, WallMicros),
) -> Result<Vec<Nearest>, StoreError> {
    let one = |function: &'static str, sign: &'static str| {
        format!(
            "(SELECT {function}(s.first_stamp) FROM pofr_spans s WHERE s.run = r.id AND s.first_stamp {sign} "
        )
    };
    let name = || Cell::text(source.name().to_owned());
    let statement = Statement::new("SELECT r.id, ")
        .sql(one("MAX", "<="))
        .int(from.0)
        .sql(" AND s.source = ")
        .bind(name())
        .sql("), ")
        .sql(one("MIN", ">"))
        .int(to.0)
        .sql(" AND s.source = ")
        .bind(name())
        .sql(") FROM pofr_runs r");
    let records = db.query(statement).doing(ACTION)?;
    records
        .into_iter()
        .map(|record| {
            let mut values = record.reader("pofr_spans");
            Ok((values.int("run")?, values.opt_int("first_stamp")?, values.opt_int("first_stamp")?))
        })
        .collect()
}

/// Returns the spans of one source and run that begin within a time, both ends included.
fn placed(
    db: &mut Db,
    names: &Names,
    source: &Source,
    run: i64,
    (from, to): (i64, i64),
) -> Result<Vec<PlacedSpan>, StoreError> {
    type Stored = ((i64, i64, i64, i64, i64), (i64, String, i64, i64));
    let rows: Vec<Stored> = on_link!(db, conn => pofr_spans::table
        .inner_join(pofr_bundles::table.on(pofr_bundles::sha256.eq(pofr_spans::bundle)))
        .filter(pofr_spans::source.eq(source.name()))
        .filter(pofr_spans::run.eq(run))
        .filter(pofr_spans::first_stamp.between(from, to))
        .select((
            (
                pofr_spans::triad,
                pofr_spans::first_stamp,
                pofr_spans::last_stamp,
                pofr_spans::joins_left,
                pofr_spans::joins_right,
            ),
            (
                pofr_bundles::seq,
                pofr_bundles::format,
                pofr_bundles::interval_micros,
                pofr_bundles::boot,
            ),
        ))
        .load(conn))
    .doing(ACTION)?;
    rows.into_iter()
        .map(|((triad, first, last, left, right), (seq, format, interval, boot))| {
            let corrupt = || StoreError::Corrupt {
                table: "pofr_spans".into(),
                detail: format!("the span of run {run} that begins at {first} makes no sense"),
            };
            Ok(PlacedSpan {
                run: *names.run_names.get(&run).ok_or_else(corrupt)?,
                boot: *names.context.boot_names.get(&boot).ok_or_else(corrupt)?,
                seq: BundleSeq(seq.cast_unsigned()),
                succession: format_of(&format).ok_or_else(corrupt)?.succession(interval.cast_unsigned()),
                group: triad,
                span: span_of(source.name().to_owned(), first, last, left, right).ok_or_else(corrupt)?,
            })
        })
        .collect()
}
