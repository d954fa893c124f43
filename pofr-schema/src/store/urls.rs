//! urlinfo: the URLs that processes were given, each once for each process, with the earliest time that is known.
//!
//! A process that lives through many bundles, slices or archives has many rows, which may come in any order; its URLs have one
//! row each all the same. So a row that is there keeps the earlier time, and forgetting moves it to where the process now
//! begins.

use super::commit::Work;
use crate::db::{Cell, Doing as _, Insert, Statement};
use pofr_core::{
    identity::RunId,
    store::{StoreError, UrlUse},
    time::WallMicros,
};

const ACTION: &str = "write table urlinfo";

impl Work<'_> {
    /// Adds URLs, or the earlier time at which one was known.
    pub(super) fn add_urls(&mut self, urls: &[UrlUse]) -> Result<(), StoreError> {
        for url in urls {
            let run = self.run_number(url.run)?;
            let mine = Statement::new("SELECT urlinfo, cmicros FROM urlinfo WHERE entity = ");
            let mine = of(mine, url, run).cached();
            let known = self.db.query(mine).doing(ACTION)?;
            let Some(record) = known.first() else {
                let columns = ["run", "entity", "pid", "cmicros", "zone", "url", "users"];
                let cells = [
                    Cell::int(run),
                    Cell::text(url.entity.digest().to_string()),
                    Cell::int(url.entity.pid().0),
                    Cell::int(url.at.0),
                    Cell::int(i64::from(url.zone.minutes())),
                    Cell::bytes(&url.url),
                    Cell::bytes(&url.user),
                ];
                self.db
                    .insert(Insert { table: "urlinfo", columns: &columns, cells: &cells })
                    .doing(ACTION)?;
                continue;
            };
            let mut values = record.reader("urlinfo");
            let (id, at): (i64, i64) = (values.int("urlinfo")?, values.int("cmicros")?);
            if url.at.0 < at {
                let statement = Statement::new("UPDATE urlinfo SET cmicros = ")
                    .int(url.at.0)
                    .sql(", zone = ")
                    .int(i64::from(url.zone.minutes()))
                    .sql(", users = ")
                    .bind(Cell::bytes(&url.user))
                    .sql(" WHERE urlinfo = ")
                    .int(id);
                self.db.execute(statement).doing(ACTION)?;
            }
        }
        Ok(())
    }

    /// Takes out the URLs of runs, before a time or all; those that `stay` become what they are there.
    pub(super) fn forget_urls(
        &mut self,
        runs: &[(RunId, Option<WallMicros>)],
        stay: &[UrlUse],
    ) -> Result<(), StoreError> {
        for (run, before) in runs {
            let number = self.run_number(*run)?;
            let mut stay: Vec<&UrlUse> = stay.iter().filter(|url| url.run == *run).collect();
            stay.sort_by_key(|url| url.at);
            for (url, before) in before.iter().flat_map(|before| stay.iter().map(move |url| (*url, *before)))
            {
                // The first of a process's rows that stay: the others find it moved already.
                let statement = Statement::new("UPDATE urlinfo SET cmicros = ")
                    .int(url.at.max(before).0)
                    .sql(", zone = ")
                    .int(i64::from(url.zone.minutes()))
                    .sql(" WHERE cmicros < ")
                    .int(before.0)
                    .sql(" AND entity = ");
                self.db.execute(of(statement, url, number)).doing(ACTION)?;
            }
            let mut statement = Statement::new("DELETE FROM urlinfo WHERE run = ").int(number);
            if let Some(before) = before {
                statement = statement.sql(" AND cmicros < ").int(before.0);
            }
            self.db.execute(statement).doing(ACTION)?;
        }
        Ok(())
    }

    /// Empties the table.
    pub(super) fn clear_urls(&mut self) -> Result<(), StoreError> {
        self.db.execute(Statement::new("DELETE FROM urlinfo")).doing("empty table urlinfo")?;
        Ok(())
    }
}

/// Ends a statement with what tells the row of a URL.
fn of<'a>(statement: Statement<'a>, url: &'a UrlUse, run: i64) -> Statement<'a> {
    statement
        .bind(Cell::text(url.entity.digest().to_string()))
        .sql(" AND run = ")
        .int(run)
        .sql(" AND url = ")
        .bind(Cell::bytes(&url.url))
}
