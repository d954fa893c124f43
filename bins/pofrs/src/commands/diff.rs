//! `pofrs diff`: what is different at one time from what was at another.

use super::find::{print_reach, reach};
use crate::{
    cli::{Global, WhichClient},
    exit::Exit,
    filter,
    moment::{self, Moment},
    output::{fact, json, stream::wrapped, table::Screen, when::Zones},
    record,
};
use clap::{Args, ValueEnum};
use jiff::Timestamp;
use pofr_core::{
    fact::{Fact, FactKind},
    gap::Gap,
    identity::Cid,
    raw::RawText,
    store::RecordAt,
    time::WallMicros,
};
use pofr_schema::{
    Access,
    query::{Change, Difference, Span, diff},
};
use serde::Serialize;
use std::{collections::BTreeSet, io::Write};

/// Shows what is different between two times.
#[derive(Args, Debug)]
#[command(after_long_help = format!("\
{}

+ is there at the second time only, - at the first only; what changed is shown as it was and as it is. What came and went in between is in neither: pofrs find \
and pofrs timeline tell. Of what there is no record at one of the two times, nothing is said but that; where there is none of anything, the exit code \
is 3. No difference is exit code 7.

JSON: one object a line with client, kind, change (appeared, went, changed) and before and after (rows as pofrs at prints them); then one for each source of \
which there is no record at one of the times, with client, no_record (the time) and record (run, source, covered, nearest); then one for each gap between the \
times, with client and gap.

Examples:
  pofrs diff '2026-11-23 01:00' '2026-11-23 07:00' --client web-1
  pofrs diff -1d now --only listeners,modules,users
  pofrs diff -1h -5m --json | jq -c 'select(.change == \"appeared\")'", moment::HELP))]
pub(crate) struct DiffArgs {
    /// The first time
    #[arg(value_name = "TIME", allow_hyphen_values = true)]
    before: Moment,
    /// The second time
    #[arg(value_name = "TIME", allow_hyphen_values = true)]
    after: Moment,
    #[command(flatten)]
    which: WhichClient,
    /// Only these
    #[arg(long, value_enum, value_delimiter = ',', value_name = "KIND")]
    only: Vec<Kind>,
    /// Do not shorten what is too long for a line
    #[arg(long)]
    wide: bool,
    /// Print JSON, one object a line
    #[arg(long)]
    json: bool,
}

/// What may be different.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Kind {
    /// Endpoints that wait for others
    Listeners,
    /// Processes
    Processes,
    /// Users
    Users,
    /// Groups
    Groups,
    /// Kernel modules
    Modules,
    /// Routes
    Routes,
    /// Network interfaces and their addresses
    Interfaces,
    /// Devices
    Devices,
}

impl Kind {
    const ALL: [(Self, FactKind, &'static str); 8] = [
        (Self::Listeners, FactKind::Endpoint, "listeners"),
        (Self::Processes, FactKind::Process, "processes"),
        (Self::Users, FactKind::User, "users"),
        (Self::Groups, FactKind::Group, "groups"),
        (Self::Modules, FactKind::Module, "kernel modules"),
        (Self::Routes, FactKind::Route, "routes"),
        (Self::Interfaces, FactKind::Interface, "interfaces"),
        (Self::Devices, FactKind::Device, "devices"),
    ];
}

#[derive(Serialize)]
struct Line<'a> {
    client: &'a Cid,
    #[serde(flatten)]
    difference: &'a Difference,
}

#[derive(Serialize)]
struct Unknown<'a> {
    client: &'a Cid,
    no_record: WallMicros,
    record: &'a RecordAt,
}

#[derive(Serialize)]
struct GapLine<'a> {
    client: &'a Cid,
    gap: &'a Gap,
}

