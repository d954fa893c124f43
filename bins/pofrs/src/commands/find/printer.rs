//! Printing what is found while it is being found, and at the end what may be missing.

use super::columns::{self, Page};
use crate::output::{
    csv::{self, Cell},
    json,
    stream::Stream,
    table::{Fit, Listing, Screen},
    when::{self, Zones},
};
use clap::Args;
use jiff::Timestamp;
use pofr_core::{
    fact::Fact,
    gap::{Gap, Severity},
    identity::Cid,
    lifetime::Row,
    source::Source,
    time::{WallMicros, ZoneOffset},
};
use pofr_schema::query::{Extent, Found, Subject};
use serde::Serialize;
use std::{
    collections::BTreeMap,
    io::{self, Write},
};

/// Blind gaps that are told one by one.
const GAPS: usize = 10;

/// How to print.
#[derive(Args, Clone, Debug, Default)]
pub(crate) struct OutputArgs {
    /// Print everything, however wide
    #[arg(long)]
    pub(crate) wide: bool,
    /// Print JSON, one object a line
    #[arg(long, conflicts_with = "csv")]
    pub(crate) json: bool,
    /// Print CSV, with formulas defused
    #[arg(long)]
    pub(crate) csv: bool,
    /// End after so many
    #[arg(long, value_name = "N")]
    pub(crate) limit: Option<u64>,
}

/// What one client has to say of how far its answer goes.
#[derive(Clone, Debug)]
pub(crate) struct Reach {
    /// The gaps in the time that was asked for.
    pub(crate) gaps: Vec<Gap>,
    /// The client's zone now.
    pub(crate) zone: ZoneOffset,
    /// The last time of which anything is recorded, where the time that was asked for begins behind it.
    pub(crate) ended: Option<WallMicros>,
}

enum Form {
    Table(Box<Stream>),
    Json,
    Csv,
}

/// Prints facts.
pub(crate) struct Printer<'a> {
    form: Form,
    page: Page,
    clients: &'a [Cid],
    limit: u64,
    printed: u64,
}

/// A fact in JSON.
#[derive(Serialize)]
struct Line<'a, T> {
    client: &'a Cid,
    #[serde(flatten)]
    extent: Extent,
    #[serde(flatten)]
    found: &'a T,
}

/// A gap in JSON.
#[derive(Serialize)]
struct GapLine<'a> {
    client: &'a Cid,
    gap: &'a Gap,
}

/// The end of a record in JSON.
#[derive(Serialize)]
struct EndLine<'a> {
    client: &'a Cid,
    record_ends: WallMicros,
}

impl<'a> Printer<'a> {
    /// Begins to print.
    pub(crate) fn new(
        subject: Subject,
        args: &OutputArgs,
        clients: &'a [Cid],
        utc: bool,
        out: &mut dyn Write,
    ) -> anyhow::Result<Self> {
        let several = clients.len() > 1;
        let now = WallMicros(Timestamp::now().as_microsecond());
        let form = if args.json {
            Form::Json
        } else if args.csv {
            csv::line(out, columns::csv(subject).into_iter().map(Cell::from))?;
            Form::Csv
        } else {
            let screen = Screen::detect();
            let screen = if args.wide { Screen { width: u16::MAX, ..screen } } else { screen };
            // Paths and addresses are what is looked for; arguments may be as long as a novel.
            let single_lines = !args.wide && subject == Subject::Processes;
            Form::Table(Box::new(Stream::new(
                screen,
                single_lines,
                columns::table(subject, args.wide, several),
            )))
        };
        let page = Page { wide: args.wide, several, utc, now };
        Ok(Self { form, page, clients, limit: args.limit.unwrap_or(u64::MAX), printed: 0 })
    }

    /// Prints a fact; tells whether there may be more. `line` is what JSON has of it, `ancestors` where its process comes from.
    pub(crate) fn found<T: Serialize>(
        &mut self,
        client: usize,
        found: &Found,
        line: &T,
        ancestors: &[Row],
        out: &mut dyn Write,
    ) -> anyhow::Result<bool> {
        if self.printed >= self.limit {
            return Ok(false);
        }
        let cid = &self.clients[client];
        match &mut self.form {
            Form::Json => json::line(out, &Line { client: cid, extent: found.extent(), found: line })?,
            Form::Csv => csv::line(out, columns::csv_cells(cid, found, self.page.utc))?,
            Form::Table(stream) => {
                stream.row(columns::cells(&self.page, cid, found), out)?;
                let zones = Zones::of_row(found.row().zone, self.page.utc);
                for gap in &found.breaks {
                    let (from, to) = (zones.second(gap.from), zones.second(gap.to));
                    stream.note(&format!("not known from {from} to {to}: {}", gap.why), out)?;
                }
                if !ancestors.is_empty() {
                    stream.note(&format!("child of {}", lineage(ancestors)), out)?;
                }
            }
        }
        self.printed += 1;
        Ok(self.printed < self.limit)
    }

