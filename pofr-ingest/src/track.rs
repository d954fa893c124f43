//! Tracking: from a verified bundle to rows, spans and gaps. Needs no database, so workers do it side by side.

use crate::verify::Rejected;
use pofr_core::{
    diff::Differ,
    digest::Sha256,
    gap::{Gap, Severity},
    identity::{BootId, BundleSeq, Cid, RunId},
    lifetime::{Row, Tracked, Tracker},
    limits,
    record::Record,
    source::Source,
    store::{BundleEntry, BundleFormat, StoredBundle, TriadId},
    time::WallMicros,
    wire::{
        name::BundleName,
        v1::{self, Converter, RawSnapshot, Step},
        v2,
    },
};

/// A client's clock may be so far ahead of the server's before the record says so, µs.
const AHEAD_MICROS: i64 = 10 * 60 * 1_000_000;

/// A bundle as rows, not yet placed in any triad.
#[derive(Debug)]
pub struct TrackedBundle {
    /// What the ledger will keep of it; its triad is not known yet.
    pub stored: StoredBundle,
    /// Its lifetimes, cut at its edges.
    pub rows: Vec<Row>,
    /// What is wrong with the records that were not taken: the bundle is damaged, and this is what stands before the damage.
    pub damage: Option<String>,
}

/// A triad that does not exist, until the bundle is placed.
const NOWHERE: TriadId = TriadId(-1);

/// What the reason of a gap begins with that stands for the damaged part of a bundle.
const DAMAGED: &str = "damaged:";

/// Returns the gap that stands for the damaged part of a stored bundle, where it has one.
#[must_use]
pub fn damage(bundle: &StoredBundle) -> Option<&Gap> {
    let is_damage = |gap: &&Gap| gap.severity == Severity::Blind && gap.reason.starts_with(DAMAGED);
    bundle.gaps.iter().find(is_damage).filter(|_| !bundle.entry.complete)
}

/// Tracks a v2 bundle. Of one with a bad record, what stands before that record is taken, and a blind gap stands for the rest: the
/// order of the stream is the truth, so nothing behind a record that makes no sense can be placed.
///
/// # Errors
/// [`Rejected`] where its records contradict its manifest, or nothing good stands before the first bad one.
pub fn track_v2(
    name: &BundleName,
    bundle: &v2::Bundle,
    received: WallMicros,
) -> Result<TrackedBundle, Rejected> {
    let header = &bundle.header;
    let (run, streamed) = (run_of(bundle), bundle.is_streamed());
    let (tracked, damage) = match track(bundle, run, None) {
        Ok(tracked) => (tracked, None),
        // A record that makes no sense may have changed a part of what is tracked: once more, without it.
        Err(Bad { good, why }) => {
            let before = track(bundle, run, Some((good, &why))).map_err(|bad| bad.why)?;
            if before.spans.is_empty() {
                return Err(why);
            }
            (before, Some(why.to_string()))
        }
    };
    let first = tracked.spans.iter().map(|s| s.first).min();
    let last = tracked.spans.iter().map(|s| s.last).max();
    let (found, announced) = (first.zip(last).map(|(a, b)| (a.0, b.0)), bundle.manifest.wall);
    if found != announced && damage.is_none() {
        return Err(Rejected::Times { announced, found });
    }
    let (first, last) = first.zip(last).ok_or(Rejected::Empty)?;
    let mut gaps = tracked.gaps;
    gaps.extend(clock_ahead(last, received));
    if streamed {
        let reason = "as it was streamed; the whole bundle has not come";
        gaps.push(thin(reason.to_owned(), first, last, None));
    }
    let entry = BundleEntry {
        cid: Some(header.cid.clone()),
        sha256: name.sha256,
        name: name.to_string(),
        format: BundleFormat::V2,
        seq: header.seq,
        previous: header.previous,
        run,
        boot: header.boot,
        zone: header.zone,
        first,
        last,
        interval_micros: header.interval_micros,
        samples: tracked.samples,
        left_out: 0,
        complete: bundle.manifest.complete && damage.is_none(),
        streamed,
        received,
    };
    let stored = StoredBundle { entry, spans: tracked.spans, gaps, triad: NOWHERE };
    Ok(TrackedBundle { stored, rows: tracked.rows, damage })
}

/// Why records could not be tracked to their end.
struct Bad {
    /// How many stand before the bad one.
    good: u64,
    why: Rejected,
}

/// Tracks the records of a bundle, or so many of them, with a blind gap behind those up to where the manifest says that there are
/// samples.
fn track(bundle: &v2::Bundle, run: RunId, most: Option<(u64, &Rejected)>) -> Result<Tracked, Bad> {
    // A fact takes ten bytes of a bundle, or more: this is room for as many as most have.
    let room = (bundle.frames().len() / 10).min(100_000);
    let mut tracker = Tracker::new(run, bundle.header.zone).with_room(room);
    let bad = |good, why| Bad { good, why };
    let records = bundle.records().map_err(|error| bad(0, error.into()))?;
    let (wanted, mut last) = (most.map_or(u64::MAX, |(good, _)| good), None);
    for (good, record) in (0..wanted).zip(records) {
        let record = record.map_err(|error| bad(good, error.into()))?;
        if let Record::Sample(sample) = &record {
            last = last.max(Some(sample.stamp));
        }
        tracker.apply(record).map_err(|error| bad(good, error.into()))?;
    }
    if let (Some((good, why)), Some(from)) = (most, last) {
        let to = bundle.manifest.wall.map_or(from, |(_, to)| limits::time(WallMicros(to)).max(from));
        let reason =
            limits::reason(format!("{DAMAGED} after record {good}: {why}; the bundle is in quarantine"));
        let severity = Severity::Blind;
        let gap = Gap { source: None, severity, reason, from, to: Some(to), lost: None };
        tracker.apply(Record::Gap(gap)).map_err(|error| bad(good, error.into()))?;
    }
    Ok(tracker.finish())
}