/// Runs the command.
pub(crate) fn run(args: &DiffArgs, global: &Global, out: &mut dyn Write) -> anyhow::Result<Exit> {
    let store = record::open(global, Access::Read)?;
    let cid = record::client(&*store, args.which.client.as_deref())?;
    let mut reader = store.read(&cid)?;
    let zones = filter::zones(&mut *reader, [&args.before, &args.after], global.utc)?;
    let now = Timestamp::now();
    let (before, after) = (args.before.resolve(&zones, now)?, args.after.resolve(&zones, now)?);
    if before > after {
        anyhow::bail!(
            "the first time lies behind the second: {} and {}",
            zones.full(before),
            zones.full(after)
        );
    }
    let mut found = diff(&mut *reader, before, after)?;
    let wanted = |kind: FactKind| {
        let only = |(name, of, _): &&(Kind, FactKind, &str)| *of == kind && args.only.contains(name);
        args.only.is_empty() || Kind::ALL.iter().any(|entry| only(&entry))
    };
    found.differences.retain(|difference| wanted(difference.kind));
    let sources: Vec<_> = Kind::ALL
        .iter()
        .filter(|(_, kind, _)| wanted(*kind))
        .filter_map(|(_, kind, _)| source(*kind))
        .collect();
    found.unknown.retain(|(_, record)| sources.contains(&record.source.name()));
    let some = !found.differences.is_empty();
    let blind = !some && !found.unknown.is_empty();
    if args.json {
        for difference in &found.differences {
            json::line(out, &Line { client: &cid, difference })?;
        }
        for (no_record, record) in &found.unknown {
            json::line(out, &Unknown { client: &cid, no_record: *no_record, record })?;
        }
        for gap in &found.gaps {
            json::line(out, &GapLine { client: &cid, gap })?;
        }
    } else {
        let reach = reach(&mut *reader, Span { from: Some(before), until: Some(after) }, found.gaps)?;
        let shown = Zones::of_row(reach.zone, global.utc);
        writeln!(
            out,
            "{cid} from {}\n{:>width$} {}",
            shown.full(before),
            "to",
            shown.full(after),
            width = cid.as_str().len() + 5
        )?;
        for (_, kind, title) in Kind::ALL {
            let of_kind: Vec<&Difference> = found.differences.iter().filter(|d| d.kind == kind).collect();
            if !of_kind.is_empty() {
                writeln!(out, "{title}")?;
                print(&of_kind, args.wide, out)?;
            }
        }
        if !some && !blind {
            writeln!(out, "no difference")?;
        }
        // Once, however many runs have no record of it.
        let unknown: BTreeSet<_> = found.unknown.iter().map(|(at, r)| (*at, r.source.name())).collect();
        for (at, source) in unknown {
            writeln!(out, "no record of {source} at {}", shown.full(at))?;
        }
        print_reach(&cid, &reach, global.utc, out)?;
    }
    Ok(match (some, blind) {
        (true, _) => Exit::Done,
        (false, true) => Exit::NoRecord,
        (false, false) => Exit::NothingFound,
    })
}

/// Returns the name of the source that tells of a kind.
const fn source(kind: FactKind) -> Option<&'static str> {
    Some(match kind {
        FactKind::Process => "process",
        FactKind::Endpoint => "endpoint",
        FactKind::User | FactKind::Group => "account",
        FactKind::Module => "module",
        FactKind::Route => "route",
        FactKind::Interface => "interface",
        FactKind::Device => "device",
        _ => return None,
    })
}

/// Prints differences of one kind.
fn print(differences: &[&Difference], wide: bool, out: &mut dyn Write) -> anyhow::Result<()> {
    let width = if wide { usize::MAX } else { usize::from(Screen::detect().width) };
    let mut line = |mark: &str, text: &str| -> std::io::Result<()> {
        let text = RawText::from(text).escaped();
        for (i, piece) in wrapped(&text, width.saturating_sub(6)).iter().enumerate() {
            writeln!(out, "  {} {piece}", if i == 0 { mark } else { "   " })?;
        }
        Ok(())
    };
    for difference in differences {
        match &difference.change {
            Change::Appeared { after } => line("+  ", &told(&after.fact))?,
            Change::Went { before } => line("-  ", &told(&before.fact))?,
            Change::Changed { before, after } => {
                let (was, is) = (told(&before.fact), told(&after.fact));
                line("was", &was)?;
                // What a table does not show is in JSON.
                line(
                    "is ",
                    if was == is { "the same in this line; --json shows what changed" } else { &is },
                )?;
            }
        }
    }
    Ok(())
}

/// Says what a fact is, with the process that it belongs to.
fn told(fact: &Fact) -> String {
    match super::at::pid_of(fact) {
        Some(pid) => format!("{pid} {}", fact::describe(fact)),
        None => fact::describe(fact),
    }
}
