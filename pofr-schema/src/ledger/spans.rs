//! Questions to pofr_spans that need not read all of it.

use super::{
    bundles::{format_of, span_of},
    names::Names,
    schema::{pofr_bundles, pofr_spans},
};
use crate::db::{Db, Doing as _, on_link};
use diesel::{dsl, prelude::*};
use pofr_core::{
    coverage::PlacedSpan,
    identity::{BundleSeq, RunId},
    source::Source,
    store::StoreError,
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
    let sources: Vec<String> =
        on_link!(db, conn => pofr_spans::table.select(pofr_spans::source).distinct().load(conn))
            .doing(ACTION)?;
    let sources = sources.iter().filter_map(|name| Source::parse(name));
    Ok(sources.filter(|source| matches!(source, Source::Custom(_))).collect())
}

/// Returns, for each run, the span of `source` that begins last at or before `t`, and the one that begins first after it.
pub(crate) fn spans_around(
    db: &mut Db,
    names: &Names,
    source: &Source,
    t: WallMicros,
) -> Result<Vec<PlacedSpan>, StoreError> {
    let mut found = Vec::new();
    let before: Vec<(i64, Option<i64>)> = on_link!(db, conn => pofr_spans::table
        .filter(pofr_spans::source.eq(source.name()))
        .filter(pofr_spans::first_stamp.le(t.0))
        .group_by(pofr_spans::run)
        .select((pofr_spans::run, dsl::max(pofr_spans::first_stamp)))
        .load(conn))
    .doing(ACTION)?;
    let after: Vec<(i64, Option<i64>)> = on_link!(db, conn => pofr_spans::table
        .filter(pofr_spans::source.eq(source.name()))
        .filter(pofr_spans::first_stamp.gt(t.0))
        .group_by(pofr_spans::run)
        .select((pofr_spans::run, dsl::min(pofr_spans::first_stamp)))
        .load(conn))
    .doing(ACTION)?;
    for (run, first) in before.into_iter().chain(after) {
        let Some(first) = first else { continue };
        type Stored = ((i64, i64, i64, i64, i64), (i64, String, i64, i64));
        let rows: Vec<Stored> = on_link!(db, conn => pofr_spans::table
            .inner_join(pofr_bundles::table.on(pofr_bundles::sha256.eq(pofr_spans::bundle)))
            .filter(pofr_spans::source.eq(source.name()))
            .filter(pofr_spans::run.eq(run))
            .filter(pofr_spans::first_stamp.eq(first))
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
        for ((triad, first, last, left, right), (seq, format, interval, boot)) in rows {
            let corrupt = || StoreError::Corrupt {
                table: "pofr_spans".into(),
                detail: format!("the span of run {run} that begins at {first} makes no sense"),
            };
            found.push(PlacedSpan {
                run: *names.run_names.get(&run).ok_or_else(corrupt)?,
                boot: *names.context.boot_names.get(&boot).ok_or_else(corrupt)?,
                seq: BundleSeq(seq.cast_unsigned()),
                succession: format_of(&format).ok_or_else(corrupt)?.succession(interval.cast_unsigned()),
                group: triad,
                span: span_of(source.name().to_owned(), first, last, left, right).ok_or_else(corrupt)?,
            });
        }
    }
    Ok(found)
}
