//! `pofrs first-seen`: when a program, a path or an address was first seen, on which client.

use super::find::settle;
use crate::{
    across::{self, Event},
    cli::{Global, WhichClients},
    exit::Exit,
    filter,
    output::{
        fact, json,
        table::{Fit, Listing, Screen},
        when::Zones,
    },
    record,
};
use clap::Args;
use pofr_core::{digest::Sha256, identity::Cid, raw::RawText};
use pofr_schema::{
    Access,
    query::{First, FirstOf, first_seen},
};
use serde::Serialize;
use std::{ffi::OsString, io::Write, net::IpAddr, ops::ControlFlow, os::unix::ffi::OsStrExt as _};

/// Shows when something was first seen.
#[derive(Args, Debug)]
#[command(after_long_help = "\
All clients are asked unless --client names some; who saw it first stands first. With ~ a sample tells the time, not an event; with ≤ it was there when the \
record begins, or when a gap ends, and may have been there before.

JSON: one object a line with client, at (µs since 1970), exact, cut (whether the record begins there), row (as pofrs at prints them) and gaps (those before it, in \
which it may have been there). Where nobody saw it, exit code 7.

Examples:
  pofrs first-seen --exe-sha256 $(sha256sum < dropper | cut -c1-64)
  pofrs first-seen --path /usr/local/bin/agent
  pofrs first-seen --remote 192.0.2.7 --json")]
pub(crate) struct FirstSeenArgs {
    #[command(flatten)]
    what: Sought,
    #[command(flatten)]
    which: WhichClients,
    /// Do not shorten what is too long for a line
    #[arg(long)]
    wide: bool,
    /// Print JSON, one object a line
    #[arg(long)]
    json: bool,
}

/// What was first seen.
#[derive(Args, Clone, Debug)]
#[group(required = true, multiple = false)]
struct Sought {
    /// A process whose executable has this SHA-256, 64 hex digits
    #[arg(long, value_name = "HEX", value_parser = filter::sha256)]
    exe_sha256: Option<Sha256>,
    /// A file of exactly this path, open or run
    #[arg(long)]
    path: Option<OsString>,
    /// A peer's address
    #[arg(long, value_name = "IP")]
    remote: Option<IpAddr>,
}

#[derive(Serialize)]
struct Line<'a> {
    client: &'a Cid,
    #[serde(flatten)]
    first: &'a First,
}

/// Runs the command.
pub(crate) fn run(args: &FirstSeenArgs, global: &Global, out: &mut dyn Write) -> anyhow::Result<Exit> {
    let sought = &args.what;
    let of = match (&sought.exe_sha256, &sought.path, &sought.remote) {
        (Some(sha256), ..) => FirstOf::ExeSha256(*sha256),
        (_, Some(path), _) => FirstOf::Path(RawText::from(path.as_bytes())),
        (.., Some(remote)) => FirstOf::Remote(*remote),
        _ => anyhow::bail!("give one of --exe-sha256, --path and --remote"),
    };
    let store = record::open(global, Access::Read)?;
    let mut which = args.which.clone();
    which.all_clients |= which.clients.is_empty();
    let clients = record::clients(&*store, &which)?;
    let mut all: Vec<(usize, First)> = Vec::new();
    let failures = across::ask(
        &*store,
        &clients,
        &|_, reader, hand_on| {
            if let Some(first) = first_seen(reader, &of)? {
                let _ = hand_on(first);
            }
            Ok(())
        },
        &mut |event| {
            if let Event::Answer(client, first) = event {
                all.push((client, first));
            }
            Ok(ControlFlow::Continue(()))
        },
    )?;
    all.sort_by_key(|(client, first)| (first.at, *client));
    if args.json {
        for (client, first) in &all {
            json::line(out, &Line { client: &clients[*client], first })?;
        }
        return settle(failures, !all.is_empty());
    }
    if all.is_empty() {
        writeln!(out, "nothing found")?;
        return settle(failures, false);
    }
    let columns = [("CLIENT", Fit::Name(14)), ("", Fit::Whole), ("FIRST SEEN", Fit::Whole), ("", Fit::Text)];
    let screen = Screen::detect();
    let screen = if args.wide { Screen { width: u16::MAX, ..screen } } else { screen };
    let mut listing = Listing::new(screen, false, &columns);
    let mut gaps = false;
    for (client, first) in &all {
        let zones = Zones::of_row(first.row.zone, global.utc);
        gaps |= !first.gaps.is_empty();
        let mark = if first.cut {
            "≤"
        } else if first.exact {
            ""
        } else {
            "~"
        };
        let pid =
            super::at::pid_of(&first.row.fact).map(|pid| format!("process {pid}: ")).unwrap_or_default();
        listing.row([
            clients[*client].to_string(),
            mark.to_owned(),
            zones.second(first.at),
            format!("{pid}{}", fact::describe(&first.row.fact)),
        ]);
    }
    listing.print(out)?;
    if gaps {
        writeln!(out, "there are gaps before that, in which it may have been there: --json names them")?;
    }
    settle(failures, true)
}
