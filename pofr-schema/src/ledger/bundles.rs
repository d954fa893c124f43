//! pofr_bundles, pofr_spans, pofr_gaps: what came, and what it covers.

use super::{
    names::Names,
    schema::{pofr_bundles, pofr_gaps, pofr_spans},
};
use crate::db::{Db, Doing as _, on_link};
use diesel::prelude::*;
use pofr_core::{
    coverage::Span,
    digest::Sha256,
    gap::{Gap, Severity},
    identity::{BundleSeq, Cid},
    source::Source,
    store::{BundleEntry, BundleFormat, StoreError, StoredBundle, TriadId},
    time::{WallMicros, ZoneOffset},
};
use std::collections::HashMap;

#[derive(Queryable, Insertable, Selectable)]
#[diesel(table_name = pofr_bundles)]
pub(super) struct BundleRow {
    cid: Option<String>,
    pub(super) sha256: String,
    name: String,
    format: String,
    seq: i64,
    previous: Option<String>,
    run: i64,
    boot: i64,
    zone: i64,
    first_stamp: i64,
    last_stamp: i64,
    interval_micros: i64,
    samples: i64,
    left_out: i64,
    complete: i64,
    received: i64,
    pub(super) triad: i64,
}

#[derive(Queryable, Insertable, Selectable)]
#[diesel(table_name = pofr_spans)]
struct SpanRow {
    bundle: String,
    position: i64,
    triad: i64,
    run: i64,
    source: String,
    first_stamp: i64,
    last_stamp: i64,
    joins_left: i64,
    joins_right: i64,
}

#[derive(Queryable, Insertable, Selectable)]
#[diesel(table_name = pofr_gaps)]
pub(super) struct GapRow {
    pub(super) bundle: String,
    position: i64,
    source: Option<String>,
    severity: String,
    reason: String,
    from_stamp: i64,
    to_stamp: Option<i64>,
    lost: Option<i64>,
}

/// What `complete` is of a bundle that was made of what was streamed.
const STREAMED: i64 = -1;

/// How many rows one statement adds.
const ROWS: usize = 500;

const FORMATS: [(BundleFormat, &str); 2] = [(BundleFormat::V1, "v1"), (BundleFormat::V2, "v2")];
const SEVERITIES: [(Severity, &str); 2] = [(Severity::Blind, "blind"), (Severity::Thin, "thin")];

pub(super) fn corrupt(table: &str, bundle: &str, what: &str) -> StoreError {
    StoreError::Corrupt { table: table.into(), detail: format!("{what} of bundle {bundle} makes no sense") }
}

/// Reads all bundles, by run and number.
pub(crate) fn load_bundles(db: &mut Db, names: &Names) -> Result<Vec<StoredBundle>, StoreError> {
    let rows: Vec<BundleRow> =
        on_link!(db, conn => pofr_bundles::table.select(BundleRow::as_select()).load(conn))
            .doing("read table pofr_bundles")?;
    let spans: Vec<SpanRow> = on_link!(db, conn => pofr_spans::table
        .order((pofr_spans::bundle, pofr_spans::position))
        .select(SpanRow::as_select())
        .load(conn))
    .doing("read table pofr_spans")?;
    let gaps: Vec<GapRow> = on_link!(db, conn => pofr_gaps::table
        .order((pofr_gaps::bundle, pofr_gaps::position))
        .select(GapRow::as_select())
        .load(conn))
    .doing("read table pofr_gaps")?;
    assemble(names, rows, spans, gaps)
}

