//! Triads' lives: names, making, filling, the seal's renaming, dropping.
//!
//! MariaDB commits at each DDL statement, so each of these steps leaves the ledger saying what is still to be done: a triad is
//! `creating` before its tables exist, and in the ledger until they are gone; a sealed slice's new name stands beside
//! its old one until all three tables have it.

use super::place::current_name;
use crate::{
    db::{Db, Dialect, Doing as _, Statement, failure, is_kept_waiting},
    ledger::{TriadRow, find_triad, get, insert_triad, load_triads, set, taken_endings},
    tables::{Spec, create_bare_table, create_indexes, create_table, spec},
};
use jiff::{Timestamp, tz};
use pofr_core::{
    fact::FactKind,
    store::{Level, StoreError, TriadId},
    time::{WallMicros, ZoneOffset},
};

/// How the names of a level's tables begin.
pub(crate) const fn prefixes(level: Level) -> [&'static str; 3] {
    match level {
        Level::Slice => ["psinfo", "fileinfo", "netinfo"],
        Level::Archive => ["archpsinfo", "archfileinfo", "archnetinfo"],
        Level::Period => ["periodprocess", "periodfile", "periodnet"],
    }
}

/// Returns how the names end, without what keeps two of one time apart.
fn stem(
    level: Level,
    open: bool,
    from: WallMicros,
    to: WallMicros,
    zone: ZoneOffset,
) -> Result<String, StoreError> {
    let digits = |t: WallMicros| format!("{:016}", t.0.max(0));
    let local = |t: WallMicros| -> Result<String, StoreError> {
        let offset = tz::Offset::from_seconds(i32::from(zone.minutes()) * 60)
            .map_err(|e| failure("name a triad", e))?;
        let at = Timestamp::from_microsecond(t.0).map_err(|e| failure("name a triad", e))?;
        let at = offset.to_datetime(at);
        Ok(format!(
            "{:04}{:02}{:02}{:02}{:02}{:02}",
            at.year().max(0),
            at.month(),
            at.day(),
            at.hour(),
            at.minute(),
            at.second()
        ))
    };
    Ok(match level {
        Level::Slice if open => format!("{}9999999999999999", digits(from)),
        Level::Slice => format!("{}{}", digits(from), digits(to)),
        Level::Archive | Level::Period => format!("{}to{}", local(from)?, local(to)?),
    })
}

/// Names the tables of a triad as no others are named, dead ones included.
pub(crate) fn free_names(
    db: &mut Db,
    level: Level,
    open: bool,
    range: (WallMicros, WallMicros),
    zone: ZoneOffset,
) -> Result<[String; 3], StoreError> {
    let stem = stem(level, open, range.0, range.1, zone)?;
    let taken = taken_endings(db, level, prefixes(level)[0], &stem)?;
    let ending = std::iter::once(stem.clone())
        .chain((2..).map(|n| format!("{stem}_{n}")))
        .find(|ending| !taken.contains(ending))
        .unwrap_or(stem);
    Ok(prefixes(level).map(|prefix| format!("{prefix}{ending}")))
}

/// Makes an empty triad that does not count yet.
pub(crate) fn create(
    db: &mut Db,
    level: Level,
    open: bool,
    range: (WallMicros, WallMicros),
    zone: ZoneOffset,
) -> Result<TriadRow, StoreError> {
    let triad = db.write("make a triad", |db| {
        let names = free_names(db, level, open, range, zone)?;
        // Numbers are never used again: readers and indexes know a triad by its number.
        let id = get(db, "last_triad")?.unwrap_or(0) + 1;
        set(db, "last_triad", id)?;
        let triad = TriadRow::creating(TriadId(id), level, open, names, range, zone);
        insert_triad(db, &triad)?;
        Ok(triad)
    })?;
    let dialect = db.dialect();
    let make = |db: &mut Db| {
        for (kind, name) in FactKind::TRIAD.iter().zip(triad.tables()) {
            let spec = spec(*kind);
            let stem = index_stem(spec, triad.id);
            let statements = match level {
                Level::Slice => create_table(spec, name, &stem, dialect),
                Level::Archive | Level::Period => create_bare_table(spec, name, dialect),
            };
            for statement in statements {
                db.execute(statement).doing(format_args!("make table {name}"))?;
            }
        }
        Ok(())
    };
    match dialect {
        Dialect::Sqlite => db.write("make a triad", make)?,
        Dialect::Mariadb => make(db)?,
    }
    Ok(triad)
}

/// Makes the indexes that an archive's or a period's tables were filled without; harmless when repeated.
///
/// On MariaDB this commits: it is done before the change that makes the triad count.
pub(crate) fn create_missing_indexes(db: &mut Db, id: TriadId) -> Result<(), StoreError> {
    let Some(triad) = find_triad(db, id)? else { return Ok(()) };
    if triad.level() == Some(Level::Slice) {
        return Ok(());
    }
    let dialect = db.dialect();
    for (kind, name) in FactKind::TRIAD.iter().zip(triad.tables()) {
        let spec = spec(*kind);
        for statement in create_indexes(spec, name, &index_stem(spec, triad.id), dialect) {
            db.execute(statement).doing(format_args!("index table {name}"))?;
        }
    }
    Ok(())
}

/// Begins the names of a table's indexes on SQLite.
fn index_stem(spec: &Spec, triad: i64) -> String {
    format!("pofr_{}_{triad}", spec.table)
}

/// Gives the tables of sealed slices their final names; harmless when repeated.
pub(crate) fn finish_renames(db: &mut Db) -> Result<(), StoreError> {
    for mut triad in load_triads(db)?.into_iter().filter(|t| t.renamed_from.is_some()) {
        for index in 0..3 {
            let (old, new) = (current_name(db, &triad, index)?, triad.tables()[index].to_owned());
            if old != new {
                let statement = Statement::new("ALTER TABLE ").name(old).sql(" RENAME TO ").name(new.clone());
                db.execute(statement).doing(format_args!("rename a table to {new}"))?;
            }
        }
        triad.renamed_from = None;
        triad.save(db)?;
    }
    Ok(())
}

/// Drops what does not count: half-made triads, and those that others have replaced.
///
/// One that a reader is still in the middle of stays for the next time.
pub(crate) fn drop_uncounted(db: &mut Db) -> Result<(), StoreError> {
    for triad in load_triads(db)? {
        if triad.is_live() {
            continue;
        }
        match drop_tables(db, &triad) {
            Err(error) if is_kept_waiting(&error) => {
                tracing::info!(triad = triad.id, %error, "a replaced triad is still being read");
            }
            other => other?,
        }
    }
    Ok(())
}

fn drop_tables(db: &mut Db, triad: &TriadRow) -> Result<(), StoreError> {
    for index in 0..3 {
        let name = current_name(db, triad, index)?;
        let statement = Statement::new("DROP TABLE IF EXISTS ").name(name.clone());
        db.execute(statement).doing(format_args!("drop table {name}"))?;
    }
    triad.delete(db)
}
