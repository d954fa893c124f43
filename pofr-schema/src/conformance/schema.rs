//! The live schema is the one that the program and its reference know.

use super::{on_every_store, place::Place};
use crate::{ledger, reference::static_tables, tables::spec};
use pofr_core::fact::FactKind;
use std::ops::ControlFlow;

on_every_store!(the_live_schema_is_the_documented_one);

fn the_live_schema_is_the_documented_one(place: &Place) {
    let (store, cid, _writer) = place.writer();
    let mut reader = store.read(&cid).unwrap();
    let mut columns_of = |table: &str| -> Vec<String> {
        let (schema, name) = table.split_once('.').unwrap_or(("", table));
        let sql = if place.is_mariadb() {
            let schema = if schema.is_empty() { "DATABASE()".to_owned() } else { format!("'{schema}'") };
            format!(
                "SELECT column_name AS name FROM information_schema.columns WHERE table_schema = {schema} \
                 AND table_name = '{name}' ORDER BY ordinal_position"
            )
        } else {
            let schema = if schema.is_empty() { "main" } else { schema };
            format!("SELECT name FROM pragma_table_xinfo('{name}', '{schema}') ORDER BY cid")
        };
        let mut names = Vec::new();
        let each = &mut |row: serde_json::Map<_, serde_json::Value>| {
            names.push(row["name"].as_str().unwrap().to_owned());
            ControlFlow::Continue(())
        };
        reader.sql(&sql, each).unwrap();
        names
    };
    for (table, columns) in static_tables() {
        assert_eq!(columns_of(table), columns, "{table}");
    }
    for kind in FactKind::ALL {
        let spec = spec(kind);
        let columns: Vec<&str> = spec.all_columns().map(|c| c.name).collect();
        assert_eq!(columns_of(spec.table), columns, "{}", spec.table);
        assert_eq!(columns_of(&ledger::template(spec.table, kind)), columns, "{}", spec.table);
    }
}
