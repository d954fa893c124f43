//! `pofrs approve`: lets a client in, or its next key; all of it or nothing.

mod grant;
mod next_key;

pub(crate) use grant::{Answer, ClearDesk};

use crate::{
    admin::{Plan, Site},
    cli::Global,
    exit::Exit,
    output::ask,
};
use anyhow::{Context as _, bail};
use clap::Args;
use pofr_core::{
    identity::Cid,
    raw::RawText,
    time::{WallMicros, ZoneOffset},
};
use pofr_ingest::{
    Layout,
    registration::{
        Pending,
        desk::{self, Known},
        rotation,
    },
};
use std::io::Write;

/// Approves.
#[derive(Args, Debug)]
#[command(after_long_help = "\
Shows who asks, with which key, from where, and asks whether to go on. Then the client gets its account (system, password *, a login shell that only receives), its inbox, a \
root-owned line of authorised keys, its row in lhlt.lhlttable and its database: all of it, or, where a step fails, nothing. pofrc register, which waits, is told at its next question.

A client whose key named a successor (pofrc rotate-key; what is rotate in pofrs requests) gets that one in place of the old.

Examples:
  pofrs approve 4c4c4544-0034-4610-8047-b6c04f53373311763520
  pofrs approve 4c4c4544 --fingerprint SHA256:EMjv4RMWrk6+vartverX6d8SuiJEIKi8IXMl4tqIX+c --yes")]
pub(crate) struct ApproveArgs {
    /// The client's id, or an unambiguous beginning of it; may be left out where only one waits
    #[arg(value_name = "CID")]
    client: Option<String>,
    /// The fingerprint that the key must have
    #[arg(long, value_name = "SHA256:…")]
    fingerprint: Option<String>,
    /// How much the client may have waiting in its inbox, in MiB
    #[arg(long, value_name = "MIB", default_value_t = 4096, value_parser = clap::value_parser!(u64).range(1..=1 << 20))]
    quota: u64,
    /// It is a client of the first POFR, which sends by scp
    #[arg(long)]
    v1: bool,
    /// Do not ask
    #[arg(long)]
    yes: bool,
    /// Only show what would be done
    #[arg(long)]
    dry_run: bool,
}

/// Runs the command.
pub(crate) fn run(args: &ApproveArgs, global: &Global, out: &mut dyn Write) -> anyhow::Result<Exit> {
    let site = Site::load(global)?;
    let desk = site.desk();
    let cid = match &args.client {
        Some(name) => find(&site, name)?,
        None => only(&site)?,
    };
    let known = desk.known(&cid)?.with_context(|| format!("{cid} waits for nothing"))?;
    let inbox = Layout::new(&site.data_dir).inbox_dir(&cid);
    let mut plan = Plan::default();
    let (fingerprint, done) = match &known {
        Known::Decided(decision) if desk::is_granted(&known) => {
            let Some(wish) = rotation::waiting(&inbox)? else {
                writeln!(out, "{cid} is registered already")?;
                return Ok(Exit::Done);
            };
            let new = next_key::plan(&mut plan, &site, &cid, decision, &wish)?;
            writeln!(
                out,
                "client       {cid}\nits key      {}\nits next key {new}",
                decision.request.fingerprint
            )?;
            (new, format!("{cid} has its next key; the old one is refused from now on"))
        }
        Known::Waiting(request) | Known::Decided(pofr_ingest::registration::Decision { request, .. }) => {
            let who = grant::Client { cid: &cid, request, quota_bytes: args.quota << 20, v1: args.v1 };
            let line = grant::plan(&mut plan, &site, &who)?;
            show(request, out)?;
            (request.fingerprint.clone(), line)
        }
    };
    out.flush()?;
    if let Some(wanted) = &args.fingerprint
        && *wanted != fingerprint
    {
        bail!("the key's fingerprint is {fingerprint}, not {wanted}");
    }
    if args.dry_run {
        plan.show(out)?;
        writeln!(out, "nothing was done")?;
        return Ok(Exit::Done);
    }
    if !args.yes
        && !ask::agreed("Let it in?", "--yes does it without asking, --dry-run shows what would be done")?
    {
        bail!("nothing was done");
    }
    plan.carry_out(out)?;
    writeln!(out, "{done}")?;
    Ok(Exit::Done)
}

/// Shows who asks.
fn show(request: &Pending, out: &mut dyn Write) -> anyhow::Result<()> {
    let plain = |text: &str| RawText::from(text).escaped();
    let at = crate::output::when::Zones::fixed(ZoneOffset::UTC).full(WallMicros(request.at));
    let way =
        request.invite.as_ref().map_or_else(|| "the password".to_owned(), |id| format!("invitation {id}"));
    writeln!(
        out,
        "client      {}\nkey         {}\nfrom        {}",
        request.cid,
        request.fingerprint,
        plain(&request.source)
    )?;
    writeln!(out, "by          {way}\nat          {at}\nmachine id  {}", request.uuid)?;
    writeln!(out, "says it is  {}, {}", plain(&request.host_name), plain(&request.about))?;
    Ok(())
}

/// Finds the client that is meant among those at the desk and those that were decided about.
pub(crate) fn find(site: &Site, name: &str) -> anyhow::Result<Cid> {
    let desk = site.desk();
    let mut all = desk.at_the_desk()?;
    all.extend(desk.decided()?);
    all.sort();
    all.dedup();
    if let Some(exact) = all.iter().find(|cid| cid.as_str() == name) {
        return Ok(exact.clone());
    }
    let begins: Vec<&Cid> = all.iter().filter(|cid| cid.as_str().starts_with(name)).collect();
    match begins.as_slice() {
        [only] => Ok((*only).clone()),
        [] => bail!("no client {} has asked\nhint: pofrs requests", RawText::from(name).escaped()),
        _ => bail!("{name} is the beginning of {} clients", begins.len()),
    }
}

/// Returns the one client that waits.
fn only(site: &Site) -> anyhow::Result<Cid> {
    let desk = site.desk();
    let mut waiting = Vec::new();
    for cid in desk.at_the_desk()? {
        waiting.extend(desk.waiting(&cid)?.map(|_| cid));
    }
    match waiting.len() {
        0 => bail!("nobody waits to be registered"),
        1 => Ok(waiting.remove(0)),
        n => bail!("{n} clients wait: say which\nhint: pofrs requests"),
    }
}
