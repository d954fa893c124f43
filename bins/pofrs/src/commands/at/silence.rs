//! Saying that there is no record of a moment, and what there is instead.

use super::Answer;
use crate::output::{
    table::{Fit, Listing, Screen},
    when::{self, Zones},
};
use pofr_core::{
    fact::FactKind,
    gap::{self, Gap, Severity},
    store::{ActionKind, Ledger},
    time::WallMicros,
};
use std::io::Write;

/// Says what is known instead: the nearest stamps, and the gaps that hide the moment.
pub(crate) fn print(
    answer: &Answer,
    ledger: &Ledger,
    zones: &Zones,
    screen: Screen,
    out: &mut dyn Write,
) -> anyhow::Result<()> {
    let at = answer.at;
    let what = match answer.kinds {
        [FactKind::Process, ..] | [] => "processes",
        [FactKind::File, ..] => "open files",
        [FactKind::Endpoint, ..] => "network endpoints",
        [FactKind::Host, ..] => "the host",
        [FactKind::User | FactKind::Group, ..] => "users and groups",
        [FactKind::Interface, ..] => "network interfaces",
        [FactKind::Route, ..] => "routes",
        [FactKind::Device, ..] => "devices",
        [FactKind::Module, ..] => "kernel modules",
        [FactKind::Custom, ..] => "third parties' collectors",
    };
    writeln!(out, "no record of {what} at {}", zones.full(at))?;
    let forgotten = ledger.actions.iter().rev();
    let forgotten = forgotten.filter(|a| a.kind == ActionKind::Forget && a.before.is_some_and(|t| at < t));
    for action in forgotten {
        let why = if action.why.is_empty() { String::new() } else { format!(": {}", action.why) };
        let until = zones.full(action.before.unwrap_or_default());
        writeln!(
            out,
            "  forgotten: everything before {until}, by {}, on {}{why}",
            action.who,
            zones.second(action.at)
        )?;
    }
    let before = answer.record.iter().filter_map(|r| Some((r.nearest.0?, r.run))).max();
    let after = answer.record.iter().filter_map(|r| Some((r.nearest.1?, r.run))).min();
    for (word, nearest) in [("before", before), ("after", after)] {
        match nearest {
            Some((stamp, run)) => {
                let apart = when::length(stamp.since(at).abs());
                writeln!(out, "  nearest {word} it, by {apart}: {} {stamp}, run {run}", zones.full(stamp))?;
            }
            None => writeln!(out, "  nothing {word} it")?,
        }
    }
    let hiding: Vec<Gap> = gap::of(ledger).into_iter().filter(|gap| hides(gap, at)).collect();
    let mut listing = Listing::new(screen, false, &[("SOURCE", Fit::Name(12)), ("WHY", Fit::Text)]);
    for gap in &hiding {
        let source = gap.source.as_ref().map_or_else(|| "all".to_owned(), ToString::to_string);
        listing.row([source, gap.reason.clone()]);
    }
    if !hiding.is_empty() {
        listing.print(out)?;
    }
    Ok(())
}

/// Tells whether nothing is known at `at` because of `gap`.
fn hides(gap: &Gap, at: WallMicros) -> bool {
    gap.severity == Severity::Blind && gap.from < at && gap.to.is_some_and(|to| at < to)
}
