//! The short numbers that rows have instead of the ids of runs and boots.

use super::schema::{pofr_boots, pofr_runs};
use crate::{
    db::{Db, Doing as _, on_link},
    tables::Context,
};
use diesel::prelude::*;
use pofr_core::{
    fact::Fact,
    identity::{BootId, Cid, Entity, RunId},
    lifetime::Row,
    store::StoreError,
};
use std::collections::HashMap;

/// Runs and boots with their numbers, both ways.
#[derive(Clone, Debug, Default)]
pub(crate) struct Names {
    /// What facts need: the client and the boots.
    pub(crate) context: Context,
    /// Run to number.
    pub(crate) runs: HashMap<RunId, i64>,
    /// Number to run.
    pub(crate) run_names: HashMap<i64, RunId>,
}

impl Names {
    /// Reads all of them.
    pub(crate) fn load(db: &mut Db, cid: &Cid) -> Result<Self, StoreError> {
        let mut names = Self::default();
        names.context.cid = cid.as_str().to_owned();
        let corrupt = |table: &str, id: i64| StoreError::Corrupt {
            table: table.into(),
            detail: format!("row {id} is not 32 hex digits"),
        };
        let runs: Vec<(i64, String)> =
            on_link!(db, conn => pofr_runs::table.load(conn)).doing("read table pofr_runs")?;
        for (id, text) in runs {
            names.add_run(RunId::parse(&text).ok_or_else(|| corrupt("pofr_runs", id))?, id);
        }
        let boots: Vec<(i64, String)> =
            on_link!(db, conn => pofr_boots::table.load(conn)).doing("read table pofr_boots")?;
        for (id, text) in boots {
            names.add_boot(BootId::parse(&text).ok_or_else(|| corrupt("pofr_boots", id))?, id);
        }
        Ok(names)
    }

    fn add_run(&mut self, run: RunId, id: i64) {
        self.runs.insert(run, id);
        self.run_names.insert(id, run);
    }

    fn add_boot(&mut self, boot: BootId, id: i64) {
        self.context.boots.insert(boot, id);
        self.context.boot_names.insert(id, boot);
    }

    /// Returns the number of a run, giving it one where it has none. Only the one writer does this.
    pub(crate) fn run(&mut self, db: &mut Db, run: RunId) -> Result<i64, StoreError> {
        if let Some(id) = self.runs.get(&run) {
            return Ok(*id);
        }
        let id = self.run_names.keys().max().map_or(1, |id| id + 1);
        on_link!(db, conn => diesel::insert_into(pofr_runs::table)
            .values((pofr_runs::id.eq(id), pofr_runs::run.eq(run.to_string())))
            .execute(conn))
        .doing("write table pofr_runs")?;
        self.add_run(run, id);
        Ok(id)
    }

    /// Returns the number of a boot, giving it one where it has none.
    pub(crate) fn boot(&mut self, db: &mut Db, boot: BootId) -> Result<i64, StoreError> {
        if let Some(id) = self.context.boots.get(&boot) {
            return Ok(*id);
        }
        let id = self.context.boot_names.keys().max().map_or(1, |id| id + 1);
        on_link!(db, conn => diesel::insert_into(pofr_boots::table)
            .values((pofr_boots::id.eq(id), pofr_boots::boot.eq(boot.to_string())))
            .execute(conn))
        .doing("write table pofr_boots")?;
        self.add_boot(boot, id);
        Ok(id)
    }

    /// Numbers everything that these rows name.
    pub(crate) fn number_all(&mut self, db: &mut Db, rows: &[Row]) -> Result<(), StoreError> {
        for row in rows {
            self.run(db, row.run)?;
            let entity = match &row.fact {
                Fact::Process(f) => Some(f.key.entity),
                Fact::File(f) => Some(f.key.entity),
                Fact::Endpoint(f) => f.key.holder,
                _ => None,
            };
            if let Some(Entity::Started { boot, .. }) = entity {
                self.boot(db, boot)?;
            }
        }
        Ok(())
    }
}
