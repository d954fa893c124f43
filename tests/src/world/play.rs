//! Plays what happens to a recorder: through differ, wire format and tracker.

use super::{Run, Step, What, endpoint, entity, facts};
use pofr_core::{
    collector::{Closing, Extent, Notice, Observation, Reread},
    coverage::{PlacedSpan, Succession},
    diff::Differ,
    fact::{ByKey, Fact, Subject},
    gap::{Gap, Severity},
    identity::{BootId, BundleSeq, Cid, RunId},
    lifetime::{Row, Tracker},
    record::Record,
    source::Source,
    time::{WallMicros, ZoneOffset},
    wire::v2,
};
use std::collections::{BTreeMap, BTreeSet, HashSet};

/// A step as it happened: when, in which bundle of which run.
#[derive(Clone, Debug)]
pub struct Happened {
    /// When.
    pub at: WallMicros,
    /// In which bundle.
    pub seq: BundleSeq,
    /// What.
    pub step: Step,
}

/// A run as it happened.
#[derive(Clone, Debug)]
pub struct RunLog {
    /// The run.
    pub run: RunId,
    /// Its boot.
    pub boot: BootId,
    /// What happened, in order.
    pub happened: Vec<Happened>,
}

/// A bundle: as it is sent, and as its rows.
#[derive(Clone, Debug)]
pub struct Bundle {
    /// Its number.
    pub seq: BundleSeq,
    /// Its rows, cut at its edges.
    pub rows: Vec<Row>,
    /// Its spans, labelled with its number.
    pub spans: Vec<PlacedSpan>,
    /// Its file name.
    pub name: String,
    /// Its bytes.
    pub tar: Vec<u8>,
}

/// Plays a history: what happened when, and every bundle, sent through the wire format.
#[must_use]
pub fn play(history: &[Run]) -> (Vec<RunLog>, Vec<Bundle>) {
    let (mut logs, mut bundles) = (Vec::new(), Vec::new());
    let (mut now, mut seq, mut boot) = (1_000_000_000i64, 0u64, 1u8);
    for (number, run) in (1u8..).zip(history) {
        boot += u8::from(run.new_boot);
        now += 1_000_000 + run.jump;
        let log = play_run(run, RunId([number; 16]), BootId([boot; 16]), &mut now, &mut seq, &mut bundles);
        logs.push(log);
    }
    (logs, bundles)
}

fn play_run(
    run: &Run,
    id: RunId,
    boot: BootId,
    now: &mut i64,
    seq: &mut u64,
    out: &mut Vec<Bundle>,
) -> RunLog {
    let mut log = RunLog { run: id, boot, happened: Vec::new() };
    let mut differ = Differ::default();
    let mut shown: BTreeMap<Source, Vec<Fact>> = BTreeMap::new();
    let mut records: Vec<Record> = Vec::new();
    let (mut empty, mut last_tick) = (true, WallMicros(*now));
    *seq += 1;
    for (step, wants_bundle) in &run.steps {
        *now += 100_000;
        let at = WallMicros(*now);
        let step = reboot(step, boot);
        if let Step::Tick { processes, endpoints } = &step {
            let mut seen = |source, facts: Option<Vec<Fact>>| {
                let before = match &facts {
                    Some(facts) => shown.insert(source, facts.clone()),
                    // A sampler that failed begins anew.
                    None => shown.remove(&source),
                };
                // Every third reading is a whole one, as are those after a failure.
                facts.map(|facts| match before.filter(|_| *now / 100_000 % 3 != 0) {
                    Some(before) => reread(&before, facts),
                    None => facts.into(),
                })
            };
            let processes = seen(Source::Process, processes.as_ref().map(|p| facts(boot, p)));
            let endpoints =
                seen(Source::Endpoint, endpoints.as_ref().map(|p| p.iter().copied().map(endpoint).collect()));
            let sound = processes.as_ref().is_some_and(|f| !differ.would_lose(&Source::Process, f))
                && endpoints.is_some();
            if *wants_bundle && !empty && sound {
                out.push(close(id, boot, *seq, std::mem::take(&mut records)));
                differ.begin_bundle();
                *seq += 1;
            }
            for (source, seen) in [(Source::Process, processes), (Source::Endpoint, endpoints)] {
                records.push(match seen {
                    Some(seen) => Record::Sample(differ.observe(&source, at, 10, seen).unwrap()),
                    None => differ.blind(blind(source, last_tick, at)),
                });
            }
            last_tick = at;
            empty = false;
        } else if let Step::Event { what, fact } = &step {
            let fact = Fact::clone(fact);
            let notice = match *what {
                What::Began => Notice::Began(fact, at),
                What::Ended => Notice::Ended(fact, at),
                What::Passed => Notice::Passed { fact, began: Some(at), ended: at.plus(10) },
            };
            records.extend(differ.notice(notice));
        }
        log.happened.push(Happened { at, seq: BundleSeq(*seq), step });
    }
    out.push(close(id, boot, *seq, records));
    log
}

