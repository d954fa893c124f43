//! Adding rows: many to a statement, by one prepared statement for each size of batch.

use crate::{
    db::{Cell, Db, Dialect, Doing as _, Statement, failure},
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
    db.begin_filling(table);
    let mut rest = rows;
    while !rest.is_empty() {
        // As many rows as fit the largest statement.
        let most = sizes(dialect)[0].min(most_parameters(dialect) / columns.len());
        let mut batch: Vec<Vec<Cell<'_>>> = Vec::with_capacity(most.min(rest.len()));
        let mut bytes = 0;
        while let Some((row, tail)) = rest.split_first() {
            let mut cells = Vec::with_capacity(columns.len());
            let run = names.runs.get(&row.run).copied();
            run.and_then(|run| row_cells(spec, row, run, goes_on(row), &names.context, &mut cells))
                .ok_or_else(|| {
                    failure(
                        format_args!("add a row to table {table}"),
                        format!("{} is no {:?}", row.digest, spec.kind),
                    )
                })?;
            let size: usize = cells.iter().map(Cell::size).sum();
            if batch.len() == most || (!batch.is_empty() && bytes + size > MOST_BYTES) {
                break;
            }
            bytes += size;
            batch.push(cells);
            rest = tail;
        }
        insert_batch(db, &columns, table, batch)?;
    }
    Ok(())
}

fn insert_batch(
    db: &mut Db,
    columns: &[&'static str],
    table: &str,
    batch: Vec<Vec<Cell<'_>>>,
) -> Result<(), StoreError> {
    let most = most_parameters(db.dialect()) / columns.len();
    let sizes = sizes(db.dialect());
    let mut rows = batch.into_iter();
    while rows.len() > 0 {
        let size = sizes.iter().map(|s| (*s).min(most)).find(|s| *s <= rows.len()).unwrap_or(1);
        let mut statement = Statement::new("INSERT INTO ")
            .name(table)
            .sql(" (")
            .names(columns.iter().copied())
            .sql(") VALUES ");
        for (i, cells) in rows.by_ref().take(size).enumerate() {
            statement = if i > 0 { statement.sql(",") } else { statement }.tuple(cells);
        }
        db.execute(statement.cached()).doing(format_args!("add rows to table {table}"))?;
    }
    Ok(())
}
