//! pofr_triads: which tables there are, and which of them count.

use super::schema::{pofr_bundles, pofr_spans, pofr_triads};
use crate::db::{Db, Doing as _, on_link};
use diesel::prelude::*;
use pofr_core::{
    store::{Level, StoreError, Triad, TriadId, TriadState},
    time::{WallMicros, ZoneOffset},
};
use std::collections::BTreeSet;

/// A triad as it is stored.
#[derive(Clone, Debug, Queryable, Insertable, Selectable, Identifiable, AsChangeset)]
#[diesel(table_name = pofr_triads, treat_none_as_null = true)]
pub(crate) struct TriadRow {
    pub(crate) id: i64,
    level: String,
    state: String,
    pub(crate) is_open: i64,
    pub(crate) psname: String,
    pub(crate) filename: String,
    pub(crate) netname: String,
    /// The ending of the names that the tables had before a seal, while not all of them are renamed yet.
    pub(crate) renamed_from: Option<String>,
    pub(crate) from_stamp: i64,
    pub(crate) to_stamp: i64,
    zone: i64,
    psrows: i64,
    filerows: i64,
    netrows: i64,
    pub(crate) sorted: i64,
    /// The earliest time of any row, µs; NULL without rows.
    pub(crate) lowest: Option<i64>,
    /// The latest time of any row, µs; those of an open slice may go on.
    pub(crate) highest: Option<i64>,
}

const LEVELS: [(Level, &str); 3] =
    [(Level::Slice, "slice"), (Level::Archive, "archive"), (Level::Period, "period")];
const STATES: [(TriadState, &str); 3] =
    [(TriadState::Creating, "creating"), (TriadState::Live, "live"), (TriadState::Dead, "dead")];

impl TriadRow {
    /// Makes a triad that does not count yet.
    pub(crate) fn creating(
        id: TriadId,
        level: Level,
        open: bool,
        names: [String; 3],
        (from, to): (WallMicros, WallMicros),
        zone: ZoneOffset,
    ) -> Self {
        let [psname, filename, netname] = names;
        Self {
            id: id.0,
            level: LEVELS.iter().find(|(l, _)| *l == level).map_or("", |(_, text)| *text).to_owned(),
            state: "creating".to_owned(),
            is_open: i64::from(open),
            psname,
            filename,
            netname,
            renamed_from: None,
            from_stamp: from.0,
            to_stamp: to.0,
            zone: i64::from(zone.minutes()),
            psrows: 0,
            filerows: 0,
            netrows: 0,
            sorted: i64::from(!open),
            lowest: None,
            highest: None,
        }
    }

    /// Returns the names of its tables as the ledger has them.
    pub(crate) fn tables(&self) -> [&str; 3] {
        [&self.psname, &self.filename, &self.netname]
    }

    pub(crate) fn set_tables(&mut self, [ps, file, net]: [String; 3]) {
        (self.psname, self.filename, self.netname) = (ps, file, net);
    }

    pub(crate) fn state(&self) -> Option<TriadState> {
        STATES.iter().find(|(_, text)| *text == self.state).map(|(state, _)| *state)
    }

    pub(crate) fn set_state(&mut self, state: TriadState) {
        if let Some((_, text)) = STATES.iter().find(|(s, _)| *s == state) {
            (*text).clone_into(&mut self.state);
        }
    }

    pub(crate) fn is_live(&self) -> bool {
        self.state() == Some(TriadState::Live)
    }

    pub(crate) fn level(&self) -> Option<Level> {
        LEVELS.iter().find(|(_, text)| *text == self.level).map(|(level, _)| *level)
    }

    /// Counts rows that came to one of its tables, or went.
    pub(crate) fn add_rows(&mut self, table: usize, rows: i64) {
        *[&mut self.psrows, &mut self.filerows, &mut self.netrows][table] += rows;
    }

    /// Widens the range of its rows' times.
    pub(crate) fn widen(&mut self, lowest: i64, highest: i64) {
        self.lowest = Some(self.lowest.map_or(lowest, |known| known.min(lowest)));
        self.highest = Some(self.highest.map_or(highest, |known| known.max(highest)));
    }

    /// Returns it as the contract has it.
    pub(crate) fn triad(&self) -> Result<Triad, StoreError> {
        let corrupt = |what: &str| StoreError::Corrupt {
            table: "pofr_triads".into(),
            detail: format!("{what} of triad {} makes no sense", self.id),
        };
        Ok(Triad {
            id: TriadId(self.id),
            level: self.level().ok_or_else(|| corrupt("level"))?,
            state: self.state().ok_or_else(|| corrupt("state"))?,
            open: self.is_open != 0,
            tables: self.tables().map(str::to_owned),
            from: WallMicros(self.from_stamp),
            to: WallMicros(self.to_stamp),
            zone: i32::try_from(self.zone)
                .ok()
                .and_then(ZoneOffset::from_minutes)
                .ok_or_else(|| corrupt("zone"))?,
            rows: [self.psrows, self.filerows, self.netrows].map(i64::cast_unsigned),
            sorted: self.sorted != 0,
        })
    }

