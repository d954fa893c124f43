//! `pofrs find --follow`: what begins and ends, bundle by bundle, from where a file says that it came to.
//!
//! The server's ledger says which bundles came since the last look. A fact is told with the bundle in whose time it began, and
//! with the one in whose time it ended: bundles of one run that follow each other are one stretch of time, from behind the last
//! stamp of the one before them to the last of their own. So a bundle that arrives late tells what it has, and a fact that goes
//! on through many bundles is not told with each. Merging moves rows and changes neither begins nor ends, so it is not seen
//! here.

use super::{FindArgs, Printer};
use crate::{
    across::{self, Event},
    cli::Global,
    exit::Exit,
};
use anyhow::Context as _;
use jiff::Timestamp;
use pofr_core::{
    Store,
    gap::Gap,
    identity::{BundleSeq, Cid, RunId},
    store::{BundleEntry, ClientReader, Ledger},
    time::WallMicros,
};
use pofr_schema::query::{Filter, Found, Span, find};
use serde::{Deserialize, Serialize};
use std::{
    collections::{BTreeMap, BTreeSet},
    io::{ErrorKind, Write},
    ops::ControlFlow,
    path::Path,
    time::Duration,
};

/// How often the ledger is looked at.
const PACE: Duration = Duration::from_secs(1);
/// A bundle that a writer is just storing was received up to so long before others that are stored already, µs.
const OVERLAP: i64 = 600_000_000;

/// How far printing came, as the cursor file has it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Cursor {
    /// The format: 1.
    version: u32,
    /// By client.
    clients: BTreeMap<String, Place>,
}

/// How far one client's printing came.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Place {
    /// The latest time at which the server took a bundle in that is told, µs.
    received: i64,
    /// The SHA-256 of the bundles that are told, of those taken in shortly before.
    told: BTreeSet<String>,
}

/// A stretch of a run's time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Stretch {
    run: RunId,
    /// What began here or later; not what began here itself where the record goes on from before.
    from: WallMicros,
    goes_on: bool,
    until: WallMicros,
}

/// What comes from a client.
enum Answer {
    Found(Box<Found>),
    Told(Place),
}

/// Follows the record.
pub(super) fn run(
    args: &FindArgs,
    store: &dyn Store,
    clients: &[Cid],
    filter: &Filter,
    global: &Global,
    out: &mut dyn Write,
) -> anyhow::Result<Exit> {
    let subject = args.what.subject();
    let mut cursor = args.cursor.as_deref().map(load).transpose()?.flatten();
    // Without a file that says how far it came, what is there already counts where --since asks for it, and where a file shall
    // be made.
    let from_the_start = cursor.is_some() || args.cursor.is_some() || args.span.since.is_some();
    let mut state = cursor.take().unwrap_or(Cursor { version: 1, clients: BTreeMap::new() });
    let mut printer = Printer::new(subject, &args.output, clients, global.utc, out)?;
    let now = Timestamp::now();
    loop {
        let places = &state.clients;
        let mut told = Vec::new();
        let failures = across::ask(
            store,
            clients,
            &|client, reader, hand_on| {
                let known = places.get(clients[client].as_str());
                let span = args.span.span(reader, global.utc, now)?;
                let (stretches, place) = match known {
                    None if !from_the_start => (Vec::new(), caught_up(reader)?),
                    known => look(reader, known)?,
                };
                for stretch in stretches {
                    let asked = Span { from: span.from.max(Some(stretch.from)), until: Some(stretch.until) };
                    let _: Vec<Gap> = find(reader, subject, filter, asked, &mut |found| {
                        if is_news(&found, stretch, span) {
                            hand_on(Answer::Found(Box::new(found)))
                        } else {
                            ControlFlow::Continue(())
                        }
                    })?;
                }
                let _ = hand_on(Answer::Told(place));
                Ok(())
            },
            &mut |event| {
                match event {
                    Event::Answer(client, Answer::Found(found)) => {
                        printer.found(client, &found, &*found, &[], out)?;
                    }
                    Event::Answer(client, Answer::Told(place)) => told.push((client, place)),
                    Event::Quiet => printer.quiet(out)?,
                }
                Ok(ControlFlow::Continue(()))
            },
        )?;
        printer.flush(out)?;
        out.flush()?;
        let before = state.clone();
        state.clients.extend(told.into_iter().map(|(client, place)| (clients[client].to_string(), place)));
        if let Some(path) = &args.cursor
            && state != before
        {
            save(path, &state)?;
        }
        if args.once || !failures.is_empty() {
            return super::settle(failures, printer.printed() > 0);
        }
        std::thread::sleep(PACE);
    }
}

