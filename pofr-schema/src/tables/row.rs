//! Whole rows: the lifetime's columns, then the kind's own.

use super::{Context, Spec};
use crate::db::{Cell, Record, Values};
use pofr_core::{
    digest::KeyDigest,
    identity::RunId,
    lifetime::{Lifetime, Row},
    store::{RowId, StoreError},
    time::{WallMicros, ZoneOffset},
};
use std::collections::HashMap;

/// The lifetime's columns, in the order of [`life_cells`] and [`read_life`].
pub(crate) const LIFE: [&str; 8] =
    ["first_seen", "last_seen", "appeared_after", "gone_by", "began", "ended", "cut_left", "cut_right"];

/// Returns the values of [`LIFE`]; with `goes_on`, last_seen is left to the ledger.
pub(crate) fn life_cells(life: &Lifetime, goes_on: bool) -> [Cell<'static>; 8] {
    let time = |t: Option<WallMicros>| Cell::Int(t.map(|t| t.0));
    [
        time(life.first_seen),
        time(life.last_seen.filter(|_| !goes_on)),
        time(life.appeared_after),
        time(life.gone_by),
        time(life.began),
        time(life.ended),
        Cell::int(i64::from(life.cut_left)),
        Cell::int(i64::from(life.cut_right)),
    ]
}

/// Reads the values of [`LIFE`]; `end` is the last stamp of the row's source where the ledger is to fill in last_seen.
pub(crate) fn read_life(values: &mut Values<'_>, end: Option<WallMicros>) -> Result<Lifetime, StoreError> {
    let mut time = |column| Ok::<_, StoreError>(values.opt_int::<i64>(column)?.map(WallMicros));
    let mut life = Lifetime {
        first_seen: time("first_seen")?,
        last_seen: time("last_seen")?,
        appeared_after: time("appeared_after")?,
        gone_by: time("gone_by")?,
        began: time("began")?,
        ended: time("ended")?,
        cut_left: false,
        cut_right: false,
    };
    life.cut_left = values.flag("cut_left")?;
    life.cut_right = values.flag("cut_right")?;
    if life.first_seen.is_some() && life.last_seen.is_none() && life.cut_right {
        life.last_seen = end.or(life.first_seen);
    }
    Ok(life)
}

/// Appends the values of [`Spec::stored`]; `None` where the fact is of another kind or of an unknown boot.
pub(crate) fn row_cells<'a>(
    spec: &Spec,
    row: &'a Row,
    run: i64,
    goes_on: bool,
    context: &Context,
    cells: &mut Vec<Cell<'a>>,
) -> Option<()> {
    cells.push(Cell::int(run));
    cells.push(Cell::int(i64::from(row.zone.minutes())));
    cells.push(Cell::text(row.digest.to_string()));
    cells.extend(life_cells(&row.life, goes_on));
    (spec.encode)(&row.fact, context, cells)
}

/// Reads the key and the values of [`Spec::stored`]. `end` tells the last stamp of a run where the table is an open
/// slice's.
pub(crate) fn read_row(
    spec: &Spec,
    table: &str,
    record: &Record,
    context: &Context,
    runs: &HashMap<i64, RunId>,
    end: impl FnOnce(RunId) -> Option<WallMicros>,
) -> Result<(RowId, Row), StoreError> {
    let mut values = record.reader(table);
    let id = RowId(values.int(spec.id)?);
    let number: i64 = values.int("run")?;
    let run =
        *runs.get(&number).ok_or_else(|| values.corrupt(format!("run {number} is not in pofr_runs")))?;
    let minutes: i32 = values.int("zone")?;
    let zone = ZoneOffset::from_minutes(minutes).ok_or_else(|| values.corrupt("zone is out of range"))?;
    let digest = values.parsed(spec.digest, KeyDigest::parse)?;
    let life = read_life(&mut values, end(run))?;
    let fact = (spec.decode)(&mut values, context)?;
    Ok((id, Row { run, zone, digest, life, fact }))
}
