//! `pofrs who-had`: which process had an address or a port at a moment, as whom, and where that process comes from.

use super::{
    find::lineage,
    tree::{nothing, when},
};
use crate::{
    cli::{Global, WhichClient},
    exit::Exit,
    moment::{self, Moment},
    output::{fact, json, table::Screen, when::Zones},
    record,
};
use clap::Args;
use pofr_core::{
    fact::{Fact, FactKind},
    identity::Cid,
    lifetime::Standing,
    raw::RawText,
    time::WallMicros,
};
use pofr_schema::{
    Access,
    query::{Extent, Had, Holder, who_had},
};
use serde::Serialize;
use std::{
    io::Write,
    net::{IpAddr, SocketAddr},
};

/// Shows who had an address.
#[derive(Args, Debug)]
#[command(after_long_help = format!("\
{}

Without a time, the end of the record is meant. The address may be the machine's own or the peer's. What is marked with ? held just before or just \
after, and no sample tells whether it did at that moment.

JSON: one object a line with client, at, standing (certain or maybe), direction (listening, inbound, outbound), user, row (the endpoint), process (its row, or null where \
none is known) and ancestors (rows, the parent first); rows are as pofrs at prints them. Where nobody had it, exit code 7, and 3 where there is no record of \
that time.

Examples:
  pofrs who-had 192.0.2.7:443 --at '2026-11-23 10:00' --client web-1
  pofrs who-had 4444 --at -5m
  pofrs who-had [fd00::1]:22 --json | jq -r .user", moment::HELP))]
pub(crate) struct WhoHadArgs {
    /// The address: IP:PORT, IP or PORT
    #[arg(value_name = "ADDRESS", value_parser = had)]
    had: Had,
    /// When
    #[arg(long, value_name = "TIME", allow_hyphen_values = true)]
    at: Option<Moment>,
    #[command(flatten)]
    which: WhichClient,
    /// Print JSON, one object a line
    #[arg(long)]
    json: bool,
}

fn had(text: &str) -> Result<Had, String> {
    if let Ok(socket) = text.parse::<SocketAddr>() {
        return Ok(Had::Socket(socket));
    }
    let bare = text.strip_prefix('[').and_then(|text| text.strip_suffix(']')).unwrap_or(text);
    if let Ok(address) = bare.parse::<IpAddr>() {
        return Ok(Had::Address(address));
    }
    let port = text.strip_prefix(':').or_else(|| text.strip_prefix("*:")).unwrap_or(text);
    let port = port.parse().map(Had::Port);
    port.map_err(|_| "give 192.0.2.7:443, [fd00::1]:443, 192.0.2.7 or 443".to_owned())
}

#[derive(Serialize)]
struct Line<'a> {
    client: &'a Cid,
    at: WallMicros,
    #[serde(flatten)]
    holder: &'a Holder,
}

/// Runs the command.
pub(crate) fn run(args: &WhoHadArgs, global: &Global, out: &mut dyn Write) -> anyhow::Result<Exit> {
    let store = record::open(global, Access::Read)?;
    let cid = record::client(&*store, args.which.client.as_deref())?;
    let mut reader = store.read(&cid)?;
    let at = when(args.at.as_ref(), &mut *reader, global.utc)?;
    let holders = who_had(&mut *reader, args.had, at)?;
    let what = match args.had {
        Had::Socket(socket) => socket.to_string(),
        Had::Address(address) => address.to_string(),
        Had::Port(port) => format!("port {port}"),
    };
    if holders.is_empty() {
        let what = format!("endpoint with {what}");
        return nothing(&cid, &what, FactKind::Endpoint, at, &mut *reader, args.json, global, out);
    }
    let zone = holders.first().map(|holder| holder.row.zone).unwrap_or_default();
    if !args.json {
        writeln!(out, "{cid}, {what} at {}", Zones::of_row(zone, global.utc).full(at))?;
    }
    for holder in &holders {
        if args.json {
            json::line(out, &Line { client: &cid, at, holder })?;
        } else {
            print(holder, global, out)?;
        }
    }
    if !args.json && holders.iter().any(|holder| holder.standing != Standing::Certain) {
        writeln!(out, "? held just before or just after; no sample tells whether at this moment")?;
    }
    Ok(Exit::Done)
}

/// Prints a holder as a few lines: what, since when, who, from where.
fn print(holder: &Holder, global: &Global, out: &mut dyn Write) -> anyhow::Result<()> {
    let width = usize::from(Screen::detect().width);
    let zones = Zones::of_row(holder.row.zone, global.utc);
    let mark = if holder.standing == Standing::Certain { ' ' } else { '?' };
    let mut lines = Vec::new();
    if let Fact::Endpoint(endpoint) = &holder.row.fact {
        let (transport, state) = (endpoint.key.transport.text(), endpoint.key.state.text());
        lines.push((0, format!("{transport} {state} {}", fact::ends(endpoint, holder.direction))));
        let extent = Extent::of(std::slice::from_ref(&holder.row));
        lines.push((4, format!("from {}, {}", zones.full(extent.from), fact::lasted(&extent))));
        let user = holder.user.as_ref().map(RawText::escaped);
        let user = user.or(endpoint.details.uid.map(|uid| uid.to_string())).unwrap_or_else(|| "?".to_owned());
        match holder.process.as_ref().map(|row| &row.fact) {
            Some(Fact::Process(process)) => {
                let (pid, name) = (process.key.entity.pid(), process.key.comm.escaped());
                lines.push((4, format!("{name} {pid}, user {user}: {}", fact::ran(process))));
            }
            _ => {
                let holder = endpoint.key.holder.map(|holder| format!("process {}, ", holder.pid()));
                lines.push((4, format!("{}user {user}; no process is known", holder.unwrap_or_default())));
            }
        }
    }
    if !holder.ancestors.is_empty() {
        lines.push((4, format!("child of {}", lineage(&holder.ancestors))));
    }
    for (i, (indent, text)) in lines.iter().enumerate() {
        let mark = if i == 0 { mark } else { ' ' };
        let pieces =
            crate::output::stream::wrapped(&RawText::from(text.as_str()).escaped(), width - 2 - indent);
        for piece in pieces {
            writeln!(out, "{}", format!("{mark} {:indent$}{piece}", "").trim_end())?;
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_and_ports() {
        let v6: IpAddr = "fd00::1".parse().unwrap();
        for (text, is) in [
            ("192.0.2.7:443", Had::Socket("192.0.2.7:443".parse().unwrap())),
            ("[fd00::1]:22", Had::Socket(SocketAddr::new(v6, 22))),
            ("[fd00::1]", Had::Address(v6)),
            ("fd00::1", Had::Address(v6)),
            ("192.0.2.7", Had::Address("192.0.2.7".parse().unwrap())),
            (":22", Had::Port(22)),
            ("22", Had::Port(22)),
        ] {
            assert_eq!(had(text), Ok(is), "{text}");
        }
        for bad in ["", "host:22", "70000", "192.0.2.7:", "10.0.0.0/8"] {
            assert!(had(bad).is_err(), "{bad}");
        }
    }
}
