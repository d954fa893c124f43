//! `pofrs sql`: one read-only statement over a client's tables.

use crate::{
    cli::{Global, WhichClient},
    exit::Exit,
    output::{
        json,
        table::{Fit, Listing, Screen},
    },
    record,
};
use clap::Args;
use pofr_core::raw::RawText;
use pofr_schema::Access;
use serde_json::{Map, Value};
use std::{io::Write, ops::ControlFlow};

/// Rows held for a table, whose widths are not known before its end.
const TABLE_ROWS: usize = 10_000;

/// Runs a statement.
#[derive(Args, Debug)]
#[command(after_long_help = "\
JSON: one object a line, the columns by their names; bytes that are no UTF-8 are {\"hex\": \"…\"}. A table holds at \
most 10,000 rows; JSON has no limit.

Examples:
  pofrs sql --client web-1 'SELECT pid, command, arguments FROM psinfo LIMIT 10'
  pofrs sql --client web-1 --json 'SELECT * FROM all_fileinfo WHERE deleted' | jq .filename")]
pub(crate) struct SqlArgs {
    /// One SELECT, WITH, SHOW, DESCRIBE or EXPLAIN
    statement: String,
    #[command(flatten)]
    which: WhichClient,
    /// Print JSON, one object a line
    #[arg(long)]
    json: bool,
}

/// Runs the command.
pub(crate) fn run(args: &SqlArgs, global: &Global, out: &mut dyn Write) -> anyhow::Result<Exit> {
    let store = record::open(global, Access::Read)?;
    let cid = record::client(&*store, args.which.client.as_deref())?;
    let mut reader = store.read(&cid)?;
    let mut rows: Vec<Map<String, Value>> = Vec::new();
    let mut failed = None;
    let mut more = false;
    reader.sql(&args.statement, &mut |row| {
        if !args.json {
            more = rows.len() == TABLE_ROWS;
            if more {
                return ControlFlow::Break(());
            }
            rows.push(row);
            return ControlFlow::Continue(());
        }
        match json::line(out, &row) {
            Ok(()) => ControlFlow::Continue(()),
            Err(error) => {
                failed = Some(error);
                ControlFlow::Break(())
            }
        }
    })?;
    if let Some(error) = failed {
        return Err(error);
    }
    if let Some(first) = rows.first() {
        let columns: Vec<(&str, Fit)> = first
            .iter()
            .map(|(name, value)| (name.as_str(), if value.is_number() { Fit::Number } else { Fit::Text }))
            .collect();
        let mut listing = Listing::new(Screen::detect(), false, &columns);
        for row in &rows {
            listing.row(row.values().map(text));
        }
        listing.print(out)?;
    }
    if more {
        writeln!(out, "… and more: use LIMIT, or --json for all")?;
    }
    Ok(Exit::Done)
}

/// Returns what a table shows of a value.
fn text(value: &Value) -> String {
    match value {
        Value::Null => "NULL".to_owned(),
        Value::String(text) => RawText::from(text.as_str()).escaped(),
        Value::Object(bytes) => match bytes.get("hex").and_then(Value::as_str) {
            Some(hex) => format!("0x{hex}"),
            None => value.to_string(),
        },
        other => other.to_string(),
    }
}
