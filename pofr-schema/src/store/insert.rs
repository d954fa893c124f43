//! Adding rows: many to a statement, by one prepared statement for each size of batch.

use crate::{
    db::{Cell, Db, Dialect, Doing as _, Insert, failure},
    ledger::Names,
    tables::{Spec, row_cells},
};
use pofr_core::{lifetime::Row, store::StoreError};

/// How many rows a statement takes, largest first. A batch is cut into these, so that few statements are ever prepared.
const fn sizes(dialect: Dialect) -> [usize; 4] {
    match dialect {
        // SQLite has no round trip to save; fewer, longer statements only cost it memory.
        Dialect::Sqlite => [64, 16, 4, 1],
        Dialect::Mariadb => [1000, 100, 10, 1],
    }
}

/// The most parameters of one statement: below SQLite's 32,766 and MariaDB's 65,535.
const fn most_parameters(dialect: Dialect) -> usize {
    match dialect {
        Dialect::Sqlite => 32_000,
        Dialect::Mariadb => 65_000,
    }
}

/// The most bytes of one statement, well below MariaDB's max_allowed_packet of 16 MiB.
const MOST_BYTES: usize = 4 << 20;

/// Adds `rows` to `table`; `goes_on` tells which of them have their last_seen left to the ledger.
///
/// The names of all runs and boots must be numbered.
pub(crate) fn insert_rows(
    db: &mut Db,
    names: &Names,
    spec: &Spec,
    table: &str,
    rows: &[Row],
    goes_on: impl Fn(&Row) -> bool,
) -> Result<(), StoreError> {
    let columns = spec.stored();
    let dialect = db.dialect();
    // As many rows as fit the largest statement.
    let most = sizes(dialect)[0].min(most_parameters(dialect) / columns.len());
    db.begin_filling(table);
    let mut rest = rows;
    while !rest.is_empty() {
        let mut cells: Vec<Cell<'_>> = Vec::with_capacity(columns.len() * most.min(rest.len()));
        let (mut taken, mut bytes) = (0, 0);
        while let Some(row) = rest.get(taken).filter(|_| taken < most) {
            let start = cells.len();
            let run = names.runs.get(&row.run).copied();
            run.and_then(|run| row_cells(spec, row, run, goes_on(row), &names.context, &mut cells))
                .ok_or_else(|| {
                    failure(
                        format_args!("add a row to table {table}"),
                        format!("{} is no {:?}", row.digest, spec.kind),
                    )
                })?;
            bytes += cells[start..].iter().map(Cell::size).sum::<usize>();
            if taken > 0 && bytes > MOST_BYTES {
                cells.truncate(start);
                break;
            }
            taken += 1;
        }
        insert_batch(db, &columns, table, &cells, most)?;
        rest = &rest[taken..];
    }
    Ok(())
}

/// Adds rows whose values, one row after the other, are `cells`.
fn insert_batch(
    db: &mut Db,
    columns: &[&'static str],
    table: &str,
    mut cells: &[Cell<'_>],
    most: usize,
) -> Result<(), StoreError> {
    let sizes = sizes(db.dialect());
    while !cells.is_empty() {
        let rows = cells.len() / columns.len();
        let size = sizes.iter().map(|s| (*s).min(most)).find(|s| *s <= rows).unwrap_or(1);
        let (these, rest) = cells.split_at(size * columns.len());
        db.insert(Insert { table, columns, cells: these })
            .doing(format_args!("add rows to table {table}"))?;
        cells = rest;
    }
    Ok(())
}