/// Reads the bundles with these digests, without their gaps, by run and number.
pub(super) fn load_some(
    db: &mut Db,
    names: &Names,
    digests: &[String],
) -> Result<Vec<StoredBundle>, StoreError> {
    if digests.is_empty() {
        return Ok(Vec::new());
    }
    let rows: Vec<BundleRow> = on_link!(db, conn => pofr_bundles::table
        .filter(pofr_bundles::sha256.eq_any(digests))
        .select(BundleRow::as_select())
        .load(conn))
    .doing("read table pofr_bundles")?;
    let spans: Vec<SpanRow> = on_link!(db, conn => pofr_spans::table
        .filter(pofr_spans::bundle.eq_any(digests))
        .order((pofr_spans::bundle, pofr_spans::position))
        .select(SpanRow::as_select())
        .load(conn))
    .doing("read table pofr_spans")?;
    assemble(names, rows, spans, Vec::new())
}

/// Puts bundles together with their spans and gaps.
fn assemble(
    names: &Names,
    rows: Vec<BundleRow>,
    spans: Vec<SpanRow>,
    gaps: Vec<GapRow>,
) -> Result<Vec<StoredBundle>, StoreError> {
    let mut spans_of: HashMap<String, Vec<Span>> = HashMap::new();
    for row in spans {
        let span = span_of(row.source, row.first_stamp, row.last_stamp, row.joins_left, row.joins_right)
            .ok_or_else(|| corrupt("pofr_spans", &row.bundle, "source"))?;
        spans_of.entry(row.bundle).or_default().push(span);
    }
    let mut gaps_of: HashMap<String, Vec<Gap>> = HashMap::new();
    for row in gaps {
        let bundle = row.bundle.clone();
        let gap = gap_of(row).ok_or_else(|| corrupt("pofr_gaps", &bundle, "source or severity"))?;
        gaps_of.entry(bundle).or_default().push(gap);
    }
    let mut bundles = rows
        .into_iter()
        .map(|row| {
            let sha = row.sha256.clone();
            let triad = TriadId(row.triad);
            let entry = entry_of(row, names).ok_or_else(|| corrupt("pofr_bundles", &sha, "a column"))?;
            let spans = spans_of.remove(&sha).unwrap_or_default();
            let gaps = gaps_of.remove(&sha).unwrap_or_default();
            Ok(StoredBundle { entry, spans, gaps, triad })
        })
        .collect::<Result<Vec<_>, StoreError>>()?;
    bundles.sort_by(|a, b| {
        (a.entry.run, a.entry.seq, a.entry.sha256).cmp(&(b.entry.run, b.entry.seq, b.entry.sha256))
    });
    Ok(bundles)
}

/// Makes a span of what pofr_spans has; `None` where the source's name is none.
pub(super) fn span_of(source: String, first: i64, last: i64, left: i64, right: i64) -> Option<Span> {
    Some(Span {
        source: Source::parse(&source)?,
        first: WallMicros(first),
        last: WallMicros(last),
        joins_left: left != 0,
        joins_right: right != 0,
    })
}

pub(super) fn gap_of(row: GapRow) -> Option<Gap> {
    Some(Gap {
        source: match row.source {
            Some(name) => Some(Source::parse(&name)?),
            None => None,
        },
        severity: SEVERITIES.iter().find(|(_, text)| *text == row.severity)?.0,
        reason: row.reason,
        from: WallMicros(row.from_stamp),
        to: row.to_stamp.map(WallMicros),
        lost: row.lost.map(i64::cast_unsigned),
    })
}

pub(super) fn entry_of(row: BundleRow, names: &Names) -> Option<BundleEntry> {
    Some(BundleEntry {
        cid: match row.cid {
            Some(text) => Some(Cid::parse(&text)?),
            None => None,
        },
        sha256: Sha256::parse(&row.sha256)?,
        name: row.name,
        format: format_of(&row.format)?,
        seq: BundleSeq(row.seq.cast_unsigned()),
        previous: match row.previous {
            Some(text) => Some(Sha256::parse(&text)?),
            None => None,
        },
        run: *names.run_names.get(&row.run)?,
        boot: *names.context.boot_names.get(&row.boot)?,
        zone: ZoneOffset::from_minutes(i32::try_from(row.zone).ok()?)?,
        first: WallMicros(row.first_stamp),
        last: WallMicros(row.last_stamp),
        interval_micros: row.interval_micros.cast_unsigned(),
        samples: row.samples.cast_unsigned(),
        left_out: row.left_out.cast_unsigned(),
        complete: row.complete == 1,
        streamed: row.complete == STREAMED,
        received: WallMicros(row.received),
    })
}

