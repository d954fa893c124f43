//! SQL of the investigator's own: one statement, read only, row by row as JSON.

use super::read_only;
use crate::db::{Db, Dialect, Doing as _, NamedRecord, Statement, Value, failure, is_vanished};
use pofr_core::{digest::hex, store::StoreError};
use serde_json::{Map, Number, Value as Json};
use std::{ops::ControlFlow, time::Duration};

/// Runs one read-only statement in a read-only transaction.
///
/// SQLite hands out rows as it finds them. MariaDB's client library takes the whole result first, so there a result must fit
/// the memory.
pub(crate) fn sql(
    db: &mut Db,
    statement: &str,
    each: &mut dyn FnMut(Map<String, Json>) -> ControlFlow<()>,
) -> Result<(), StoreError> {
    read_only::check(statement, db.dialect())?;
    // The one statement may end in a semicolon, which a prepared one must not on MariaDB.
    let statement = match db.dialect() {
        Dialect::Sqlite => statement,
        Dialect::Mariadb => statement.trim_end().trim_end_matches(';'),
    };
    // A writer's connection, too, only reads here: `WITH … DELETE` begins like a question. MariaDB's transaction refuses it.
    let lift = db.dialect() == Dialect::Sqlite && db.may_write();
    if lift {
        db.batch("PRAGMA query_only = ON").doing("run a query")?;
    }
    let result = run(db, statement, each);
    if lift {
        db.batch("PRAGMA query_only = OFF").doing("run a query")?;
    }
    result
}

fn run(
    db: &mut Db,
    statement: &str,
    each: &mut dyn FnMut(Map<String, Json>) -> ControlFlow<()>,
) -> Result<(), StoreError> {
    let mut told = false;
    for attempt in 0.. {
        let result = db.read("run a query", |db| {
            db.each(Statement::new(statement.to_owned()), &mut |row: NamedRecord| {
                told = true;
                each(row.0.into_iter().map(|(name, value)| (name, json(value))).collect())
            })
            .map_err(|error| failure("run the query", error))
        });
        match result {
            Err(error) if !told && attempt < 50 && vanished_view(&error) => {
                std::thread::sleep(Duration::from_millis(20));
            }
            other => return other,
        }
    }
    Ok(())
}

/// A view whose tables are being renamed; a table that the investigator misspelt is not waited for.
fn vanished_view(error: &StoreError) -> bool {
    is_vanished(error) && {
        let text = error.to_string();
        text.contains("references invalid table") || text.contains("definition has changed")
    }
}

fn json(value: Value) -> Json {
    match value {
        Value::Null => Json::Null,
        Value::Int(n) => n.into(),
        Value::Real(x) => Number::from_f64(x).map_or(Json::Null, Json::Number),
        Value::Text(text) => Json::String(text),
        Value::Bytes(bytes) => match String::from_utf8(bytes) {
            Ok(text) => Json::String(text),
            Err(error) => {
                let mut map = Map::new();
                map.insert("hex".into(), hex(error.as_bytes()).into());
                Json::Object(map)
            }
        },
        Value::Decimal(digits) => {
            let whole =
                digits.parse::<u64>().map(Number::from).or_else(|_| digits.parse::<i64>().map(Number::from));
            match whole {
                Ok(number) => Json::Number(number),
                // DECIMAL is exact; a JSON number would not be.
                Err(_) => Json::String(digits),
            }
        }
    }
}
