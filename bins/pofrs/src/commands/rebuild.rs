//! `pofrs rebuild`: a record made anew from kept bundles.

use crate::{
    cli::Global,
    commands::ingest::enrich,
    exit::Exit,
    output::{json, number, progress},
    record, who,
};
use anyhow::Context as _;
use clap::Args;
use pofr_core::{identity::Cid, raw::RawText};
use pofr_ingest::{
    Options,
    ingest::server_clock,
    rebuild::{Rebuild, Step},
    service::add_client,
};
use pofr_schema::Access;
use serde::Serialize;
use std::{fs, io::Write};

/// Makes a record anew.
#[derive(Args, Debug)]
#[command(after_long_help = "\
The kept bundles (DATA_DIR/bundles/CLIENT/) are verified and ingested into a new database in DATA_DIR/rebuild/; what comes of \
them then takes the place of the record in one transaction. Until then the record is what it was, for readers as well, and a rebuild \
that was killed has changed nothing. Nobody else can write to the record meanwhile.

A database that was lost, or removed because it was damaged, is made. What was forgotten stays forgotten as far as the old ledger is \
there to say so. Places and names (pofrs ingest --places, --names) are added anew, as they are known today. Where the record has bundles that are not kept, nothing is done, unless --partial is given.

JSON: one object with client, bundles, rows, lost (names of bundles that it had and has no more), quarantined (names of kept \
files that were bad).

Examples:
  pofrs rebuild --client web-1
  pofrs rebuild --client web-1 --reason 'disk failure on 23 November' --json")]
pub(crate) struct RebuildArgs {
    /// The client: its whole id, since its record may be lost
    #[arg(long, value_name = "NAME", value_parser = cid)]
    client: Cid,
    /// Go on without bundles that are in the record and not among those kept
    #[arg(long)]
    partial: bool,
    /// Why, for the ledger
    #[arg(long, value_name = "TEXT", default_value = "")]
    reason: String,
    /// Unpack so many bundles at a time [default: one for each processor]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u16).range(1..=256))]
    workers: Option<u16>,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

fn cid(text: &str) -> Result<Cid, String> {
    Cid::parse(text).ok_or_else(|| "a client's name is 1 to 59 ASCII letters, digits and dashes".to_owned())
}

#[derive(Serialize)]
struct Line<'a> {
    client: &'a Cid,
    bundles: u64,
    rows: u64,
    lost: &'a [String],
    quarantined: Vec<&'a str>,
}

/// Runs the command.
pub(crate) fn run(args: &RebuildArgs, global: &Global, out: &mut dyn Write) -> anyhow::Result<Exit> {
    let cid = &args.client;
    let layout = record::layout(global)?;
    let kept = layout.kept(cid);
    anyhow::ensure!(
        kept.dir().exists(),
        "no bundle of client {cid} is kept: there is no {}",
        kept.dir().display()
    );
    let store = record::open(global, Access::Write)?;
    add_client(&*store, cid, server_clock())?;
    store.restore_client(cid)?;
    let mut target =
        store.write(cid).with_context(|| format!("cannot open the record of {cid} to rebuild it"))?;
    // Whoever has the record's lock is the only one in here.
    let dir = layout.scratch(cid);
    if dir.exists() {
        fs::remove_dir_all(&dir).with_context(|| format!("cannot remove {}", dir.display()))?;
    }
    record::make_private(&dir)?;
    let url = format!("sqlite:{}", dir.to_str().context("the data directory's name is not UTF-8")?);
    let scratch = pofr_schema::open(&url, Access::Write)?;
    let processors = std::thread::available_parallelism().map_or(1, usize::from);
    let rebuild = Rebuild {
        cid,
        kept: &kept,
        scratch: &*scratch,
        options: Options {
            workers: args.workers.map_or(processors, usize::from),
            enrich: enrich::make(&enrich::EnrichArgs::default(), &record::config(global)?.enrich)?,
            patience: enrich::PATIENCE,
            ..Options::default()
        },
        policy: record::config(global)?.levels.policy(),
        partial: args.partial,
        who: who::am_i(),
        why: args.reason.clone(),
    };
    let (bundles, rows) = (progress::bar("ingesting", "bundles"), progress::bar("copying", "rows"));
    let result = rebuild.run(&mut *target, &mut |step| {
        let (bar, done, all) = match step {
            Step::Bundles(done, all) => (&bundles, done, all),
            Step::Rows(done, all) => (&rows, done, all),
        };
        bar.set_length(all);
        bar.set_position(done);
    });
    bundles.finish_and_clear();
    rows.finish_and_clear();
    drop(scratch);
    let _ = fs::remove_dir_all(&dir);
    let report = result?;
    // The next writer drops what does not count any more.
    drop(target);
    drop(store.write(cid)?);
    if args.json {
        let quarantined = report.quarantined.iter().map(|(name, _)| name.as_str()).collect();
        let line =
            Line { client: cid, bundles: report.bundles, rows: report.rows, lost: &report.lost, quarantined };
        json::line(out, &line)?;
    } else {
        let bundles = number::counted(report.bundles, "bundle");
        writeln!(out, "{cid} was made anew: {bundles}, {}", number::counted(report.rows, "row"))?;
        if !report.lost.is_empty() {
            writeln!(
                out,
                "{} that it had are not kept, and are lost",
                number::counted(report.lost.len() as u64, "bundle")
            )?;
        }
        for (name, reason) in &report.quarantined {
            writeln!(out, "a kept file was bad: {name}\n    {}", RawText::from(reason.as_str()).escaped())?;
        }
    }
    Ok(if report.quarantined.is_empty() { Exit::Done } else { Exit::Quarantined })
}
