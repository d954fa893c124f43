//! `pofrs ingest`: bundles that wait in a directory, into a client's record.

use crate::{
    cli::Global,
    exit::Exit,
    output::{json, number, progress, when::Zones},
    record,
};
use anyhow::Context as _;
use clap::Args;
use pofr_core::{
    Store,
    digest::{self, Sha256},
    identity::Cid,
    raw::RawText,
    store::{ClientEntry, StoreError},
    time::WallMicros,
};
use pofr_ingest::{Inbox, Options, Report, ingest};
use pofr_schema::Access;
use serde::Serialize;
use std::{io::Write, path::PathBuf};

/// Takes bundles in.
#[derive(Args, Debug)]
#[command(after_long_help = "\
Files that are stored stay where they are: ingesting again finds them to be duplicates. A file that is no good bundle is \
moved to DIR/quarantine, with the reason in a file beside it, and changes nothing else; the exit code is then 4.

JSON: one object with client, stored, duplicates, samples, rows, first and last (µs since 1970, null where nothing was \
stored), halves_waiting, quarantined (a list of name and reason), quarantine (the directory).

Examples:
  pofrs ingest /srv/inbox --client web-1
  pofrs ingest backlog --client web-1 --workers 8")]
pub(crate) struct IngestArgs {
    /// The directory that the bundles are in
    #[arg(value_name = "DIR")]
    dir: PathBuf,
    /// The client, added if it is not known: 1 to 59 letters, digits and dashes
    #[arg(long, value_name = "NAME", value_parser = cid)]
    client: Cid,
    /// Unpack so many bundles at a time; a backlog is then cut into slices
    #[arg(long, value_name = "N", default_value_t = 1, value_parser = clap::value_parser!(u16).range(1..=256))]
    workers: u16,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

fn cid(text: &str) -> Result<Cid, String> {
    Cid::parse(text).ok_or_else(|| "a client's name is 1 to 59 ASCII letters, digits and dashes".to_owned())
}

/// Runs the command.
pub(crate) fn run(args: &IngestArgs, global: &Global, out: &mut dyn Write) -> anyhow::Result<Exit> {
    let options = Options { workers: args.workers.into(), ..Options::default() };
    let inbox = Inbox::new(&args.dir, options.limits.tar);
    // A directory that is not there is found out before a client is made for it.
    std::fs::read_dir(&args.dir).with_context(|| format!("cannot list {}", args.dir.display()))?;
    let store = record::open(global, Access::Write)?;
    add_client(&*store, &args.client, (options.now)())?;
    let bar = progress::bar("ingesting", "bundles");
    let report = take(&*store, &args.client, &inbox, &options, &mut |done, all| {
        bar.set_length(all as u64);
        bar.set_position(done as u64);
    })?;
    bar.finish_and_clear();
    if args.json {
        json::line(out, &Line::new(&args.client, &inbox, &report))?;
    } else {
        let zones = Zones::of(&store.read(&args.client)?.ledger()?, global.utc);
        summary(&report, &inbox, &zones, out)?;
    }
    Ok(if report.quarantined.is_empty() { Exit::Done } else { Exit::Quarantined })
}

/// Ingests what waits in `inbox` into the record of `cid`.
pub(crate) fn take(
    store: &dyn Store,
    cid: &Cid,
    inbox: &Inbox,
    options: &Options,
    progress: &mut dyn FnMut(usize, usize),
) -> anyhow::Result<Report> {
    let mut writer = store.write(cid)?;
    Ok(ingest(&mut *writer, cid, inbox, options, progress)?)
}

/// Adds the client if it is not known. Nobody registered it, so its account's name is made of its id.
pub(crate) fn add_client(store: &dyn Store, cid: &Cid, now: WallMicros) -> Result<(), StoreError> {
    let known = store.clients()?.iter().any(|c| c.cid == *cid);
    if known {
        return Ok(());
    }
    let digest = Sha256::of(format!("pofr/ciduser/{cid}").as_bytes());
    let entry = ClientEntry {
        cid: cid.clone(),
        uuid: cid.as_str().chars().take(36).collect(),
        ciduser: digest::hex(&digest.0[..16]),
        last_ip: None,
        registered: now,
    };
    match store.add_client(&entry) {
        // Another ingest was quicker.
        Err(StoreError::ClientExists(_)) => Ok(()),
        other => other,
    }
}

fn summary(report: &Report, inbox: &Inbox, zones: &Zones, out: &mut dyn Write) -> anyhow::Result<()> {
    let bundles = number::counted(report.stored, "bundle");
    let (samples, rows) =
        (number::counted(report.samples, "sample"), number::counted(report.rows, "new row"));
    writeln!(out, "{bundles} stored: {samples}, {rows}")?;
    if let Some((first, last)) = report.span {
        writeln!(out, "from {} to {}", zones.full(first), zones.full(last))?;
    }
    if report.duplicates > 0 {
        writeln!(out, "{} stored already", number::counted(report.duplicates, "file"))?;
    }
    if report.halves_waiting > 0 {
        writeln!(
            out,
            "{} without its other half, which the next bundle may bring",
            number::counted(report.halves_waiting, "half snapshot")
        )?;
    }
    if !report.quarantined.is_empty() {
        let many = number::counted(report.quarantined.len() as u64, "file");
        writeln!(out, "{many} refused, now in {}:", inbox.quarantine_dir().display())?;
        for (name, reason) in &report.quarantined {
            writeln!(out, "  {name}\n    {}", RawText::from(reason.as_str()).escaped())?;
        }
    }
    Ok(())
}

#[derive(Serialize)]
struct Line<'a> {
    client: &'a Cid,
    stored: u64,
    duplicates: u64,
    samples: u64,
    rows: u64,
    first: Option<WallMicros>,
    last: Option<WallMicros>,
    halves_waiting: u64,
    quarantined: Vec<Quarantined<'a>>,
    quarantine: PathBuf,
}

#[derive(Serialize)]
struct Quarantined<'a> {
    name: &'a str,
    reason: &'a str,
}

impl<'a> Line<'a> {
    fn new(client: &'a Cid, inbox: &Inbox, report: &'a Report) -> Self {
        Self {
            client,
            stored: report.stored,
            duplicates: report.duplicates,
            samples: report.samples,
            rows: report.rows,
            first: report.span.map(|s| s.0),
            last: report.span.map(|s| s.1),
            halves_waiting: report.halves_waiting,
            quarantined: report
                .quarantined
                .iter()
                .map(|(name, reason)| Quarantined { name, reason })
                .collect(),
            quarantine: inbox.quarantine_dir(),
        }
    }
}
