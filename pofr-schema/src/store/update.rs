//! Changing rows, and which of them go on.

use super::place::Place;
use crate::{
    db::{Cell, Db, Doing as _, Statement},
    ledger::Names,
    tables::{LIFE, life_cells, read_life},
};
use pofr_core::{
    lifetime::Lifetime,
    store::{RowId, RowUpdate, StoreError},
    time::WallMicros,
};

/// Tells whether a fact goes on at the end of an open slice, so that the ledger's last stamp is its last_seen.
pub(super) fn goes_on(life: &Lifetime, end: Option<WallMicros>) -> bool {
    life.cut_right
        && life.first_seen.is_some()
        && life.ended.is_none()
        && life.gone_by.is_none()
        && end.is_some()
        && life.last_seen == end
}

/// Returns the earliest and the latest time of a lifetime, µs. That one goes on beyond is known of the whole open slice.
pub(super) fn extremes(life: &Lifetime) -> (i64, i64) {
    let all = [life.first_seen, life.last_seen, life.appeared_after, life.gone_by, life.began, life.ended];
    let times = || all.into_iter().flatten().map(|t| t.0);
    (times().min().unwrap_or(0), times().max().unwrap_or(0))
}

/// Changes a row; tells whether that may have moved it in the order of merging, asked for only where that matters.
pub(super) fn update_row(
    db: &mut Db,
    names: &Names,
    place: &Place,
    update: &RowUpdate,
    sorted: bool,
) -> Result<bool, StoreError> {
    let action = format!("change row {} of table {}", update.id.0, place.name);
    let moved = sorted && rank(&read_row_life(db, place, update)?) != rank(&update.life);
    let live = match &place.ends {
        Some(_) => goes_on(&update.life, end_of(db, names, place, update)?),
        None => false,
    };
    let mut statement = Statement::new("UPDATE ").name(&place.name).sql(" SET ");
    for (i, (column, cell)) in LIFE.into_iter().zip(life_cells(&update.life, live)).enumerate() {
        statement = statement.sql(if i > 0 { ", " } else { "" }).name(column).sql(" = ").bind(cell);
    }
    for (column, cell) in update.learned.as_ref().map(place.spec.details).into_iter().flatten() {
        // The earliest known value stays.
        statement =
            statement.sql(", ").name(column).sql(" = COALESCE(").name(column).sql(", ").bind(cell).sql(")");
    }
    let statement = statement.sql(" WHERE ").name(place.spec.id).sql(" = ").int(update.id.0).cached();
    let changed = db.execute(statement).doing(&action)?;
    if changed == 0 {
        return Err(missing(place, update.id));
    }
    Ok(moved)
}

/// Removes a row.
pub(super) fn delete_row(db: &mut Db, place: &Place, id: RowId) -> Result<(), StoreError> {
    let statement = Statement::new("DELETE FROM ")
        .name(&place.name)
        .sql(" WHERE ")
        .name(place.spec.id)
        .sql(" = ")
        .int(id.0)
        .cached();
    match db.execute(statement).doing(format_args!("remove row {} of table {}", id.0, place.name))? {
        0 => Err(missing(place, id)),
        _ => Ok(()),
    }
}

fn missing(place: &Place, id: RowId) -> StoreError {
    StoreError::Corrupt { table: place.name.clone(), detail: format!("there is no row {}", id.0) }
}

/// What of a lifetime decides a row's place among those of its key, see [`pofr_core::merge::order`].
fn rank(life: &Lifetime) -> impl PartialEq {
    (life.first_seen.is_none() && life.ended.is_some(), life.position(), life.last_seen, life.ended)
}

fn read_row_life(db: &mut Db, place: &Place, update: &RowUpdate) -> Result<Lifetime, StoreError> {
    let statement = Statement::new("SELECT ")
        .names(LIFE)
        .sql(" FROM ")
        .name(&place.name)
        .sql(" WHERE ")
        .name(place.spec.id)
        .sql(" = ")
        .int(update.id.0)
        .cached();
    let records = db.query(statement).doing(format_args!("read table {}", place.name))?;
    let record = records.into_iter().next().ok_or_else(|| missing(place, update.id))?;
    read_life(&mut record.reader(&place.name), None)
}

/// Returns the end of the row's run: the update does not say which run that is.
fn end_of(
    db: &mut Db,
    names: &Names,
    place: &Place,
    update: &RowUpdate,
) -> Result<Option<WallMicros>, StoreError> {
    let ends = place.ends.iter().flatten();
    let mut runs = ends
        .filter(|((_, source), _)| place.spec.source().as_ref() == Some(source))
        .map(|((run, _), _)| *run);
    let run = match (runs.next(), runs.next()) {
        (None, _) => return Ok(None),
        // An open slice has one run, all but always.
        (Some(run), None) => run,
        (Some(_), Some(_)) => {
            let statement = Statement::new("SELECT run FROM ")
                .name(&place.name)
                .sql(" WHERE ")
                .name(place.spec.id)
                .sql(" = ")
                .bind(Cell::int(update.id.0));
            let number = db.number(statement).doing(format_args!("read table {}", place.name))?;
            match number.and_then(|number| names.run_names.get(&number)) {
                Some(run) => *run,
                None => return Ok(None),
            }
        }
    };
    Ok(place.row_end(run))
}