/// Tells a reading as a sampler does that knows what has not changed: only of the subjects that have, and of the first.
fn reread(before: &[Fact], after: Vec<Fact>) -> Observation {
    let subjects: BTreeSet<Subject> = before.iter().chain(&after).map(Fact::subject).collect();
    let of = |facts: &[Fact], subject| -> HashSet<ByKey> {
        facts.iter().filter(|f| f.subject() == subject).cloned().map(ByKey).collect()
    };
    let first = subjects.first().copied();
    let changed = |subject: &Subject| of(before, *subject) != of(&after, *subject);
    let read: Vec<Subject> = subjects.into_iter().filter(|s| Some(*s) == first || changed(s)).collect();
    Observation {
        facts: after.into_iter().filter(|fact| read.contains(&fact.subject())).collect(),
        extent: Extent::Subjects(read.into_iter().map(Reread::from).collect()),
        ..Observation::default()
    }
}

fn blind(source: Source, from: WallMicros, to: WallMicros) -> Gap {
    Gap {
        source: Some(source),
        severity: Severity::Blind,
        reason: "failed".into(),
        from,
        to: Some(to),
        lost: None,
    }
}

/// Events name facts of some boot; makes it this one.
fn reboot(step: &Step, boot: BootId) -> Step {
    let mut step = step.clone();
    if let Step::Event { fact, .. } = &mut step {
        match &mut **fact {
            Fact::Process(p) => p.key.entity = entity(boot, p.key.entity.pid().0),
            Fact::File(f) => f.key.entity = entity(boot, f.key.entity.pid().0),
            _ => {}
        }
    }
    step
}

/// Encodes, seals, opens, decodes and tracks a bundle.
fn close(run: RunId, boot: BootId, seq: u64, records: Vec<Record>) -> Bundle {
    let header = v2::Header {
        cid: Cid::parse("test").unwrap(),
        run,
        boot,
        seq: BundleSeq(seq),
        previous: None,
        zone: ZoneOffset::UTC,
        interval_micros: 100_000,
        opened_wall: WallMicros(0),
        opened_boot_micros: 0,
        recorder_pids: Vec::new(),
        sources: vec![Source::Process, Source::Endpoint],
        missing: Vec::new(),
    };
    let mut encoder = v2::Encoder::new(&header);
    let mut frames = Vec::new();
    for record in &records {
        encoder.push(record);
        if encoder.pending() > 300 {
            frames.extend(encoder.flush().unwrap());
        }
    }
    frames.extend(encoder.flush().unwrap());
    let sealed = v2::seal(&frames, true, &Closing::default()).unwrap();
    let opened = v2::open(&sealed.tar, v2::Limits::default()).unwrap();
    let mut tracker = Tracker::new(run, ZoneOffset::UTC);
    let mut back = Vec::new();
    for record in opened.records().unwrap() {
        let record = record.unwrap();
        back.push(record.clone());
        tracker.apply(record).unwrap();
    }
    assert_eq!(back, records, "the wire changes nothing");
    let tracked = tracker.finish();
    let placed = |span| PlacedSpan {
        run,
        boot,
        seq: BundleSeq(seq),
        succession: Succession::Numbered,
        group: seq as i64,
        span,
    };
    Bundle {
        seq: BundleSeq(seq),
        rows: tracked.rows,
        spans: tracked.spans.into_iter().map(placed).collect(),
        name: sealed.name,
        tar: sealed.tar,
    }
}
