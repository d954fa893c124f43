//! `pofrs forget`: everything before a time goes for good.

use crate::{
    cli::{Global, WhichClient},
    exit::Exit,
    moment::{self, Moment},
    output::{json, number, when::Zones},
    record, who,
};
use anyhow::bail;
use clap::Args;
use jiff::Timestamp;
use pofr_core::store::StoredBundle;
use pofr_ingest::{forget, ingest::server_clock};
use pofr_schema::Access;
use std::io::{self, BufRead as _, IsTerminal as _, Write};

/// Forgets.
#[derive(Args, Debug)]
#[command(after_long_help = format!("{}

Whole bundles go: the one that holds TIME stays, so what is left may begin up to a bundle's length before. Rows end where the \
first bundle that stays begins; kept bundles go, too. The ledger keeps an entry of each bundle that went, so that it is known \
if it comes again, and notes who did it, and why. Asked for a time before, `pofrs at` says that it was forgotten. Nothing brings it \
back. A hold (pofrs hold) forbids it.

JSON: one object with before (µs since 1970: nothing is left before it; null where nothing goes), bundles, rows, files (kept \
bundles removed).

Examples:
  pofrs forget --before 2026-01-01 --client web-1 --dry-run
  pofrs forget --before -365d --client web-1 --reason 'retention: one year' --yes", moment::HELP))]
pub(crate) struct ForgetArgs {
    /// Up to when
    #[arg(long, value_name = "TIME", allow_hyphen_values = true)]
    before: Moment,
    #[command(flatten)]
    which: WhichClient,
    /// Why, for the ledger
    #[arg(long, value_name = "TEXT", default_value = "")]
    reason: String,
    /// Only say what would go
    #[arg(long)]
    dry_run: bool,
    /// Do not ask
    #[arg(long)]
    yes: bool,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

/// Runs the command.
pub(crate) fn run(args: &ForgetArgs, global: &Global, out: &mut dyn Write) -> anyhow::Result<Exit> {
    let access = if args.dry_run { Access::Read } else { Access::Write };
    let store = record::open(global, access)?;
    let cid = record::client(&*store, args.which.client.as_deref())?;
    let ledger = store.read(&cid)?.ledger()?;
    let zones = Zones::of(&ledger, global.utc);
    let before = args.before.resolve(&zones, Timestamp::now())?;
    if before > server_clock() {
        bail!("--before lies in the future");
    }
    let plan = forget::plan(&ledger, before);
    let Some(effective) = plan.before else {
        if args.json {
            json::line(out, &forget::Report::default())?;
        } else {
            writeln!(out, "nothing is recorded before {}", zones.full(before))?;
        }
        return Ok(Exit::Done);
    };
    let bundles = number::counted(plan.bundles.len() as u64, "bundle");
    let whole = |b: &&StoredBundle| plan.bundles.contains(&b.entry.sha256);
    let first = ledger.bundles.iter().filter(whole).map(|b| b.entry.first).min().unwrap_or(effective);
    let span = format!("{} to {}", zones.full(first), zones.full(effective));
    if args.dry_run {
        if args.json {
            let report = forget::Report {
                before: Some(effective),
                bundles: plan.bundles.len() as u64,
                ..forget::Report::default()
            };
            json::line(out, &report)?;
        } else {
            writeln!(out, "{bundles} of {cid} would go: {span}")?;
        }
        return Ok(Exit::Done);
    }
    if !args.yes && !agreed(&format!("Forget {bundles} of {cid}, {span}, for good?"))? {
        bail!("nothing was forgotten");
    }
    let mut writer = store.write(&cid)?;
    let kept = record::layout(global)?.kept(&cid);
    let report = forget::forget(&mut *writer, &kept, before, server_clock(), &who::am_i(), &args.reason)?;
    // What does not count any more is dropped by the next writer: here it is to be gone.
    drop(writer);
    drop(store.write(&cid)?);
    if args.json {
        json::line(out, &report)?;
    } else {
        let rows = number::counted(report.rows, "row");
        let files = number::counted(report.files, "kept file");
        writeln!(out, "{bundles} of {cid} forgotten, {span}: {rows} and {files} are gone")?;
    }
    Ok(Exit::Done)
}

/// Asks on the terminal.
fn agreed(question: &str) -> anyhow::Result<bool> {
    if !io::stdin().is_terminal() {
        bail!(
            "nobody is there to be asked\nhint: --yes does it without asking, --dry-run says what would go"
        );
    }
    write!(io::stderr(), "{question} [y/N] ")?;
    let mut answer = String::new();
    io::stdin().lock().read_line(&mut answer)?;
    Ok(matches!(answer.trim(), "y" | "Y" | "yes"))
}