/// Returns the stretches of time that came in since, and how far that is.
fn look(reader: &mut dyn ClientReader, known: Option<&Place>) -> anyhow::Result<(Vec<Stretch>, Place)> {
    let since = known.map_or(WallMicros(0), |place| WallMicros(place.received).plus(-OVERLAP));
    let ledger = reader.recent(since)?;
    let told = known.map(|place| &place.told);
    let is_new = |bundle: &BundleEntry| told.is_none_or(|told| !told.contains(&bundle.sha256.to_string()));
    let stretches = stretches(&ledger, &is_new);
    Ok((stretches, place(&ledger, known)))
}

/// Returns how far it is when all that there is counts as told.
fn caught_up(reader: &mut dyn ClientReader) -> anyhow::Result<Place> {
    let last = place(&reader.recent(WallMicros(i64::MAX))?, None);
    let recent = reader.recent(WallMicros(last.received).plus(-OVERLAP))?;
    Ok(place(&recent, None))
}

fn place(ledger: &Ledger, before: Option<&Place>) -> Place {
    let received = ledger.bundles.iter().map(|bundle| bundle.entry.received.0).max();
    let received = received.unwrap_or(0).max(before.map_or(0, |place| place.received));
    let told = ledger.bundles.iter().filter(|bundle| bundle.entry.received.0 >= received - OVERLAP);
    Place { received, told: told.map(|bundle| bundle.entry.sha256.to_string()).collect() }
}

/// Joins new bundles of one run that follow each other.
fn stretches(ledger: &Ledger, is_new: &dyn Fn(&BundleEntry) -> bool) -> Vec<Stretch> {
    let mut runs: BTreeMap<RunId, BTreeMap<(BundleSeq, WallMicros), &BundleEntry>> = BTreeMap::new();
    for bundle in ledger.bundles.iter().filter(|bundle| !bundle.is_withdrawn()) {
        let entry = &bundle.entry;
        runs.entry(entry.run).or_default().insert((entry.seq, entry.first), entry);
    }
    let mut all: Vec<Stretch> = Vec::new();
    for (run, bundles) in runs {
        let mut before: Option<(&BundleEntry, bool)> = None;
        for entry in bundles.into_values() {
            let new = is_new(entry);
            let follows = before.filter(|(b, _)| b.seq.0 + 1 == entry.seq.0 && b.last < entry.first);
            if new {
                match (follows, all.last_mut()) {
                    (Some((_, true)), Some(stretch)) if stretch.run == run => stretch.until = entry.last,
                    (Some((b, _)), _) => {
                        all.push(Stretch { run, from: b.last, goes_on: true, until: entry.last });
                    }
                    (None, _) => {
                        all.push(Stretch { run, from: entry.first, goes_on: false, until: entry.last });
                    }
                }
            }
            before = Some((entry, new));
        }
    }
    all.sort_by_key(|stretch| stretch.from);
    all
}

/// Tells whether a fact began or ended in a stretch, and in the time that was asked for.
fn is_news(found: &Found, stretch: Stretch, asked: Span) -> bool {
    let (Some(first), Some(last)) = (found.parts.first(), found.parts.last()) else { return false };
    let within = |at: WallMicros| {
        let behind = if stretch.goes_on { at > stretch.from } else { at >= stretch.from };
        behind && at <= stretch.until && asked.touches(at, at)
    };
    let ended = last.life.ended.or(last.life.gone_by);
    first.run == stretch.run && within(first.life.position())
        || last.run == stretch.run && ended.is_some_and(within)
}

/// Reads the cursor file; `None` where there is none yet.
fn load(path: &Path) -> anyhow::Result<Option<Cursor>> {
    let text = match std::fs::read_to_string(path) {
        Ok(text) => text,
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(error).with_context(|| format!("cannot read {}", path.display())),
    };
    let cursor: Cursor =
        serde_json::from_str(&text).with_context(|| format!("{} is no cursor file", path.display()))?;
    anyhow::ensure!(cursor.version == 1, "{} has version {}", path.display(), cursor.version);
    Ok(Some(cursor))
}

/// Writes the cursor file: whole, or as it was.
fn save(path: &Path, cursor: &Cursor) -> anyhow::Result<()> {
    let dir = path.parent().filter(|dir| !dir.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let write = || -> anyhow::Result<()> {
        let mut file = tempfile::NamedTempFile::new_in(dir)?;
        serde_json::to_writer(&mut file, cursor)?;
        file.write_all(b"\n")?;
        file.as_file().sync_all()?;
        file.persist(path)?;
        Ok(())
    };
    write().with_context(|| format!("cannot write {}", path.display()))
}
