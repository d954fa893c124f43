//! Where rows are: from a [`TableRef`] to the table's name and what the ledger says of it.

use crate::{
    db::{Db, Dialect, Doing as _, Statement, failure},
    ledger::{Ends, Names, TriadRow, find_triad, triad_ends},
    store::triads::prefixes,
    tables::{Spec, spec},
};
use pofr_core::{
    identity::RunId,
    source::Source,
    store::{StoreError, TableRef},
    time::WallMicros,
};

/// A table and what its rows need to be read.
pub(crate) struct Place {
    /// How its rows are stored.
    pub(crate) spec: &'static Spec,
    /// Its name at this moment.
    pub(crate) name: String,
    /// For an open slice, its sources' last stamps, which fill in last_seen of what goes on.
    pub(crate) ends: Option<Ends>,
}

impl Place {
    /// Finds a table.
    pub(crate) fn find(db: &mut Db, names: &Names, table: TableRef) -> Result<Self, StoreError> {
        let spec = spec(table.kind);
        let Some(triad) = table.triad else {
            if table.kind.in_triad() {
                return Err(failure(format_args!("find table {}", spec.table), "its triad is not named"));
            }
            return Ok(Self { spec, name: spec.table.to_owned(), ends: None });
        };
        let row = find_triad(db, triad)?
            .ok_or_else(|| failure(format_args!("find triad {}", triad.0), "it is not in pofr_triads"))?;
        Self::of_triad(db, names, &row, table)
    }

    /// Finds a table of a triad that the ledger gave.
    pub(crate) fn of_triad(
        db: &mut Db,
        names: &Names,
        triad: &TriadRow,
        table: TableRef,
    ) -> Result<Self, StoreError> {
        let spec = spec(table.kind);
        let name = current_name(db, triad, table_index(table)?)?;
        let ends = if triad.is_open == 0 { None } else { Some(triad_ends(db, names, triad.id)?) };
        Ok(Self { spec, name, ends })
    }

    /// Returns the last stamp of a source in a run, where the table is an open slice's.
    pub(crate) fn end(&self, run: RunId, source: &Source) -> Option<WallMicros> {
        self.ends.as_ref()?.get(&(run, source.clone())).copied()
    }

    /// Returns the end for rows of this table, all of which have one source.
    pub(crate) fn row_end(&self, run: RunId) -> Option<WallMicros> {
        self.end(run, &self.spec.source()?)
    }
}

/// Returns which of a triad's three tables it is.
pub(crate) fn table_index(table: TableRef) -> Result<usize, StoreError> {
    pofr_core::fact::FactKind::TRIAD
        .iter()
        .position(|kind| *kind == table.kind)
        .ok_or_else(|| failure("find a table", format!("{:?} is in no triad", table.kind)))
}

/// Returns the name that a table has at this moment: a seal that was cut off on MariaDB leaves some tables with their old one.
pub(crate) fn current_name(db: &mut Db, triad: &TriadRow, index: usize) -> Result<String, StoreError> {
    let name = triad.tables()[index].to_owned();
    if let (Some(stem), Some(level)) = (&triad.renamed_from, triad.level()) {
        let old = format!("{}{stem}", prefixes(level)[index]);
        if !exists(db, &name)? && exists(db, &old)? {
            return Ok(old);
        }
    }
    Ok(name)
}

/// Tells whether there is such a table.
pub(crate) fn exists(db: &mut Db, table: &str) -> Result<bool, StoreError> {
    let sql = match db.dialect() {
        Dialect::Sqlite => "SELECT COUNT(*) FROM sqlite_master WHERE type = 'table' AND name = ",
        Dialect::Mariadb => {
            "SELECT COUNT(*) FROM information_schema.tables WHERE table_schema = DATABASE() AND table_name = "
        }
    };
    let found = db
        .number(Statement::new(sql).bind(crate::db::Cell::text(table.to_owned())))
        .doing(format_args!("look for table {table}"))?;
    Ok(found.unwrap_or(0) > 0)
}
