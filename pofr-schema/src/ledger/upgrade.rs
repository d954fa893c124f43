//! Bringing the tables of facts of an older schema up to date. Each step is harmless when repeated: on MariaDB each commits.

use super::{migrations::template, triads::load_triads};
use crate::{
    db::{Cell, Db, Dialect, Doing as _, Statement},
    store::current_name,
    tables::{Spec, add_marks, add_term, forget_nobody, spec},
};
use pofr_core::{fact::FactKind, store::StoreError};

/// Version 2 finds the state at a moment by `term`, `earliest` and `reach`; version 1 did by `reach` alone.
pub(super) fn from_1(db: &mut Db) -> Result<(), StoreError> {
    for kind in FactKind::ALL {
        let spec = spec(kind);
        let name = template(spec.table, kind);
        give_term(db, spec, &name, &name)?;
    }
    for (kind, name, stem) in tables_of_triads(db)? {
        give_term(db, spec(kind), &name, &stem)?;
    }
    Ok(())
}

/// Version 4 knows marks of processes, and ids that are unknown, which stand as 4294967295 in version 3.
///
/// All triads are brought up to date, the open slice among them: rows with unknown ids may come to any.
pub(super) fn from_3(db: &mut Db) -> Result<(), StoreError> {
    let mut tables = tables_of_triads(db)?;
    for kind in [FactKind::Process, FactKind::File] {
        let name = template(spec(kind).table, kind);
        tables.push((kind, name.clone(), name));
    }
    for (kind, name, _) in tables {
        let bring = |db: &mut Db| match kind {
            FactKind::Process => give_marks(db, &name).and_then(|()| forget_unknown_ids(db, &name)),
            FactKind::File => forget_unknown_ids(db, &name),
            _ => Ok(()),
        };
        match db.dialect() {
            Dialect::Sqlite => db.write(&doing(&name), bring)?,
            Dialect::Mariadb => bring(db)?,
        }
    }
    Ok(())
}

/// Returns the tables of all triads: each one's kind, its name, and what its indexes' names begin with on SQLite. One that was only
/// about to be made, or dropped, is not there.
fn tables_of_triads(db: &mut Db) -> Result<Vec<(FactKind, String, String)>, StoreError> {
    let mut tables = Vec::new();
    for triad in load_triads(db)? {
        for (index, kind) in FactKind::TRIAD.into_iter().enumerate() {
            let name = current_name(db, &triad, index)?;
            if crate::store::exists(db, &name)? {
                tables.push((kind, name, format!("pofr_{}_{}", spec(kind).table, triad.id)));
            }
        }
    }
    Ok(tables)
}

fn give_marks(db: &mut Db, name: &str) -> Result<(), StoreError> {
    let action = doing(name);
    let has = has_column(db, name, "unreadable")?;
    for statement in add_marks(spec(FactKind::Process), name, db.dialect(), has) {
        db.execute(statement).doing(&action)?;
    }
    if db.dialect() == Dialect::Sqlite {
        // Every connection must read the table's text anew.
        let version = db.number(Statement::new("PRAGMA schema_version")).doing(&action)?.unwrap_or(0);
        db.batch(&format!("PRAGMA schema_version = {}", version + 1)).doing(&action)?;
    }
    Ok(())
}

fn forget_unknown_ids(db: &mut Db, name: &str) -> Result<(), StoreError> {
    db.execute(forget_nobody(name)).map(drop).doing(doing(name))
}

fn give_term(db: &mut Db, spec: &Spec, name: &str, stem: &str) -> Result<(), StoreError> {
    let has = has_column(db, name, "term")?;
    for statement in add_term(spec, name, stem, db.dialect(), has) {
        db.execute(statement).doing(doing(name))?;
    }
    Ok(())
}

/// Tells whether a table has a column, on SQLite; MariaDB's statements ask that themselves.
fn has_column(db: &mut Db, name: &str, column: &'static str) -> Result<bool, StoreError> {
    if db.dialect() == Dialect::Mariadb {
        return Ok(false);
    }
    let columns = Statement::new("SELECT COUNT(*) FROM pragma_table_xinfo(")
        .bind(Cell::text(name.to_owned()))
        .sql(") WHERE name = ")
        .bind(Cell::text(column));
    Ok(db.number(columns).doing(doing(name))? == Some(1))
}

fn doing(name: &str) -> String {
    format!("bring table {name} up to date")
}
