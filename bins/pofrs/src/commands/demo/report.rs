//! What the demo says of its recording: what was captured, how large that is, and what to try next.

use super::{capture::Captured, raw_size::Sizes, stage::BRIEF_MILLIS};
use crate::{
    commands::gaps,
    output::{
        number,
        table::{Fit, Listing, Screen},
        when::Zones,
    },
};
use pofr_core::{
    fact::FactKind,
    gap::{self, Gap},
    store::{ClientReader, Ledger, RowId, StoreError, TableRef},
    time::WallMicros,
};
use pofr_ingest::Report;
use std::{collections::HashSet, io::Write, ops::ControlFlow, path::Path};

/// How many gaps are shown.
const GAPS_SHOWN: usize = 5;

/// All that the demo knows.
pub(super) struct Known<'a> {
    /// What was recorded.
    pub(super) captured: &'a Captured,
    /// What became of it.
    pub(super) ingested: &'a Report,
    /// How large it is.
    pub(super) raw: Sizes,
    /// The store's ledger.
    pub(super) ledger: &'a Ledger,
    /// Whether times are shown in UTC.
    pub(super) utc: bool,
}

impl Known<'_> {
    /// Returns the first and last stamp of this recording; an earlier one may be in the same store.
    pub(super) fn span(&self) -> (WallMicros, WallMicros) {
        self.captured.summary.span.or(self.ingested.span).unwrap_or_default()
    }

    /// Returns the zones of the record.
    pub(super) fn zones(&self) -> Zones {
        Zones::of(self.ledger, self.utc)
    }
}

/// Prints counts, the fate of the brief processes, gaps and sizes.
pub(super) fn print(
    known: &Known<'_>,
    reader: &mut dyn ClientReader,
    out: &mut dyn Write,
) -> anyhow::Result<()> {
    let (zones, (first, last)) = (known.zones(), known.span());
    let summary = &known.captured.summary;
    writeln!(out, "\nCaptured from {}\n           to {}:", zones.full(first), zones.full(last))?;
    writeln!(
        out,
        "{} of {} sources in {}",
        number::counted(summary.samples, "sample"),
        summary.last.len(),
        number::counted(known.raw.count, "bundle"),
    )?;
    counts(known, reader, out)?;
    brief(known, reader, out)?;

    let (gaps, more) = gaps_of(known);
    if gaps.is_empty() {
        writeln!(out, "\nGaps: none")?;
    } else {
        writeln!(out, "\nGaps:")?;
        gaps::print(&gaps, &zones, out)?;
        if more > 0 {
            writeln!(out, "and {} more", number::count(more as u64))?;
        }
    }
    sizes(known, reader.stored_bytes()?, out)
}

/// Says how many lifetimes of each kind the store has.
fn counts(known: &Known<'_>, reader: &mut dyn ClientReader, out: &mut dyn Write) -> anyhow::Result<()> {
    let mut listing = Listing::new(Screen::detect(), true, &[("LIFETIMES", Fit::Number), ("OF", Fit::Whole)]);
    for (i, kind) in FactKind::ALL.into_iter().enumerate() {
        let rows = match known.ledger.live().map(|t| t.rows.get(i).copied().unwrap_or(0)).sum() {
            0 if !kind.in_triad() => count(reader, kind)?,
            in_triads => in_triads,
        };
        if rows > 0 {
            listing.row([number::count(rows), plural(kind).to_owned()]);
        }
    }
    listing.print(out)?;
    let (first, _) = known.span();
    if known.ledger.bundles.iter().any(|b| b.entry.last < first) {
        writeln!(out, "The store holds earlier recordings too, which are counted here.")?;
    }
    Ok(())
}

const fn plural(kind: FactKind) -> &'static str {
    match kind {
        FactKind::Process => "processes, a new one for each change of program, name or ids",
        FactKind::File => "open files",
        FactKind::Endpoint => "network endpoints, one for each state and holder",
        FactKind::Host => "host descriptions",
        FactKind::User => "user accounts",
        FactKind::Group => "groups",
        FactKind::Interface => "network interfaces",
        FactKind::Route => "routes",
        FactKind::Device => "devices",
        FactKind::Module => "kernel modules",
        FactKind::Custom => "facts of other collectors",
    }
}

/// Counts the rows of a kind that has one table.
fn count(reader: &mut dyn ClientReader, kind: FactKind) -> Result<u64, StoreError> {
    let table = TableRef { triad: None, kind };
    let (mut after, mut total) = (RowId(0), 0);
    loop {
        let page = reader.page(table, after, 1000)?;
        let Some((last, _)) = page.last() else { return Ok(total) };
        after = *last;
        total += page.len() as u64;
    }
}

