//! Parquet, for DuckDB, Spark and their like: a directory for each kind of fact, in it one for each client, in that one for
//! each day.
//!
//! ```text
//! DIR/process/client=web-1/day=2026-11-23/part-0.parquet
//! DIR/gap/client=web-1/day=2026-11-23/part-0.parquet
//! ```
//!
//! The day is that of the begin, in UTC. Rows come nearly in the order of time, so few days are open at once; a day that was
//! left for long is closed, and where a row comes for it after all, there is a second part. So memory is bounded whatever the
//! export's size.
//!
//! A text is a STRING as it is where it is UTF-8, else escaped; then its bytes stand in the column of that name with `_raw`
//! behind it, which is NULL else.

mod sheet;
#[cfg(test)]
mod tests;

use super::{
    Exporter,
    columns::{self, Column, Kind, Value},
    item::Item,
    lines::severity,
};
use anyhow::{Context as _, bail};
use pofr_core::{gap::Gap, identity::Cid, raw::RawText, time::WallMicros};
use pofr_schema::query::Subject;
use sheet::Sheet;
use std::{
    collections::{BTreeMap, HashMap},
    fs::{self, DirBuilder, OpenOptions},
    os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _},
    path::{Path, PathBuf},
};

/// Days of clients that are open at once: each takes some MB of memory.
const MOST_OPEN: usize = 16;

/// A client's day of one kind.
type Place = (&'static str, Cid, String);

/// An open part.
struct Part {
    sheet: Sheet,
    /// When it was last written to, in rows.
    last: u64,
}

/// Writes parts.
pub(super) struct Partitions {
    dir: PathBuf,
    open: HashMap<Place, Part>,
    /// How many parts there have been.
    parts: BTreeMap<Place, u32>,
    rows: u64,
}

impl Partitions {
    /// Begins an export into a directory that is not there yet, or empty.
    pub(super) fn new(dir: &Path) -> anyhow::Result<Self> {
        make_dir(dir)?;
        let mut inside = fs::read_dir(dir).with_context(|| format!("cannot list {}", dir.display()))?;
        if inside.next().is_some() {
            bail!("{} is not empty\nhint: give a directory that is not there yet", dir.display());
        }
        Ok(Self { dir: dir.to_owned(), open: HashMap::new(), parts: BTreeMap::new(), rows: 0 })
    }

    fn put<'v>(
        &mut self,
        (kind, client, at): (&'static str, &Cid, WallMicros),
        layout: impl FnOnce() -> Vec<(&'static str, Kind)>,
        values: impl Iterator<Item = Option<Value>> + 'v,
    ) -> anyhow::Result<()> {
        let day = jiff::Timestamp::from_microsecond(at.0)
            .map_or_else(|_| "undated".to_owned(), |t| t.strftime("%Y-%m-%d").to_string());
        let place = (kind, client.clone(), day);
        self.rows += 1;
        if !self.open.contains_key(&place) {
            if self.open.len() >= MOST_OPEN {
                let oldest =
                    self.open.iter().min_by_key(|(_, part)| part.last).map(|(place, _)| place.clone());
                if let Some(part) = oldest.and_then(|place| self.open.remove(&place)) {
                    part.sheet.close()?;
                }
            }
            let sheet = self.begin(&place, &layout())?;
            self.open.insert(place.clone(), Part { sheet, last: self.rows });
        }
        let part = self.open.get_mut(&place).context("it is open")?;
        part.last = self.rows;
        part.sheet.row(values)
    }

    fn begin(&mut self, place: &Place, layout: &[(&'static str, Kind)]) -> anyhow::Result<Sheet> {
        let (kind, client, day) = place;
        let dir = self.dir.join(kind).join(format!("client={client}")).join(format!("day={day}"));
        make_dir(&dir)?;
        let number = self.parts.entry(place.clone()).or_insert(0);
        let path = dir.join(format!("part-{number}.parquet"));
        *number += 1;
        let file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(&path);
        let file = file.with_context(|| format!("cannot make {}", path.display()))?;
        Sheet::new(path, file, layout)
    }
}

fn make_dir(dir: &Path) -> anyhow::Result<()> {
    DirBuilder::new()
        .recursive(true)
        .mode(0o700)
        .create(dir)
        .with_context(|| format!("cannot make {}", dir.display()))
}

fn layout(subject: Subject) -> impl Iterator<Item = &'static Column> {
    // The client is in the directory's name.
    columns::of(subject).filter(|column| column.name != "client")
}

impl Exporter for Partitions {
    fn item(&mut self, subject: Subject, item: &Item<'_>) -> anyhow::Result<()> {
        self.put(
            (columns::word(subject), item.client, item.row.life.position()),
            || layout(subject).map(|column| (column.name, column.kind)).collect(),
            layout(subject).map(|column| (column.value)(item)),
        )
    }

    fn gap(&mut self, client: &Cid, gap: &Gap) -> anyhow::Result<()> {
        let source = gap.source.as_ref().map(|source| Value::Word(source.name().to_owned()));
        let values = [
            source,
            Some(Value::Word(severity(gap).to_owned())),
            Some(Value::Text(RawText::from(gap.reason.as_str()))),
            Some(Value::Time(gap.from)),
            gap.to.map(Value::Time),
            gap.lost.and_then(|lost| i64::try_from(lost).ok()).map(Value::Number),
        ];
        let layout = || {
            vec![
                ("source", Kind::Word),
                ("severity", Kind::Word),
                ("reason", Kind::Text),
                ("from", Kind::Time),
                ("to", Kind::Time),
                ("lost", Kind::Number),
            ]
        };
        self.put(("gap", client, gap.from), layout, values.into_iter())
    }

    fn quiet(&mut self) -> anyhow::Result<()> {
        Ok(())
    }

    fn finish(mut self: Box<Self>) -> anyhow::Result<()> {
        for (_, part) in self.open.drain() {
            part.sheet.close()?;
        }
        Ok(())
    }
}
