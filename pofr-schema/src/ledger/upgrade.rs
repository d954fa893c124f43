//! Bringing the tables of facts of an older schema up to date. Each step is harmless when repeated: on MariaDB each commits.

use super::{migrations::template, triads::load_triads};
use crate::{
    db::{Db, Dialect, Doing as _, Statement},
    store::current_name,
    tables::{Spec, add_term, spec},
};
use pofr_core::{fact::FactKind, store::StoreError};

/// Version 2 finds the state at a moment by `term`, `earliest` and `reach`; version 1 did by `reach` alone.
pub(super) fn from_1(db: &mut Db) -> Result<(), StoreError> {
    for kind in FactKind::ALL {
        let spec = spec(kind);
        let name = template(spec.table, kind);
        one_table(db, spec, &name, &name)?;
    }
    for triad in load_triads(db)? {
        for (index, kind) in FactKind::TRIAD.into_iter().enumerate() {
            let spec = spec(kind);
            let name = current_name(db, &triad, index)?;
            // One that was only about to be made, or dropped, is not there.
            if crate::store::exists(db, &name)? {
                one_table(db, spec, &name, &format!("pofr_{}_{}", spec.table, triad.id))?;
            }
        }
    }
    Ok(())
}

fn one_table(db: &mut Db, spec: &Spec, name: &str, stem: &str) -> Result<(), StoreError> {
    let action = format!("bring table {name} up to date");
    let has_term = match db.dialect() {
        Dialect::Mariadb => false,
        Dialect::Sqlite => {
            let columns = Statement::new("SELECT COUNT(*) FROM pragma_table_xinfo(")
                .bind(crate::db::Cell::text(name.to_owned()))
                .sql(") WHERE name = 'term'");
            db.number(columns).doing(&action)? == Some(1)
        }
    };
    for statement in add_term(spec, name, stem, db.dialect(), has_term) {
        db.execute(statement).doing(&action)?;
    }
    Ok(())
}
