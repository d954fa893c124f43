//! One directory's bundles into one client's record.

use super::{IngestArgs, enrich};
use crate::{
    cli::Global,
    exit::Exit,
    output::{json, number, progress, when::Zones},
    record,
};
use anyhow::Context as _;
use pofr_core::{Store, identity::Cid, raw::RawText, time::WallMicros};
use pofr_ingest::{
    Inbox, Options, Report,
    inbox::After,
    ingest,
    service::{Keep, add_client},
};
use pofr_schema::Access;
use serde::Serialize;
use std::{
    io::Write,
    path::{Path, PathBuf},
};

/// Takes what is in `dir` into the record of `cid`.
pub(super) fn run(
    args: &IngestArgs,
    dir: &Path,
    cid: &Cid,
    global: &Global,
    out: &mut dyn Write,
) -> anyhow::Result<Exit> {
    let enrich = enrich::make(&args.enrich, &record::config(global)?.enrich)?;
    let workers = args.workers.unwrap_or(1).into();
    let options = Options { workers, enrich, patience: enrich::PATIENCE, ..Options::default() };
    let mut inbox = Inbox::new(dir, options.limits.tar);
    if let Some(keep) = args.keep_bundles {
        anyhow::ensure!(
            keep == Keep::Forever,
            "with DIR, files stay where they are: --keep-bundles can only be forever"
        );
        inbox = inbox.then(After::Copy(record::layout(global)?.kept(cid)));
    }
    // A directory that is not there is found out before a client is made for it.
    std::fs::read_dir(dir).with_context(|| format!("cannot list {}", dir.display()))?;
    let store = record::open(global, Access::Write)?;
    add_client(&*store, cid, (options.now)())?;
    super::end_on_signal(&options.stop)?;
    let bar = progress::bar("ingesting", "bundles");
    let stop = options.stop.clone();
    let report = take(&*store, cid, &inbox, &options, &mut |done, all| {
        bar.set_length(all as u64);
        bar.set_position(done as u64);
    })?;
    bar.finish_and_clear();
    if args.json {
        json::line(out, &Line::new(cid, &inbox.quarantine_dir(), &report))?;
    } else {
        let zones = Zones::of(&store.read(cid)?.ledger()?, global.utc);
        summary(&report, &inbox, &zones, out)?;
    }
    Ok(match report {
        _ if stop.is_told() && report.left > 0 => Exit::Failed,
        _ if report.quarantined.is_empty() => Exit::Done,
        _ => Exit::Quarantined,
    })
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

/// What JSON has of a client.
#[derive(Serialize)]
pub(super) struct Line<'a> {
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
    pub(super) fn new(client: &'a Cid, quarantine: &Path, report: &'a Report) -> Self {
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
            quarantine: quarantine.to_owned(),
        }
    }
}
