//! `pofrs hold`: a legal hold, under which nothing is forgotten.

use crate::{
    cli::{Global, WhichClient},
    exit::Exit,
    output::when::Zones,
    record, who,
};
use anyhow::bail;
use clap::Args;
use pofr_core::store::{Action, ActionKind, Change, Ledger};
use pofr_ingest::ingest::server_clock;
use pofr_schema::Access;
use std::io::Write;

/// Forbids forgetting, or allows it again.
#[derive(Args, Debug)]
#[command(after_long_help = "\
While a hold is in force, `pofrs forget` refuses, and kept bundles stay whatever the policy says. The ledger notes who laid it on and \
who lifted it, when and why. Without REASON and --release, says whether there is one.

Examples:
  pofrs hold --client web-1 'case 2026-117'
  pofrs hold --client web-1
  pofrs hold --client web-1 --release 'case 2026-117 is closed'")]
pub(crate) struct HoldArgs {
    /// Why
    reason: Option<String>,
    #[command(flatten)]
    which: WhichClient,
    /// Lift it
    #[arg(long)]
    release: bool,
}

/// Runs the command.
pub(crate) fn run(args: &HoldArgs, global: &Global, out: &mut dyn Write) -> anyhow::Result<Exit> {
    let asks = args.reason.is_none() && !args.release;
    let store = record::open(global, if asks { Access::Read } else { Access::Write })?;
    let cid = record::client(&*store, args.which.client.as_deref())?;
    if asks {
        let ledger = store.read(&cid)?.ledger()?;
        writeln!(out, "{}", state(&ledger, &Zones::of(&ledger, global.utc)))?;
        return Ok(Exit::Done);
    }
    let mut writer = store.write(&cid)?;
    let ledger = writer.ledger()?;
    let kind = match (args.release, ledger.hold()) {
        (true, None) => bail!("{cid} is not on hold"),
        (true, Some(_)) => ActionKind::Release,
        (false, Some(hold)) => bail!("{cid} is on hold already: {}", hold.why),
        (false, None) => ActionKind::Hold,
    };
    let action = Action {
        at: server_clock(),
        kind,
        before: None,
        bundles: 0,
        rows: 0,
        who: who::am_i(),
        why: args.reason.clone().unwrap_or_default(),
    };
    writer.commit(&Change { actions: vec![action], ..Change::default() })?;
    let said =
        if args.release { "may be forgotten again" } else { "is on hold: nothing of it will be forgotten" };
    writeln!(out, "{cid} {said}")?;
    Ok(Exit::Done)
}

/// Says whether there is a hold.
fn state(ledger: &Ledger, zones: &Zones) -> String {
    match ledger.hold() {
        None => "no hold".to_owned(),
        Some(hold) => format!("on hold since {}, by {}: {}", zones.second(hold.at), hold.who, hold.why),
    }
}