/// Says which of the brief processes are in the record: samples show some and miss others, events tell of all, where they can
/// be heard.
fn brief(known: &Known<'_>, reader: &mut dyn ClientReader, out: &mut dyn Write) -> anyhow::Result<()> {
    let mut seen = HashSet::new();
    let first = known.span().0.0;
    let statement = format!(
        "SELECT pid FROM all_psinfo WHERE command LIKE 'pofr-brief-%' AND (first_seen >= {first} OR ended >= {first})"
    );
    reader.sql(&statement, &mut |row| {
        seen.extend(row.get("pid").and_then(serde_json::Value::as_u64));
        ControlFlow::Continue(())
    })?;
    writeln!(out, "\nOf the processes that this demo started for a short time, there were seen:")?;
    let mut missed = 0;
    for millis in BRIEF_MILLIS {
        let played: Vec<u32> =
            known.captured.cast.brief.iter().filter(|(_, ms)| *ms == millis).map(|(pid, _)| *pid).collect();
        if !played.is_empty() {
            let found = played.iter().filter(|pid| seen.contains(&u64::from(**pid))).count();
            missed += played.len() - found;
            writeln!(out, "  {found} of {} that lived {millis} ms", played.len())?;
        }
    }
    if missed > 0 {
        writeln!(out, "What lives for less than the 100 ms between two samples is seen by chance.")?;
    }
    Ok(())
}

/// Returns the gaps within this recording, and how many more there are than are shown.
fn gaps_of(known: &Known<'_>) -> (Vec<Gap>, usize) {
    let (first, last) = known.span();
    let mut gaps = gap::of(known.ledger);
    gaps.retain(|gap| gap.from < last && gap.to.is_none_or(|to| to > first));
    let more = gaps.len().saturating_sub(GAPS_SHOWN);
    gaps.truncate(GAPS_SHOWN);
    (gaps, more)
}

fn sizes(known: &Known<'_>, stored: u64, out: &mut dyn Write) -> anyhow::Result<()> {
    let Sizes { text, snapshots, bundles, .. } = known.raw;
    let part = |size: u64| match text.checked_div(size) {
        Some(times) if times > 1 => format!("1/{}", number::count(times)),
        _ => "-".to_owned(),
    };
    writeln!(out, "\nSize:")?;
    let columns = [("BYTES", Fit::Number), ("PART", Fit::Number), ("OF", Fit::Text)];
    let mut listing = Listing::new(Screen::detect(), false, &columns);
    let all = format!(
        "all {} snapshots written out whole, as JSON lines, not compressed (what pofrc record --snapshots writes)",
        number::count(snapshots)
    );
    listing.row([number::bytes(text), "1".to_owned(), all]);
    listing.row([
        number::bytes(bundles),
        part(bundles),
        "the bundles that hold the same, as they are sent".to_owned(),
    ]);
    let database = "the whole database on the disk, with its indexes and empty tables".to_owned();
    listing.row([number::bytes(stored), part(stored), database]);
    listing.print(out)?;
    Ok(())
}

/// Says what to do with a record.
pub(super) fn what_next(known: &Known<'_>, kept: Option<&Path>, out: &mut dyn Write) -> anyhow::Result<()> {
    let program = std::env::args().next().unwrap_or_else(|| "pofrs".to_owned());
    let program = quoted(&program);
    writeln!(out, "\nTo try next:")?;
    let Some(dir) = kept else {
        writeln!(out, "  {program} demo --data-dir pofr-demo")?;
        writeln!(out, "keeps its record (this one is removed now), and tells how to look around in it.")?;
        return Ok(());
    };
    let at = super::middle::moment(known);
    let pofrs = format!("{program} --data-dir {}", quoted(&dir.to_string_lossy()));
    for (command, what) in [
        (format!("at {at} tree"), "the processes of that moment as a tree"),
        (format!("at {at} files --pid {}", known.captured.cast.file_pid), "what one of them had open"),
        (format!("at {at} net --json"), "its connections, for programs"),
        ("gaps".to_owned(), "where the record is incomplete"),
        (
            "sql 'SELECT command, COUNT(*) AS n FROM all_psinfo GROUP BY command ORDER BY n DESC LIMIT 10'"
                .to_owned(),
            "anything, in SQL",
        ),
        ("archive --force".to_owned(), "merge what is stored; every moment stays as it was"),
    ] {
        writeln!(out, "  # {what}\n  {pofrs} {command}")?;
    }
    Ok(())
}

/// Quotes a word for a shell where it needs that.
fn quoted(word: &str) -> String {
    let plain = |b: u8| b.is_ascii_alphanumeric() || b"/._-+:@%".contains(&b);
    if !word.is_empty() && word.bytes().all(plain) {
        word.to_owned()
    } else {
        format!("'{}'", word.replace('\'', "'\\''"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_command_can_be_pasted_whatever_the_directory_is_called() {
        for (word, text) in
            [("a/b", "a/b"), ("a b", "'a b'"), ("it's", "'it'\\''s'"), ("", "''"), ("$x", "'$x'")]
        {
            assert_eq!(quoted(word), text);
        }
    }
}