/// Returns the run that a bundle's rows are of: its own, unless the server made it of what was streamed.
#[must_use]
pub fn run_of(bundle: &v2::Bundle) -> RunId {
    let header = &bundle.header;
    if bundle.is_streamed() { header.run.of_stream(header.seq) } else { header.run }
}

/// Returns the run that all v1 bundles of a client belong to: v1 knows neither runs nor boots.
#[must_use]
pub fn v1_run(cid: &Cid) -> RunId {
    let digest = Sha256::of(format!("pofr/v1-run/{cid}").as_bytes());
    let mut run = [0; 16];
    run.copy_from_slice(&digest.0[..16]);
    RunId(run)
}

/// Tracks the snapshots of a v1 tar; some of their halves may have come in its neighbours. A tar may come to nothing only where
/// `some_wait`: halves of it that wait for their other half.
///
/// # Errors
/// [`Rejected`] where a snapshot cannot be read.
pub fn track_v1(
    name: &BundleName,
    run: RunId,
    snapshots: &[RawSnapshot],
    received: WallMicros,
    some_wait: bool,
) -> Result<TrackedBundle, Rejected> {
    if snapshots.is_empty() && !some_wait {
        return Err(Rejected::Empty);
    }
    let stamps: Vec<WallMicros> = snapshots.iter().map(|s| s.stamp).collect();
    // A single snapshot says nothing of the pace; the first POFR's default is 300 ms.
    let interval_micros = v1::median_interval(&stamps).unwrap_or(300_000);
    let zone = snapshots.first().map_or(name.zone, |s| s.zone);
    let mut tracker = Tracker::new(run, zone);
    // What the first POFR has seen stays as it is.
    let mut differ = Differ::unlimited();
    let mut converter = Converter::new(interval_micros);
    let mut reader = v1::Reader::default();
    let (mut left_out, mut undecidable) = (0, 0);
    for raw in snapshots {
        for gap in converter.gaps(raw.stamp, raw.proc.is_some(), raw.net.is_some()) {
            tracker.apply(differ.blind(gap))?;
        }
        let v1::Changed { processes, endpoints, pid_only, undecidable: unclear } = reader.read(raw)?;
        left_out += pid_only;
        undecidable += unclear;
        let seen = [(Source::Process, processes), (Source::Endpoint, endpoints.map(Into::into))];
        for (source, seen) in seen.into_iter().filter_map(|(source, seen)| Some((source, seen?))) {
            tracker.apply(Record::Sample(differ.observe(&source, raw.stamp, 0, seen)?))?;
        }
    }
    for step in converter.finish() {
        if let Step::Blind(gap) = step {
            tracker.apply(differ.blind(gap))?;
        }
    }
    let tracked = tracker.finish();
    let first = tracked.spans.iter().map(|s| s.first).min().unwrap_or(name.stamp);
    let last = tracked.spans.iter().map(|s| s.last).max().unwrap_or(name.stamp);
    let mut gaps = tracked.gaps;
    for (count, what) in [
        (left_out, "processes were gone before anything but their pids could be read"),
        (undecidable, "processes have a name that cannot be told from their arguments"),
    ] {
        if count > 0 {
            gaps.push(thin(format!("{count} times, {what}"), first, last, Some(count)));
        }
    }
    gaps.extend(clock_ahead(last, received));
    let entry = BundleEntry {
        cid: None,
        sha256: name.sha256,
        name: name.to_string(),
        format: BundleFormat::V1,
        seq: BundleSeq(u64::try_from(name.stamp.0).unwrap_or(0)),
        previous: None,
        run,
        boot: BootId::UNKNOWN,
        zone,
        first,
        last,
        interval_micros,
        samples: tracked.samples,
        left_out,
        complete: true,
        streamed: false,
        received,
    };
    let stored = StoredBundle { entry, spans: tracked.spans, gaps, triad: NOWHERE };
    Ok(TrackedBundle { stored, rows: tracked.rows, damage: None })
}

/// Says so where a client's clock is far ahead of the server's: its times are kept as they are.
fn clock_ahead(last: WallMicros, received: WallMicros) -> Option<Gap> {
    let ahead = last.since(received);
    (ahead > AHEAD_MICROS).then(|| {
        let reason = format!("the client's clock is {} s ahead of the server's", ahead / 1_000_000);
        thin(reason, received, last, None)
    })
}

fn thin(reason: String, from: WallMicros, to: WallMicros, lost: Option<u64>) -> Gap {
    Gap { source: None, severity: Severity::Thin, reason, from, to: Some(to), lost }
}
