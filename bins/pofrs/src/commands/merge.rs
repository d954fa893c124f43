//! `pofrs archive` and `pofrs period`: levels 2 and 3.

use crate::{
    cli::{Global, WhichClient},
    exit::Exit,
    moment::{self, Moment},
    output::{json, number, progress, when::Zones},
    record,
};
use anyhow::bail;
use clap::Args;
use indicatif::ProgressBar;
use jiff::Timestamp;
use pofr_core::time::WallMicros;
use pofr_ingest::merge::{self, Options, Report};
use pofr_schema::Access;
use serde::Serialize;
use std::{io::Write, time::Duration};

/// What the JSON holds.
const JSON: &str =
    "JSON: one object with inputs (triads merged), rows_in, rows_out, tables (the names of those made).";

/// Merges slices.
#[derive(Args, Debug)]
#[command(after_long_help = format!("{JSON}\n\nExamples:\n  pofrs archive --client web-1\n  pofrs archive --client web-1 --force"))]
pub(crate) struct ArchiveArgs {
    #[command(flatten)]
    which: WhichClient,
    /// Archive if there are more slices than this …
    #[arg(long, value_name = "N", default_value_t = Options::default().max_triads)]
    max_triads: usize,
    /// … or more file rows in them
    #[arg(long, value_name = "N", default_value_t = Options::default().max_file_rows)]
    max_file_rows: u64,
    /// Archive whatever the limits say, the open slice included
    #[arg(long)]
    force: bool,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

/// Merges archives.
#[derive(Args, Debug)]
#[command(after_long_help = format!("{}\n\n{JSON}\n\nExamples:\n  pofrs period --client web-1\n  pofrs period --client web-1 --from 2026-11-01 --to 2026-11-30", moment::HELP))]
pub(crate) struct PeriodArgs {
    #[command(flatten)]
    which: WhichClient,
    /// Merge only what touches the time from here on
    #[arg(long, value_name = "TIME", allow_hyphen_values = true)]
    from: Option<Moment>,
    /// Merge only what touches the time up to here
    #[arg(long, value_name = "TIME", allow_hyphen_values = true)]
    to: Option<Moment>,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

/// Runs `archive`.
pub(crate) fn archive(args: &ArchiveArgs, global: &Global, out: &mut dyn Write) -> anyhow::Result<Exit> {
    let store = record::open(global, Access::Write)?;
    let cid = record::client(&*store, args.which.client.as_deref())?;
    let mut writer = store.write(&cid)?;
    let ArchiveArgs { max_triads, max_file_rows, force, .. } = *args;
    let options = Options { max_triads, max_file_rows, force, ..Options::default() };
    let bar = progress::bar("archiving", "rows");
    let report = merge::archive(&mut *writer, &options, &mut |done, all| show_progress(&bar, done, all))?;
    bar.finish_and_clear();
    show(
        &report,
        "nothing to archive: the limits are not passed (--force does it all the same)",
        args.json,
        out,
    )
}

/// Runs `period`.
pub(crate) fn period(args: &PeriodArgs, global: &Global, out: &mut dyn Write) -> anyhow::Result<Exit> {
    let store = record::open(global, Access::Write)?;
    let cid = record::client(&*store, args.which.client.as_deref())?;
    let mut writer = store.write(&cid)?;
    let zones = Zones::of(&writer.ledger()?, global.utc);
    let resolve = |m: &Option<Moment>, open: i64| {
        m.as_ref().map_or(Ok(WallMicros(open)), |m| m.resolve(&zones, Timestamp::now()))
    };
    let (from, to) = (resolve(&args.from, i64::MIN)?, resolve(&args.to, i64::MAX)?);
    if from > to {
        bail!("--from lies after --to");
    }
    let range = (args.from.is_some() || args.to.is_some()).then_some((from, to));
    let bar = progress::bar("merging", "rows");
    let report = merge::period(&mut *writer, range, &mut |done, all| show_progress(&bar, done, all))?;
    bar.finish_and_clear();
    show(&report, "nothing to merge: there is no archive, or one period already", args.json, out)
}

fn show_progress(bar: &ProgressBar, done: u64, all: u64) {
    bar.set_length(all);
    bar.set_position(done);
    if done >= all {
        bar.set_message("indexing");
        // Nothing more is told, but the time goes on.
        bar.enable_steady_tick(Duration::from_millis(200));
    }
}

fn show(report: &Report, nothing: &str, as_json: bool, out: &mut dyn Write) -> anyhow::Result<Exit> {
    #[derive(Serialize)]
    struct Line<'a> {
        inputs: usize,
        rows_in: u64,
        rows_out: u64,
        tables: &'a [String],
    }
    let Report { inputs, rows_in, rows_out, tables } = report;
    if as_json {
        json::line(out, &Line { inputs: *inputs, rows_in: *rows_in, rows_out: *rows_out, tables })?;
    } else if *inputs == 0 {
        writeln!(out, "{nothing}")?;
    } else {
        let triads = number::counted(*inputs as u64, "triad");
        let (rows_in, rows_out) = (number::counted(*rows_in, "row"), number::count(*rows_out));
        writeln!(out, "{triads} of {rows_in} became {rows_out} rows in")?;
        for table in tables {
            writeln!(out, "  {table}")?;
        }
    }
    Ok(Exit::Done)
}
