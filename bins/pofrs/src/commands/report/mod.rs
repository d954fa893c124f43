//! `pofrs report`: what happened on a machine in some time, as one page that can be put into a file and printed.

mod forest;
mod gathered;
mod html;
mod page;
mod picture;

use crate::{
    cli::{Global, WhichClient},
    exit::Exit,
    filter::{self, FilterArgs, SpanArgs},
    moment,
    output::when::Zones,
    record,
};
use anyhow::Context as _;
use clap::Args;
use gathered::Gathered;
use jiff::Timestamp;
use pofr_core::{
    identity::Cid,
    store::ClientReader,
    time::{WallMicros, ZoneOffset},
};
use pofr_schema::{
    Access,
    query::{Filter, Span},
};
use std::{fs::OpenOptions, io::Write, os::unix::fs::OpenOptionsExt as _, path::PathBuf};

/// Writes a report.
#[derive(Args, Debug)]
#[command(after_long_help = format!("\
The page needs nothing besides itself and asks nothing of anybody: no script, no image, no font from elsewhere; its policy forbids them. It is light or dark \
as the reader's system is, and prints. It has a picture of the time, gaps, the process tree, and tables of processes, network endpoints and open files, \
each of at most --limit rows, the earliest ones; how many more there are is said.

{}

{}

Nothing found is exit code 7; the page is written all the same, and says so.

Examples:
  pofrs report --client web-1 --from '2026-11-23 10:00' --to '2026-11-23 11:00' --output report.html
  pofrs report --client web-1 --since -1h --user toma > toma.html", moment::HELP, filter::HELP))]
pub(crate) struct ReportArgs {
    #[command(flatten)]
    which: WhichClient,
    #[command(flatten)]
    filter: FilterArgs,
    #[command(flatten)]
    span: SpanArgs,
    /// What stands above it [default: the client's id]
    #[arg(long, value_name = "TEXT")]
    title: Option<String>,
    /// The file to write, which must not be there yet [default: standard output]
    #[arg(long, short, value_name = "FILE")]
    output: Option<PathBuf>,
    /// Rows of each table at most
    #[arg(long, value_name = "N", default_value_t = DEFAULT_LIMIT)]
    limit: usize,
}

/// Rows of each table, unless told otherwise: a page that browsers still open at once.
pub(crate) const DEFAULT_LIMIT: usize = 2000;

/// Runs the command.
pub(crate) fn run(args: &ReportArgs, global: &Global, out: &mut dyn Write) -> anyhow::Result<Exit> {
    let store = record::open(global, Access::Read)?;
    let cid = record::client(&*store, args.which.client.as_deref())?;
    let mut reader = store.read(&cid)?;
    let span = args.span.span(&mut *reader, global.utc, Timestamp::now())?;
    let about = About {
        client: &cid,
        filter: &args.filter.filter(),
        span,
        title: args.title.as_deref(),
        utc: global.utc,
        limit: args.limit,
    };
    let (page, found) = render(&mut *reader, &about)?;
    match &args.output {
        Some(path) => {
            let file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(path);
            let mut file = file.with_context(|| format!("cannot make {}", path.display()))?;
            file.write_all(page.as_bytes()).with_context(|| format!("cannot write {}", path.display()))?;
        }
        None => out.write_all(page.as_bytes())?,
    }
    Ok(if found { Exit::Done } else { Exit::NothingFound })
}

/// What a report is about.
pub(crate) struct About<'a> {
    pub(crate) client: &'a Cid,
    pub(crate) filter: &'a Filter,
    pub(crate) span: Span,
    pub(crate) title: Option<&'a str>,
    pub(crate) utc: bool,
    pub(crate) limit: usize,
}

/// Makes the page; tells whether there is anything on it.
pub(crate) fn render(reader: &mut dyn ClientReader, about: &About<'_>) -> anyhow::Result<(String, bool)> {
    let ledger = reader.ledger()?;
    let gathered =
        Gathered::ask(reader, about.client, &ledger, (about.filter, about.span), about.utc, about.limit)?;
    let now = Zones::fixed(ZoneOffset::UTC).full(WallMicros(Timestamp::now().as_microsecond()));
    let made = format!("Made by pofrs {} at {now}", env!("CARGO_PKG_VERSION"));
    let title = about.title.map_or_else(|| about.client.to_string(), str::to_owned);
    let found = gathered.counts.iter().any(|count| *count > 0);
    Ok((page::page(&gathered, &title, &made), found))
}
