//! `pofrs export`: what was found, in the words of other tools.

mod columns;
mod csv;
mod ecs;
#[cfg(test)]
mod golden;
mod item;
mod lines;
mod ocsf;
mod parquet;
mod timesketch;

pub(crate) use columns::{is_unreadable, scope_id};

use super::find::{self, Reach, What};
use crate::{
    across::{self, Event},
    cli::{Global, WhichClients},
    exit::Exit,
    filter::{self, FilterArgs, SpanArgs},
    moment,
    output::number,
    record,
};
use anyhow::{Context as _, bail};
use clap::{Args, ValueEnum};
use item::Item;
use jiff::Timestamp;
use lines::{Dialect, Lines};
use pofr_core::{gap::Gap, identity::Cid};
use pofr_schema::{
    Access,
    query::{Found, Subject},
};
use std::{
    collections::HashSet,
    fs::{File, OpenOptions},
    io::{self, BufWriter, Write},
    ops::ControlFlow,
    os::unix::fs::OpenOptionsExt as _,
    path::{Path, PathBuf},
};

/// Exports facts.
#[derive(Args, Debug)]
#[command(after_long_help = format!("\
Every row is exported by itself: of a fact that gaps split, each part. How well its begin and its end are known stands with it (exact, sampled or open). \
Gaps in that time are exported too, as records of their own; with csv they are said on standard error. Rows of one client are in the order of time, \
clients are mixed.

  timesketch  JSONL for Timesketch: two events for each row, its begin and its end; message, timestamp (µs), datetime, timestamp_desc
  ecs         one document a line, Elastic Common Schema {ecs}; what that has no field for stands under pofr
  ocsf        one event a line, OCSF {ocsf}: Process, File System and Network Activity; times to the µs stand in unmapped
  csv         one kind of facts: say which; cells that a spreadsheet would take for formulas begin with a quote
  parquet     a directory: KIND/client=CLIENT/day=YYYY-MM-DD/part-N.parquet, the day of the begin in UTC; times are UTC. A text that is no UTF-8 is escaped, \
and its bytes stand in the column with _raw behind the name

Text that is no UTF-8 is escaped in all formats.

{}

{}

Examples:
  pofrs export --format timesketch --client web-1 --since -1d > web-1.jsonl
  pofrs export --format ecs net --all-clients --from-ip 192.0.2.0/24 --output net.ndjson
  pofrs export --format csv files --client web-1 --under /etc --written --output written.csv
  pofrs export --format parquet --all-clients --since 2026-11-01 --until 2026-11-08 --output week
  duckdb -c \"SELECT client, count(*) FROM read_parquet('week/process/*/*/*.parquet', hive_partitioning=true) GROUP BY 1\"",
  moment::HELP, filter::HELP, ecs = ecs::VERSION, ocsf = ocsf::VERSION))]
pub(crate) struct ExportArgs {
    /// What to export: all three unless said
    #[arg(value_enum, value_name = "WHAT")]
    what: Vec<What>,
    /// In which format
    #[arg(long, value_enum)]
    format: Format,
    /// The file to write, which must not be there yet; for parquet a directory [default: standard output]
    #[arg(long, short, value_name = "PATH")]
    output: Option<PathBuf>,
    #[command(flatten)]
    which: WhichClients,
    #[command(flatten)]
    filter: FilterArgs,
    #[command(flatten)]
    span: SpanArgs,
}

/// The formats.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Format {
    /// Timesketch's JSONL
    Timesketch,
    /// Elastic Common Schema, NDJSON
    Ecs,
    /// Open Cybersecurity Schema Framework, NDJSON
    Ocsf,
    /// Parquet, partitioned by client and day
    Parquet,
    /// CSV
    Csv,
}

