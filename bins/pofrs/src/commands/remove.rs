//! `pofrs remove`: a client goes, with its record or without.

use super::approve;
use crate::{
    admin::{Plan, Site, account, client_row, key_line::KeyLine, sessions},
    cli::Global,
    exit::Exit,
    output::ask,
    who,
};
use anyhow::{Context as _, bail};
use clap::Args;
use pofr_core::identity::Cid;
use pofr_ingest::{
    Layout,
    ingest::server_clock,
    receive::Account,
    registration::{Decision, answer::Outcome},
};
use std::{
    fs,
    io::{self, ErrorKind, Write},
    path::Path,
};

/// Removes a client.
#[derive(Args, Debug)]
#[command(after_long_help = "\
First its key and its sessions, then its account; after that, unless --keep-data is given, inbox, kept bundles and database, for good. A client that still sends is told that it was removed, stops sending \
and goes on recording. A hold (pofrs hold) forbids removing the record. What was killed half way is finished by saying it again. With --keep-data everything that was recorded can \
be asked as before; what still waits in the inbox is ingested.

This is also how a deregistration that a client announced (pofrc deregister) is finished.

Examples:
  pofrs remove 4c4c4544 --keep-data
  pofrs remove 4c4c4544-0034-4610-8047-b6c04f53373311763520 --yes")]
pub(crate) struct RemoveArgs {
    /// The client's id, or an unambiguous beginning of it
    #[arg(value_name = "CID")]
    client: String,
    /// Take its access alone; what it recorded stays
    #[arg(long)]
    keep_data: bool,
    /// Do not ask
    #[arg(long)]
    yes: bool,
}

/// Runs the command.
pub(crate) fn run(args: &RemoveArgs, global: &Global, out: &mut dyn Write) -> anyhow::Result<Exit> {
    let site = Site::load(global)?;
    let cid = approve::find(&site, &args.client)?;
    let what = if args.keep_data {
        "access, and keep what it recorded"
    } else {
        "access and everything that it recorded"
    };
    writeln!(out, "client {cid}: remove its {what}")?;
    out.flush()?;
    if !args.yes && !ask::agreed("For good?", "--yes does it without asking")? {
        bail!("nothing was done");
    }
    let known = client_row::on_record(&site.global, &["ciduser", "--cid", cid.as_str()])?;
    let mut names: Vec<String> = Account::of(&site.data_dir, &cid)?.into_iter().map(|a| a.ciduser).collect();
    names.extend((!known.trim().is_empty()).then(|| known.trim().to_owned()));
    names.sort();
    names.dedup();
    if !args.keep_data && !known.trim().is_empty() {
        // Before anything else: a hold refuses here, and then nothing has changed.
        shut_out(&site, &names, true)?;
        if let Err(error) = client_row::on_record(&site.global, &["remove", "--cid", cid.as_str()]) {
            return Err(error).context("its key is out, its record is not removed");
        }
    } else {
        shut_out(&site, &names, true)?;
    }
    for ciduser in &names {
        if site.has_accounts() {
            account::remove(ciduser)?;
        }
        absent(&Account::path(&site.data_dir, ciduser)?, |path| fs::remove_file(path))?;
    }
    answer(&site, &cid)?;
    if !args.keep_data {
        let layout = Layout::new(&site.data_dir);
        for dir in
            [layout.inbox_dir(&cid), site.data_dir.join("bundles").join(cid.as_str()), layout.scratch(&cid)]
        {
            absent(&dir, |path| fs::remove_dir_all(path))?;
        }
    }
    writeln!(out, "{cid} is removed{}", if args.keep_data { "; what it recorded stays" } else { "" })?;
    Ok(Exit::Done)
}

/// Takes a client's keys out and ends its sessions.
fn shut_out(site: &Site, names: &[String], end: bool) -> anyhow::Result<()> {
    for ciduser in names {
        let account = site.account_of(ciduser)?;
        let (keys, mode) = site.keys_of(&account);
        if keys.exists() {
            let mut plan = Plan::default();
            plan.then(KeyLine::take_out(&keys, format!("pofr:{ciduser}"), mode));
            plan.carry_out(&mut io::sink())?;
        }
        if site.has_accounts() {
            // A file for this one client, and nothing in it any more.
            if keys.metadata().is_ok_and(|file| file.len() == 0) {
                absent(&keys, |path| fs::remove_file(path))?;
            }
            if let (true, Some(user)) = (end, account::user(ciduser)?) {
                sessions::end(user.uid)?;
            }
        }
    }
    Ok(())
}

/// Leaves the client a last word.
fn answer(site: &Site, cid: &Cid) -> anyhow::Result<()> {
    let desk = site.desk();
    desk.clear(cid)?;
    if let Some(decision) = desk.decision(cid)? {
        let outcome = Outcome::Denied { reason: "removed by the administrator".to_owned() };
        desk.decide(cid, &Decision { outcome, at: server_clock().0, by: who::am_i(), ..decision })?;
    }
    Ok(())
}

/// Removes something that may be gone already.
fn absent(path: &Path, remove: impl FnOnce(&Path) -> io::Result<()>) -> anyhow::Result<()> {
    match remove(path) {
        Err(error) if error.kind() != ErrorKind::NotFound => {
            Err(error).with_context(|| format!("cannot remove {}", path.display()))
        }
        _ => Ok(()),
    }
}
