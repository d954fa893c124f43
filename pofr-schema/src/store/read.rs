//! Reading rows and the ledger.

use super::place::Place;
use crate::{
    db::{Cell, Db, Doing as _, Record, Statement},
    ledger::{Names, generation, load_actions, load_bundles, load_triads, recent_bundles},
    tables::{LIFE, LIVE, read_life, read_row},
};
use pofr_core::{
    digest::KeyDigest,
    fact::Known,
    identity::RunId,
    lifetime::Row,
    source::Source,
    store::{Edge, EdgeRow, Ledger, RowId, StoreError, TableRef},
    time::WallMicros,
};
use std::collections::HashMap;

/// How many keys one statement asks for.
const KEYS: usize = 500;

/// Reads the whole ledger.
pub(crate) fn ledger(db: &mut Db, names: &Names) -> Result<Ledger, StoreError> {
    Ok(Ledger {
        generation: generation(db)?,
        bundles: load_bundles(db, names)?,
        triads: load_triads(db)?.iter().map(crate::ledger::TriadRow::triad).collect::<Result<_, _>>()?,
        actions: load_actions(db)?,
    })
}

/// Reads the end of the ledger.
pub(crate) fn recent(db: &mut Db, names: &Names, since: WallMicros) -> Result<Ledger, StoreError> {
    Ok(Ledger {
        generation: generation(db)?,
        bundles: recent_bundles(db, names, since)?,
        triads: load_triads(db)?.iter().map(crate::ledger::TriadRow::triad).collect::<Result<_, _>>()?,
        actions: load_actions(db)?,
    })
}

/// Begins a statement that selects whole rows of a table.
pub(crate) fn select_rows(place: &Place) -> Statement<'_> {
    Statement::new("SELECT ")
        .name(place.spec.id)
        .sql(",")
        .names(place.spec.stored())
        .sql(" FROM ")
        .name(&place.name)
}

/// Reads what [`select_rows`] selected.
pub(crate) fn decode(names: &Names, place: &Place, record: &Record) -> Result<(RowId, Row), StoreError> {
    read_row(place.spec, &place.name, record, &names.context, &names.run_names, |run| place.row_end(run))
}

/// Reads up to `limit` rows after a key.
pub(crate) fn page(
    db: &mut Db,
    names: &Names,
    place: &Place,
    after: RowId,
    limit: u32,
) -> Result<Vec<(RowId, Row)>, StoreError> {
    let statement = select_rows(place)
        .sql(" WHERE ")
        .name(place.spec.id)
        .sql(" > ")
        .int(after.0)
        .sql(" ORDER BY ")
        .name(place.spec.id)
        .sql(" LIMIT ")
        .int(i64::from(limit));
    let records = db.query(statement).doing(format_args!("read table {}", place.name))?;
    records.iter().map(|record| decode(names, place, record)).collect()
}

/// Reads the rows with these keys, in this order.
pub(crate) fn rows(db: &mut Db, names: &Names, place: &Place, ids: &[RowId]) -> Result<Vec<Row>, StoreError> {
    let mut found: HashMap<RowId, Row> = HashMap::with_capacity(ids.len());
    for some in ids.chunks(KEYS) {
        let statement = select_rows(place)
            .sql(" WHERE ")
            .name(place.spec.id)
            .sql(" IN ")
            .tuple(some.iter().map(|id| Cell::int(id.0)));
        let records = db.query(statement).doing(format_args!("read table {}", place.name))?;
        for record in &records {
            let (id, row) = decode(names, place, record)?;
            found.insert(id, row);
        }
    }
    ids.iter()
        .map(|id| {
            // A key may be asked for twice.
            found.get(id).cloned().ok_or_else(|| StoreError::Corrupt {
                table: place.name.clone(),
                detail: format!("there is no row {}", id.0),
            })
        })
        .collect()
}