    /// Writes it back.
    pub(crate) fn save(&self, db: &mut Db) -> Result<(), StoreError> {
        on_link!(db, conn => diesel::update(pofr_triads::table.find(self.id)).set(self).execute(conn))
            .doing("write table pofr_triads")?;
        Ok(())
    }

    /// Takes it out of the ledger.
    pub(crate) fn delete(&self, db: &mut Db) -> Result<(), StoreError> {
        on_link!(db, conn => diesel::delete(pofr_triads::table.find(self.id)).execute(conn))
            .doing("write table pofr_triads")?;
        Ok(())
    }

    /// Takes over all bundles of `old`.
    pub(crate) fn take_bundles(&self, db: &mut Db, old: &[TriadId]) -> Result<(), StoreError> {
        let old: Vec<i64> = old.iter().map(|t| t.0).collect();
        on_link!(db, conn => diesel::update(pofr_bundles::table.filter(pofr_bundles::triad.eq_any(&old)))
            .set(pofr_bundles::triad.eq(self.id))
            .execute(conn))
        .doing("write table pofr_bundles")?;
        on_link!(db, conn => diesel::update(pofr_spans::table.filter(pofr_spans::triad.eq_any(&old)))
            .set(pofr_spans::triad.eq(self.id))
            .execute(conn))
        .doing("write table pofr_spans")?;
        Ok(())
    }

    /// Sets its range from its bundles; leaves it where it has none.
    pub(crate) fn measure(&mut self, db: &mut Db) -> Result<(), StoreError> {
        use diesel::dsl::{max, min};
        let (from, to): (Option<i64>, Option<i64>) = on_link!(db, conn => pofr_bundles::table
            .filter(pofr_bundles::triad.eq(self.id))
            .select((min(pofr_bundles::first_stamp), max(pofr_bundles::last_stamp)))
            .first(conn))
        .doing("read table pofr_bundles")?;
        self.from_stamp = from.unwrap_or(self.from_stamp);
        self.to_stamp = to.unwrap_or(self.to_stamp);
        Ok(())
    }
}

/// Reads all triads.
pub(crate) fn load_triads(db: &mut Db) -> Result<Vec<TriadRow>, StoreError> {
    on_link!(db, conn => pofr_triads::table
        .order(pofr_triads::id)
        .select(TriadRow::as_select())
        .load(conn))
    .doing("read table pofr_triads")
}

/// Finds a triad.
pub(crate) fn find_triad(db: &mut Db, triad: TriadId) -> Result<Option<TriadRow>, StoreError> {
    on_link!(db, conn => pofr_triads::table
        .find(triad.0)
        .select(TriadRow::as_select())
        .first(conn)
        .optional())
    .doing("read table pofr_triads")
}

/// Returns the endings of the names that triads of `level` have, or had before a seal, and that begin with `stem`.
pub(crate) fn taken_endings(
    db: &mut Db,
    level: Level,
    prefix: &str,
    stem: &str,
) -> Result<BTreeSet<String>, StoreError> {
    let level = LEVELS.iter().find(|(l, _)| *l == level).map_or("", |(_, text)| *text);
    let names: Vec<(String, Option<String>)> = on_link!(db, conn => pofr_triads::table
        .filter(pofr_triads::level.eq(level))
        .filter(pofr_triads::psname.like(format!("{prefix}{stem}%"))
            .or(pofr_triads::renamed_from.assume_not_null().like(format!("{stem}%"))))
        .select((pofr_triads::psname, pofr_triads::renamed_from))
        .load(conn))
    .doing("read table pofr_triads")?;
    let ending = |name: String| name.strip_prefix(prefix).map(str::to_owned);
    Ok(names.into_iter().flat_map(|(name, old)| [ending(name), old]).flatten().collect())
}

/// Finds the slice that counts and is open.
pub(crate) fn open_triad(db: &mut Db) -> Result<Option<TriadRow>, StoreError> {
    on_link!(db, conn => pofr_triads::table
        .filter(pofr_triads::is_open.ne(0))
        .filter(pofr_triads::state.eq("live"))
        .order(pofr_triads::id)
        .select(TriadRow::as_select())
        .first(conn)
        .optional())
    .doing("read table pofr_triads")
}

/// Adds a triad.
pub(crate) fn insert_triad(db: &mut Db, triad: &TriadRow) -> Result<(), StoreError> {
    on_link!(db, conn => diesel::insert_into(pofr_triads::table).values(triad).execute(conn))
        .doing("write table pofr_triads")?;
    Ok(())
}
