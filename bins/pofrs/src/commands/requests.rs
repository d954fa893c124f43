//! `pofrs requests`: who wants to be registered, or to change a key.

use crate::{
    admin::Site,
    cli::Global,
    exit::Exit,
    output::{
        json,
        table::{Fit, Listing, Screen},
        when::Zones,
    },
};
use clap::Args;
use pofr_core::{
    identity::Cid,
    time::{WallMicros, ZoneOffset},
};
use pofr_ingest::{
    Layout,
    registration::{ClientKey, Decision, Desk, Pending, answer::Outcome, desk::Known, rotation},
};
use serde::Serialize;
use std::{collections::BTreeMap, io::Write};

/// Lists requests.
#[derive(Args, Debug)]
#[command(after_long_help = "\
WHAT is new (asks to be registered), denied, second-key (a client that is known came with another key: a clone of the machine, or a key that was lost; it was refused), \
rotate (a client's key names its successor). FROM is the address as sshd saw it. A machine's id that several clients claim is noted: a clone, or a machine installed anew. Times are UTC.

JSON: one object a line with what, cid, fingerprint, source, at (µs since 1970), and, where known, uuid, host_name, about, invite (its id), reason, times, same_machine (clients with the same uuid).

Examples:
  pofrs requests
  pofrs requests --json | jq -r 'select(.what == \"new\") | .cid'")]
pub(crate) struct RequestsArgs {
    /// Those that were denied, too
    #[arg(long)]
    all: bool,
    /// Print JSON, one object a line
    #[arg(long)]
    json: bool,
}

/// Something to decide, or decided.
#[derive(Debug, Default, Serialize)]
struct Line {
    what: &'static str,
    cid: String,
    fingerprint: String,
    source: String,
    at: i64,
    #[serde(skip_serializing_if = "Option::is_none")]
    uuid: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    host_name: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    about: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    invite: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    reason: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    times: Option<u64>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    same_machine: Vec<String>,
}

impl Line {
    fn of(what: &'static str, request: &Pending) -> Self {
        Self {
            what,
            cid: request.cid.clone(),
            fingerprint: request.fingerprint.clone(),
            source: request.source.clone(),
            at: request.at,
            uuid: Some(request.uuid.clone()),
            host_name: Some(request.host_name.clone()),
            about: Some(request.about.clone()),
            invite: request.invite.clone(),
            ..Self::default()
        }
    }
}

/// Runs the command.
pub(crate) fn run(args: &RequestsArgs, global: &Global, out: &mut dyn Write) -> anyhow::Result<Exit> {
    let site = Site::load(global)?;
    let lines = collect(&site, args.all)?;
    if args.json {
        for line in &lines {
            json::line(out, line)?;
        }
        return Ok(Exit::Done);
    }
    if lines.is_empty() {
        writeln!(out, "nothing waits")?;
        return Ok(Exit::Done);
    }
    let columns = [
        ("WHAT", Fit::Whole),
        ("CLIENT", Fit::Text),
        ("FROM", Fit::Text),
        ("HOST", Fit::Name(20)),
        ("AT", Fit::Whole),
    ];
    let mut listing = Listing::new(Screen::detect(), false, &columns);
    let zones = Zones::fixed(ZoneOffset::UTC);
    for line in &lines {
        let host = line.host_name.clone().unwrap_or_else(|| "-".to_owned());
        listing.row([
            line.what.to_owned(),
            line.cid.clone(),
            line.source.clone(),
            host,
            zones.second(WallMicros(line.at)),
        ]);
        listing.row([String::new(), line.fingerprint.clone(), String::new(), String::new(), String::new()]);
        if !line.same_machine.is_empty() {
            let also = format!("the same machine id as {}", line.same_machine.join(", "));
            listing.row([String::new(), also, String::new(), String::new(), String::new()]);
        }
    }
    listing.print(out)?;
    Ok(Exit::Done)
}

fn collect(site: &Site, all: bool) -> anyhow::Result<Vec<Line>> {
    let desk = site.desk();
    let mut clients = desk.at_the_desk()?;
    clients.extend(desk.decided()?);
    clients.sort();
    clients.dedup();
    let machines = machines(&desk, &clients)?;
    let mut lines = Vec::new();
    for cid in &clients {
        match desk.known(cid)? {
            Some(Known::Waiting(request)) => {
                let mut line = Line::of("new", &request);
                let same = machines.get(&request.uuid).into_iter().flatten();
                line.same_machine = same.filter(|other| *other != cid.as_str()).cloned().collect();
                lines.push(line);
            }
            Some(Known::Decided(Decision { request, outcome: Outcome::Denied { reason }, .. })) if all => {
                lines.push(Line { reason: Some(reason), ..Line::of("denied", &request) });
            }
            _ => {}
        }
        if let Some(conflict) = desk.conflict(cid)? {
            lines.push(Line {
                what: "second-key",
                cid: cid.to_string(),
                fingerprint: conflict.fingerprint,
                source: conflict.source,
                at: conflict.at,
                times: Some(conflict.times),
                ..Line::default()
            });
        }
        let inbox = Layout::new(&site.data_dir).inbox_dir(cid);
        // A client's own word, and so perhaps rubbish.
        if let Ok(Some(wish)) = rotation::waiting(&inbox) {
            let fingerprint =
                ClientKey::parse(&wish.public_key).map_or_else(|e| e.to_string(), |key| key.fingerprint());
            lines.push(Line {
                what: "rotate",
                cid: cid.to_string(),
                fingerprint,
                at: wish.at,
                source: "-".into(),
                ..Line::default()
            });
        }
    }
    Ok(lines)
}

/// Returns which clients claim which machine.
fn machines(desk: &Desk, clients: &[Cid]) -> anyhow::Result<BTreeMap<String, Vec<String>>> {
    let mut machines: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for cid in clients {
        if let Some(known) = desk.known(cid)?
            && !known.request().uuid.is_empty()
        {
            machines.entry(known.request().uuid.clone()).or_default().push(cid.to_string());
        }
    }
    Ok(machines)
}