/// Returns all keys in the order of [`pofr_core::merge::order`].
pub(crate) fn sorted_ids(db: &mut Db, place: &Place) -> Result<Vec<RowId>, StoreError> {
    let spec = place.spec;
    // Runs are ordered by their ids, not by the numbers that they happen to have here.
    let statement = Statement::new("SELECT t.")
        .name(spec.id)
        .sql(" FROM ")
        .name(&place.name)
        .sql(" t JOIN pofr_runs r ON r.id = t.run ORDER BY r.run, t.")
        .name(spec.digest)
        .sql(", t.first_seen IS NULL AND t.ended IS NOT NULL, t.position, t.last_seen, t.ended, t.")
        .name(spec.id);
    let records = db.query(statement).doing(format_args!("sort table {}", place.name))?;
    records.into_iter().map(|record| Ok(RowId(record.reader(&place.name).int(spec.id)?))).collect()
}

/// Selects the rows at an edge; `end` is the source's last stamp where the table is an open slice's.
pub(crate) fn select_edge<'a>(
    place: &'a Place,
    run: i64,
    source: &Source,
    edge: Edge,
    end: Option<WallMicros>,
) -> Statement<'a> {
    let spec = place.spec;
    let stamps: Vec<WallMicros> = match edge {
        Edge::EndingAt(stamp) if end == Some(stamp) => vec![stamp, WallMicros(LIVE)],
        Edge::EndingAt(stamp) | Edge::BeginningAt(stamp) => vec![stamp],
    };
    let mut statement =
        Statement::new("SELECT ").name(spec.id).sql(",").name(spec.digest).sql(",").names(LIFE).sql(", 0");
    for (bit, column) in spec.known.iter().enumerate() {
        statement = statement.sql(format!(" + {} * (", 1 << bit)).name(*column).sql(" IS NOT NULL)");
    }
    let statement = statement
        .sql(" FROM ")
        .name(&place.name)
        .sql(match edge {
            Edge::EndingAt(_) => " WHERE right_edge IN ",
            Edge::BeginningAt(_) => " WHERE cut_left = 1 AND first_seen IN ",
        })
        .tuple(stamps.into_iter().map(|stamp| Cell::int(stamp.0)))
        .sql(" AND run = ")
        .int(run);
    match spec.source() {
        Some(_) => statement,
        None => statement.sql(" AND source = ").bind(Cell::text(source.name().to_owned())),
    }
}

/// Reads the rows at an edge.
pub(crate) fn edge_rows(
    db: &mut Db,
    names: &Names,
    table: TableRef,
    run: RunId,
    source: &Source,
    edge: Edge,
) -> Result<Vec<EdgeRow>, StoreError> {
    let place = Place::find(db, names, table)?;
    let Some(number) = names.runs.get(&run) else { return Ok(Vec::new()) };
    let end = place.end(run, source);
    let records = db
        .query(select_edge(&place, *number, source, edge, end))
        .doing(format_args!("read table {}", place.name))?;
    let mut rows = records
        .into_iter()
        .map(|record| {
            let mut values = record.reader(&place.name);
            Ok(EdgeRow {
                id: RowId(values.int(place.spec.id)?),
                digest: values.parsed(place.spec.digest, KeyDigest::parse)?,
                life: read_life(&mut values, end)?,
                known: Known(values.int("known")?),
            })
        })
        .collect::<Result<Vec<_>, StoreError>>()?;
    rows.sort_unstable_by_key(|row| row.id);
    Ok(rows)
}

/// Returns the bytes that the client's tables take.
pub(crate) fn stored_bytes(db: &mut Db, file: Option<&std::path::Path>) -> Result<u64, StoreError> {
    if let Some(file) = file {
        let size = |ending: &str| {
            let mut path = file.as_os_str().to_owned();
            path.push(ending);
            std::fs::metadata(path).map_or(0, |m| m.len())
        };
        return Ok(size("") + size("-wal"));
    }
    let statement = Statement::new(
        "SELECT CAST(COALESCE(SUM(data_length + index_length), 0) AS SIGNED) FROM information_schema.tables \
         WHERE table_schema = DATABASE()",
    );
    let bytes = db.number(statement).doing("measure the tables")?;
    Ok(bytes.unwrap_or(0).cast_unsigned())
}
