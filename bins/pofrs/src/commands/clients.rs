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
    store::{ClientEntry, Ledger},
    time::WallMicros,
};
use pofr_schema::Access;
use serde::Serialize;
use std::io::Write;

/// Lists the clients.
#[derive(Args, Debug)]
#[command(after_long_help = "\
JSON: one object a line with cid, uuid, ciduser, last_ip, registered (µs since 1970), bundles, triads, first and \
last (µs since 1970, null where nothing is recorded), bytes (on the store's disk).

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
}

/// Runs the command.
pub(crate) fn run(args: &ClientsArgs, global: &Global, out: &mut dyn Write) -> anyhow::Result<Exit> {
    let store = record::open(global, Access::Read)?;
    let columns = [
        ("CLIENT", Fit::Text),
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
        let line = Line {
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