/// Reads the name of a format.
pub(super) fn format_of(text: &str) -> Option<BundleFormat> {
    FORMATS.iter().find(|(_, t)| *t == text).map(|(format, _)| *format)
}

/// Adds bundles; a SHA-256 that is there already is an error.
pub(crate) fn insert_bundles(
    db: &mut Db,
    names: &mut Names,
    bundles: &[StoredBundle],
) -> Result<(), StoreError> {
    for StoredBundle { entry, spans, gaps, triad } in bundles {
        let run = names.run(db, entry.run)?;
        let boot = names.boot(db, entry.boot)?;
        let format = FORMATS.iter().find(|(f, _)| *f == entry.format).map_or("v2", |(_, text)| text);
        let row = BundleRow {
            cid: entry.cid.as_ref().map(|cid| cid.as_str().to_owned()),
            sha256: entry.sha256.to_string(),
            name: entry.name.clone(),
            format: format.to_owned(),
            seq: entry.seq.0.cast_signed(),
            previous: entry.previous.map(|p| p.to_string()),
            run,
            boot,
            zone: i64::from(entry.zone.minutes()),
            first_stamp: entry.first.0,
            last_stamp: entry.last.0,
            interval_micros: entry.interval_micros.cast_signed(),
            samples: entry.samples.cast_signed(),
            left_out: entry.left_out.cast_signed(),
            complete: if entry.streamed { STREAMED } else { i64::from(entry.complete) },
            received: entry.received.0,
            triad: triad.0,
        };
        on_link!(db, conn => diesel::insert_into(pofr_bundles::table).values(&row).execute(conn))
            .doing(format_args!("add bundle {} to table pofr_bundles", entry.sha256))?;
        insert_cover(db, &row.sha256, run, triad.0, spans, gaps)?;
    }
    Ok(())
}

fn insert_cover(
    db: &mut Db,
    bundle: &str,
    run: i64,
    triad: i64,
    spans: &[Span],
    gaps: &[Gap],
) -> Result<(), StoreError> {
    let spans: Vec<SpanRow> = (0..)
        .zip(spans)
        .map(|(position, span)| SpanRow {
            bundle: bundle.to_owned(),
            position,
            triad,
            run,
            source: span.source.name().to_owned(),
            first_stamp: span.first.0,
            last_stamp: span.last.0,
            joins_left: i64::from(span.joins_left),
            joins_right: i64::from(span.joins_right),
        })
        .collect();
    for some in spans.chunks(ROWS) {
        on_link!(db, conn => diesel::insert_into(pofr_spans::table).values(some).execute(conn))
            .doing("write table pofr_spans")?;
    }
    let gaps: Vec<GapRow> = (0..)
        .zip(gaps)
        .map(|(position, gap)| GapRow {
            bundle: bundle.to_owned(),
            position,
            source: gap.source.as_ref().map(|s| s.name().to_owned()),
            severity: SEVERITIES
                .iter()
                .find(|(s, _)| *s == gap.severity)
                .map_or("blind", |(_, text)| text)
                .to_owned(),
            reason: gap.reason.clone(),
            from_stamp: gap.from.0,
            to_stamp: gap.to.map(|t| t.0),
            lost: gap.lost.map(u64::cast_signed),
        })
        .collect();
    for some in gaps.chunks(ROWS) {
        on_link!(db, conn => diesel::insert_into(pofr_gaps::table).values(some).execute(conn))
            .doing("write table pofr_gaps")?;
    }
    Ok(())
}
