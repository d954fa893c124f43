//! `pofrs clients`: who is known, and what is recorded of them.

use crate::{
    cli::Global,
    exit::Exit,
    output::{
        json, number,
        table::{Fit, Listing, Screen},
        when::Zones,
    },
    record,
};
use clap::Args;
use pofr_core::{
    identity::Cid,
    store::{ClientEntry, Ledger},
    time::WallMicros,
};
use pofr_ingest::{
    Layout,
    receive::{Account, Note},
    registration::key,
};
use pofr_schema::Access;
use serde::Serialize;
use std::{io::Write, path::Path};

/// Lists the clients.
#[derive(Args, Debug)]
#[command(after_long_help = "\
STATE is registered (the client may send), left (it was deregistered by its own people; pofrs remove finishes that), or - (its bundles come some other way, \
or it was removed with --keep-data).

JSON: one object a line with cid, uuid, ciduser, last_ip, registered (µs since 1970), bundles, triads, first and \
last (µs since 1970, null where nothing is recorded), bytes (on the store's disk), state, and, where it may send, fingerprint (of its key), quota_bytes, v1.

Examples:
  pofrs clients
  pofrs clients --json | jq -r .cid")]
pub(crate) struct ClientsArgs {
    /// Print JSON, one object a line
    #[arg(long)]
    json: bool,
}

#[derive(Serialize)]
struct Line {
    #[serde(flatten)]
    entry: ClientEntry,
    bundles: usize,
    triads: usize,
    first: Option<WallMicros>,
    last: Option<WallMicros>,
    bytes: u64,
    state: &'static str,
    #[serde(flatten)]
    access: Option<Standing>,
}

/// How a client may send.
#[derive(Serialize)]
struct Standing {
    fingerprint: Option<String>,
    quota_bytes: u64,
    v1: bool,
}

/// Returns how a client stands, in a word, and how it may send.
fn standing(layout: &Layout, data_dir: &Path, cid: &Cid) -> (&'static str, Option<Standing>) {
    // Who may not read this may ask about the record all the same.
    let Some(account) = Account::of(data_dir, cid).ok().and_then(|all| all.into_iter().next()) else {
        return ("-", None);
    };
    let left = Note::read(&layout.inbox_dir(cid)).is_some_and(|note| note.deregistered);
    let standing = Standing {
        fingerprint: key::fingerprint_of(&account.public_key),
        quota_bytes: account.quota_bytes,
        v1: account.v1,
    };
    (if left { "left" } else { "registered" }, Some(standing))
}

/// Runs the command.
pub(crate) fn run(args: &ClientsArgs, global: &Global, out: &mut dyn Write) -> anyhow::Result<Exit> {
    let store = record::open(global, Access::Read)?;
    let (data_dir, layout) = (record::data_dir(global)?, record::layout(global)?);
    let columns = [
        ("CLIENT", Fit::Text),
        ("STATE", Fit::Whole),
        ("BUNDLES", Fit::Number),
        ("FIRST", Fit::Whole),
        ("LAST", Fit::Whole),
        ("SIZE", Fit::Number),
    ];
    let mut listing = Listing::new(Screen::detect(), false, &columns);
    let mut some = false;
    for entry in store.clients()? {
        some = true;
        let mut reader = store.read(&entry.cid)?;
        let ledger: Ledger = reader.ledger()?;
        let (state, access) = standing(&layout, &data_dir, &entry.cid);
        let line = Line {
            state,
            access,
            bundles: ledger.bundles.len(),
            triads: ledger.live().count(),
            first: ledger.bundles.iter().map(|b| b.entry.first).min(),
            last: ledger.bundles.iter().map(|b| b.entry.last).max(),
            bytes: reader.stored_bytes()?,
            entry,
        };
        if args.json {
            json::line(out, &line)?;
            continue;
        }
        let zones = Zones::of(&ledger, global.utc);
        let shown = |at: Option<WallMicros>| at.map_or_else(|| "-".to_owned(), |at| zones.second(at));
        listing.row([
            line.entry.cid.to_string(),
            line.state.to_owned(),
            number::count(line.bundles as u64),
            shown(line.first),
            shown(line.last),
            number::bytes(line.bytes),
        ]);
    }
    if !args.json {
        if some {
            listing.print(out)?;
        } else {
            writeln!(out, "no client is known yet; pofrs ingest DIR --client NAME adds one")?;
        }
    }
    Ok(Exit::Done)
}
