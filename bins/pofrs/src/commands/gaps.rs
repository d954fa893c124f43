//! `pofrs gaps`: where a record is incomplete, and why.

use crate::{
    cli::{Global, WhichClient},
    exit::Exit,
    output::{
        json, number,
        table::{Fit, Listing, Screen},
        when::{self, Zones},
    },
    record,
};
use clap::Args;
use pofr_core::{
    gap::{self, Gap, Severity},
    time::WallMicros,
};
use pofr_schema::Access;
use serde::Serialize;
use std::{collections::HashSet, io::Write};

/// Lists gaps.
#[derive(Args, Debug)]
#[command(after_long_help = "\
In a blind gap nothing is known of the source; in a thin one less than usual. Gaps that follow from the ledger (missing \
bundles, times between runs) are worked out anew each time: a bundle that arrives late closes its own.

JSON: one object a line with source (null for all), severity (blind or thin), reason, from, to (µs since 1970; from is 0 \
before the first bundle, to is null where it is not known), lost (events or samples, null where nobody can count them), \
derived (whether it follows from the ledger).

Examples:
  pofrs gaps --client web-1 --blind
  pofrs gaps --client web-1 --json | jq 'select(.source == null)'")]
pub(crate) struct GapsArgs {
    #[command(flatten)]
    which: WhichClient,
    /// Only gaps in which nothing is known
    #[arg(long)]
    blind: bool,
    /// Print JSON, one object a line
    #[arg(long)]
    json: bool,
}

#[derive(Serialize)]
struct Line<'a> {
    #[serde(flatten)]
    gap: &'a Gap,
    derived: bool,
}

/// Runs the command.
pub(crate) fn run(args: &GapsArgs, global: &Global, out: &mut dyn Write) -> anyhow::Result<Exit> {
    let store = record::open(global, Access::Read)?;
    let cid = record::client(&*store, args.which.client.as_deref())?;
    let ledger = store.read(&cid)?.ledger()?;
    let derived: HashSet<Gap> = gap::derived(&ledger).into_iter().collect();
    let mut gaps = gap::of(&ledger);
    gaps.retain(|gap| !args.blind || gap.severity == Severity::Blind);
    if args.json {
        for gap in &gaps {
            json::line(out, &Line { gap, derived: derived.contains(gap) })?;
        }
    } else if ledger.bundles.is_empty() {
        writeln!(out, "nothing is recorded of {cid}")?;
    } else if gaps.is_empty() {
        writeln!(out, "no gaps{}", if args.blind { " in which nothing is known" } else { "" })?;
    } else {
        print(&gaps, &Zones::of(&ledger, global.utc), out)?;
    }
    Ok(Exit::Done)
}

/// Prints gaps as a table.
pub(crate) fn print(gaps: &[Gap], zones: &Zones, out: &mut dyn Write) -> anyhow::Result<()> {
    let columns = [
        ("FROM", Fit::Whole),
        ("LENGTH", Fit::Whole),
        ("KIND", Fit::Whole),
        ("SOURCE", Fit::Name(12)),
        ("LOST", Fit::Number),
        ("WHY", Fit::Text),
    ];
    let mut listing = Listing::new(Screen::detect(), false, &columns);
    for gap in gaps {
        let from = if gap.from == WallMicros::default() {
            "the beginning".to_owned()
        } else {
            zones.second(gap.from)
        };
        let length = match gap.to {
            Some(_) if gap.from == WallMicros::default() => "?".to_owned(),
            Some(to) => when::length(to.since(gap.from)),
            None => "?".to_owned(),
        };
        let kind = match gap.severity {
            Severity::Blind => "blind",
            Severity::Thin => "thin",
        };
        listing.row([
            from,
            length,
            kind.to_owned(),
            gap.source.as_ref().map_or_else(|| "all".to_owned(), ToString::to_string),
            gap.lost.map_or_else(|| "?".to_owned(), number::count),
            gap.reason.clone(),
        ]);
    }
    listing.print(out)?;
    Ok(())
}
