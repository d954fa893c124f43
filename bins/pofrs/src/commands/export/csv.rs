//! CSV, with formulas defused; times are RFC 3339. Gaps go to standard error: they have other columns.

use super::{
    Exporter,
    columns::{self, Value},
    item::{Item, rfc3339},
    lines::about,
};
use crate::output::csv::{self, Cell};
use pofr_core::{gap::Gap, identity::Cid};
use pofr_schema::query::Subject;
use std::io::Write;

/// Writes one sheet.
pub(super) struct Csv<'a> {
    out: &'a mut dyn Write,
}

impl<'a> Csv<'a> {
    pub(super) fn new(subject: Subject, out: &'a mut dyn Write) -> anyhow::Result<Self> {
        let mut sheet = Self { out };
        sheet.line(columns::of(subject).map(|column| Cell::from(column.name)))?;
        Ok(sheet)
    }

    /// Writes a line by way of memory: each is flushed, which files need not be.
    fn line(&mut self, cells: impl Iterator<Item = Cell>) -> anyhow::Result<()> {
        let mut line = Vec::new();
        csv::line(&mut line, cells)?;
        Ok(self.out.write_all(&line)?)
    }
}

impl Exporter for Csv<'_> {
    fn item(&mut self, subject: Subject, item: &Item<'_>) -> anyhow::Result<()> {
        self.line(columns::of(subject).map(|column| match (column.value)(item) {
            None => Cell::Empty,
            Some(Value::Text(text)) => Cell::from(&text),
            Some(Value::Word(word)) => Cell::from(word),
            Some(Value::Number(number)) => Cell::Number(number),
            Some(Value::Time(time)) => Cell::from(rfc3339(time)),
            Some(Value::Flag(flag)) => Cell::Flag(flag),
        }))
    }

    fn gap(&mut self, client: &Cid, gap: &Gap) -> anyhow::Result<()> {
        let until = gap.to.map_or_else(|| "?".to_owned(), rfc3339);
        writeln!(std::io::stderr(), "pofrs: {client}: {} to {until}: {}", rfc3339(gap.from), about(gap))?;
        Ok(())
    }

    fn quiet(&mut self) -> anyhow::Result<()> {
        Ok(self.out.flush()?)
    }

    fn finish(self: Box<Self>) -> anyhow::Result<()> {
        Ok(self.out.flush()?)
    }
}