    /// Lets who reads along see what there is, where nothing has come for a while.
    pub(crate) fn quiet(&mut self, out: &mut dyn Write) -> io::Result<()> {
        match &mut self.form {
            Form::Table(stream) => stream.tick(out),
            _ => out.flush(),
        }
    }

    /// Prints what waits.
    pub(crate) fn flush(&mut self, out: &mut dyn Write) -> io::Result<()> {
        match &mut self.form {
            Form::Table(stream) => stream.flush(out),
            _ => out.flush(),
        }
    }

    /// Tells whether no more is wanted.
    pub(crate) const fn is_full(&self) -> bool {
        self.printed >= self.limit
    }

    /// Returns how many there were.
    pub(crate) const fn printed(&self) -> u64 {
        self.printed
    }

    /// Prints the end: where something may be missing. CSV has no room for that: there it goes to standard error.
    pub(crate) fn end(&mut self, reaches: &[(usize, Reach)], out: &mut dyn Write) -> anyhow::Result<()> {
        self.flush(out)?;
        match &self.form {
            Form::Json => {
                for (client, reach) in reaches {
                    let client = &self.clients[*client];
                    for gap in &reach.gaps {
                        json::line(out, &GapLine { client, gap })?;
                    }
                    if let Some(record_ends) = reach.ended {
                        json::line(out, &EndLine { client, record_ends })?;
                    }
                }
                Ok(())
            }
            Form::Csv => self.gaps(reaches, &mut io::stderr()),
            Form::Table(_) => {
                if self.printed == 0 {
                    writeln!(out, "nothing found")?;
                }
                if self.is_full() {
                    writeln!(out, "… and maybe more: --limit ended it")?;
                }
                self.gaps(reaches, out)
            }
        }
    }

    fn gaps(&self, reaches: &[(usize, Reach)], out: &mut dyn Write) -> anyhow::Result<()> {
        for (client, reach) in reaches {
            print_reach(&self.clients[*client], reach, self.page.utc, out)?;
        }
        Ok(())
    }
}

/// Says where a client's record is incomplete in the time that was asked for.
pub(crate) fn print_reach(cid: &Cid, reach: &Reach, utc: bool, out: &mut dyn Write) -> anyhow::Result<()> {
    let zones = Zones::of_row(reach.zone, utc);
    if let Some(ended) = reach.ended {
        writeln!(out, "{cid}: the record ends before that time, at {}", zones.full(ended))?;
    }
    if reach.gaps.is_empty() {
        return Ok(());
    }
    writeln!(out, "{cid}: the record is incomplete in that time; what was there may not be here:")?;
    let columns = [
        ("  FROM", Fit::Whole),
        ("LENGTH", Fit::Whole),
        ("KIND", Fit::Whole),
        ("SOURCE", Fit::Name(10)),
        ("WHY", Fit::Text),
    ];
    let mut listing = Listing::new(Screen::detect(), false, &columns);
    let blind: Vec<&Gap> = reach.gaps.iter().filter(|gap| gap.severity == Severity::Blind).collect();
    // Of many thin ones each says little: those for one reason are one line.
    let mut thin: BTreeMap<(&Option<Source>, &str), (u64, i64, &Gap)> = BTreeMap::new();
    for gap in reach.gaps.iter().filter(|gap| gap.severity == Severity::Thin) {
        let length = gap.to.map_or(0, |to| to.since(gap.from));
        let entry = thin.entry((&gap.source, &gap.reason)).or_insert((0, 0, gap));
        entry.0 += 1;
        entry.1 += length;
    }
    let lines = blind.iter().take(GAPS).map(|gap| (1, gap.to.map(|to| to.since(gap.from)), *gap));
    let lines = lines.chain(thin.into_values().map(|(count, length, gap)| (count, Some(length), gap)));
    for (count, length, gap) in lines {
        let known = gap.from != WallMicros::default();
        let from = if known { zones.second(gap.from) } else { "the beginning".to_owned() };
        let length = length.filter(|_| known).map_or_else(|| "?".to_owned(), when::length);
        let kind = match (gap.severity, count) {
            (Severity::Blind, _) => "blind".to_owned(),
            (Severity::Thin, 1) => "thin".to_owned(),
            (Severity::Thin, count) => format!("{count} thin"),
        };
        let source = gap.source.as_ref().map_or_else(|| "all".to_owned(), ToString::to_string);
        listing.row([format!("  {from}"), length, kind, source, gap.reason.clone()]);
    }
    listing.print(out)?;
    if blind.len() > GAPS {
        writeln!(out, "  … and {} more: pofrs gaps --blind --client {cid}", blind.len() - GAPS)?;
    }
    Ok(())
}

/// Names a process's ancestors, the nearest first.
pub(crate) fn lineage(ancestors: &[Row]) -> String {
    let name = |row: &Row| match &row.fact {
        Fact::Process(process) => {
            Some(format!("{} {}", process.key.comm.escaped(), process.key.entity.pid()))
        }
        _ => None,
    };
    ancestors.iter().filter_map(name).collect::<Vec<_>>().join(", of ")
}
