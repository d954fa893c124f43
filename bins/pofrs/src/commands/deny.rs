//! `pofrs deny`: refuses a request, and says why.

use super::approve;
use crate::{
    admin::{Plan, Site},
    cli::Global,
    exit::Exit,
    who,
};
use anyhow::bail;
use clap::Args;
use pofr_ingest::{
    Layout,
    ingest::server_clock,
    registration::{
        Decision,
        answer::Outcome,
        desk::{self, Known},
        rotation,
    },
};
use std::io::Write;

/// Denies.
#[derive(Args, Debug)]
#[command(after_long_help = "\
The client is told the reason, and asks no more by itself. Approving it later is possible. Of a client that is registered, a second key or a key's successor is refused; \
the client itself goes on: pofrs remove ends that.

Examples:
  pofrs deny 4c4c4544 --reason 'not one of ours'")]
pub(crate) struct DenyArgs {
    /// The client's id, or an unambiguous beginning of it
    #[arg(value_name = "CID")]
    client: String,
    /// Why, for the client to read; up to 500 characters
    #[arg(long, value_name = "TEXT")]
    reason: String,
}

/// Runs the command.
pub(crate) fn run(args: &DenyArgs, global: &Global, out: &mut dyn Write) -> anyhow::Result<Exit> {
    if args.reason.chars().count() > 500 || args.reason.chars().any(char::is_control) {
        bail!("a reason is one line of up to 500 characters");
    }
    let site = Site::load(global)?;
    let cid = approve::find(&site, &args.client)?;
    let desk = site.desk();
    match desk.known(&cid)? {
        Some(known) if desk::is_granted(&known) => {
            let inbox = Layout::new(&site.data_dir).inbox_dir(&cid);
            if desk.conflict(&cid)?.is_none() && rotation::waiting(&inbox)?.is_none() {
                bail!("{cid} is registered\nhint: pofrs remove {cid}");
            }
            rotation::done(&inbox)?;
            desk.clear(&cid)?;
            writeln!(out, "{cid}: its other key is not let in; it goes on with its own")?;
        }
        Some(Known::Waiting(request) | Known::Decided(Decision { request, .. })) => {
            let outcome = Outcome::Denied { reason: args.reason.clone() };
            let mut plan = Plan::default();
            let decision = Decision { request, outcome, at: server_clock().0, by: who::am_i() };
            plan.then(approve::Answer::new(desk.clone(), &cid, decision));
            plan.then(approve::ClearDesk { desk, cid: cid.clone() });
            plan.carry_out(&mut std::io::sink())?;
            writeln!(out, "{cid} is denied: {}", args.reason)?;
        }
        None => {
            desk.clear(&cid)?;
            writeln!(out, "{cid}: what was noted is gone")?;
        }
    }
    Ok(Exit::Done)
}