/// Writes records in one format.
trait Exporter {
    /// Writes a row.
    fn item(&mut self, subject: Subject, item: &Item<'_>) -> anyhow::Result<()>;
    /// Writes a gap.
    fn gap(&mut self, client: &Cid, gap: &Gap) -> anyhow::Result<()>;
    /// Is called when nothing has come for a while.
    fn quiet(&mut self) -> anyhow::Result<()>;
    /// Writes what is left.
    fn finish(self: Box<Self>) -> anyhow::Result<()>;
}

/// What comes from a client.
enum Answer {
    Found(Box<Found>),
    Reach(Reach),
}

/// Runs the command.
pub(crate) fn run(args: &ExportArgs, global: &Global, out: &mut dyn Write) -> anyhow::Result<Exit> {
    let filter = args.filter.filter();
    let subjects = subjects(args, &filter)?;
    let store = record::open(global, Access::Read)?;
    let clients = record::clients(&*store, &args.which)?;
    let mut file;
    let stdout: &mut dyn Write = match &args.output {
        Some(path) if args.format != Format::Parquet => {
            file = BufWriter::new(create(path)?);
            &mut file
        }
        _ => out,
    };
    let mut exporter: Box<dyn Exporter> = match args.format {
        Format::Timesketch => Box::new(Lines::new(Dialect::Timesketch, stdout)),
        Format::Ecs => Box::new(Lines::new(Dialect::Ecs, stdout)),
        Format::Ocsf => Box::new(Lines::new(Dialect::Ocsf, stdout)),
        Format::Csv => Box::new(csv::Csv::new(subjects[0], stdout)?),
        Format::Parquet => {
            let dir =
                args.output.as_ref().context("--format parquet writes a directory: give --output DIR")?;
            Box::new(parquet::Partitions::new(dir)?)
        }
    };
    let (mut rows, mut gaps, mut failures) = (0_u64, HashSet::new(), Vec::new());
    let now = Timestamp::now();
    for subject in subjects {
        failures.extend(across::ask(
            &*store,
            &clients,
            &|_, reader, hand_on| {
                let span = args.span.span(reader, global.utc, now)?;
                let mut each = |found| hand_on(Answer::Found(Box::new(found)));
                let gaps = pofr_schema::query::find(reader, subject, &filter, span, &mut each)?;
                let reach = find::reach(reader, span, gaps)?;
                let _ = hand_on(Answer::Reach(reach));
                Ok(())
            },
            &mut |event| {
                match event {
                    Event::Answer(client, Answer::Found(found)) => {
                        for item in Item::all(&clients[client], &found) {
                            exporter.item(subject, &item)?;
                            rows += 1;
                        }
                    }
                    Event::Answer(client, Answer::Reach(reach)) => {
                        for gap in reach.gaps {
                            if gaps.insert((client, gap.clone())) {
                                exporter.gap(&clients[client], &gap)?;
                            }
                        }
                        if let Some(ended) = reach.ended {
                            let end = item::rfc3339(ended);
                            writeln!(
                                io::stderr(),
                                "pofrs: {}: the record ends at {end}, before that time",
                                clients[client]
                            )?;
                        }
                    }
                    Event::Quiet => exporter.quiet()?,
                }
                Ok(ControlFlow::Continue(()))
            },
        )?);
    }
    exporter.finish()?;
    if let Some(path) = &args.output {
        let (rows, gaps) = (number::counted(rows, "row"), number::counted(gaps.len() as u64, "gap"));
        writeln!(io::stderr(), "pofrs: {rows} and {gaps} in {}", path.display())?;
    }
    find::settle(failures, rows > 0)
}

/// Returns what to export: what is named, else all that the filter can fit.
fn subjects(args: &ExportArgs, filter: &pofr_schema::query::Filter) -> anyhow::Result<Vec<Subject>> {
    let mut subjects: Vec<Subject> = Vec::new();
    for what in &args.what {
        find::refuse_what_cannot_be(what.subject(), filter)?;
        if !subjects.contains(&what.subject()) {
            subjects.push(what.subject());
        }
    }
    if args.what.is_empty() {
        let all = [Subject::Processes, Subject::Files, Subject::Endpoints];
        subjects.extend(all.into_iter().filter(|s| find::refuse_what_cannot_be(*s, filter).is_ok()));
    }
    match subjects.as_slice() {
        [] => bail!("no process, file or endpoint can be all of that"),
        [_] => Ok(subjects),
        _ if args.format == Format::Csv => bail!("--format csv takes one kind: ps, files or net"),
        _ => Ok(subjects),
    }
}

/// Makes a file that only its owner reads, and that nobody had.
fn create(path: &Path) -> anyhow::Result<File> {
    let file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(path);
    file.with_context(|| format!("cannot make {}", path.display()))
}
