//! What the tests of this crate share: sinks that remember, and a reader that plays a stream back, written for
//! clarity and apart from the tracker that the server uses.

use pofr_collect::{HostView, Recorder, Registry, Settings, Stop};
use pofr_core::{
    Sink, Source,
    collector::{Closing, Opening},
    diff,
    fact::Fact,
    gap::{Gap, Severity},
    record::{Event, FactId, Record},
    time::WallMicros,
};
use std::{
    collections::BTreeMap,
    convert::Infallible,
    sync::{Arc, Mutex},
    time::Duration,
};

/// A bundle in memory.
#[derive(Clone, Debug)]
pub(crate) struct Kept {
    pub(crate) opening: Opening,
    pub(crate) records: Vec<Record>,
    pub(crate) losses: Option<BTreeMap<String, u64>>,
}

/// A sink that keeps all bundles. Clones keep the same ones.
#[derive(Clone, Debug, Default)]
pub(crate) struct Memory(Arc<Mutex<Vec<Kept>>>);

impl Memory {
    pub(crate) fn bundles(&self) -> Vec<Kept> {
        self.0.lock().unwrap().clone()
    }
}

impl Sink for Memory {
    type Error = Infallible;

    fn begin(&mut self, opening: &Opening) -> Result<Vec<Gap>, Infallible> {
        self.0.lock().unwrap().push(Kept { opening: opening.clone(), records: Vec::new(), losses: None });
        Ok(Vec::new())
    }

    fn accept(&mut self, record: &Record) -> Result<(), Infallible> {
        let mut bundles = self.0.lock().unwrap();
        let open = bundles.last_mut().expect("a bundle was begun");
        assert!(open.losses.is_none(), "a record after the end of its bundle");
        open.records.push(record.clone());
        Ok(())
    }

    fn finish(&mut self, closing: &Closing) -> Result<(), Infallible> {
        self.0.lock().unwrap().last_mut().expect("a bundle was begun").losses = Some(closing.losses.clone());
        Ok(())
    }
}

/// A snapshot as text, so that it can be compared and printed: source, stamp, facts in order.
pub(crate) type Shown = BTreeMap<(Source, WallMicros), Vec<String>>;

/// Writes facts as text, without what may be learned later.
pub(crate) fn texts<'a>(facts: impl IntoIterator<Item = &'a Fact>) -> Vec<String> {
    let mut texts: Vec<String> = facts
        .into_iter()
        .map(|fact| match fact {
            Fact::Process(p) => format!("{:?}", p.key),
            Fact::File(f) => format!("{:?}", f.key),
            Fact::Endpoint(e) => format!("{:?}", e.key),
            other => format!("{other:?}"),
        })
        .collect();
    texts.sort();
    texts
}

/// Plays the records of one bundle back: what held at each sample.
pub(crate) fn play(records: &[Record]) -> Shown {
    let mut shown = Shown::new();
    let mut live: BTreeMap<FactId, Fact> = BTreeMap::new();
    let mut begun: Vec<Source> = Vec::new();
    let mut next = 0;
    let mut number = |live: &mut BTreeMap<FactId, Fact>, fact: &Fact| {
        live.insert(FactId(next), fact.clone());
        next += 1;
    };
    for record in records {
        match record {
            Record::Sample(sample) => {
                assert_eq!(sample.keyframe, !begun.contains(&sample.source), "a keyframe first, and once");
                begun.push(sample.source.clone());
                for id in sample.removed.iter().chain(&sample.lost) {
                    live.remove(id).expect("what goes was there");
                }
                for added in &sample.added {
                    number(&mut live, &added.fact);
                }
                let of_source = live.values().filter(|fact| fact.source() == sample.source);
                shown.insert((sample.source.clone(), sample.stamp), texts(of_source));
            }
            Record::Event(Event::Began { fact, .. }) => number(&mut live, fact),
            Record::Event(Event::Ended { id, .. }) => {
                live.remove(id).expect("what ends was there");
            }
            Record::Event(Event::Passed { .. } | Event::Learned(_)) => {}
            Record::Gap(gap) if gap.severity == Severity::Blind => {
                live.retain(|_, fact| gap.source.as_ref().is_some_and(|source| *source != fact.source()));
                begun.retain(|source| gap.source.as_ref().is_some_and(|blind| blind != source));
            }
            Record::Gap(_) => {}
        }
    }
    shown
}

/// Returns the gaps of a bundle.
pub(crate) fn gaps(records: &[Record]) -> Vec<Gap> {
    let gap = |record: &Record| match record {
        Record::Gap(gap) => Some(gap.clone()),
        _ => None,
    };
    records.iter().filter_map(gap).collect()
}

/// Records a tick every so often into bundles of such a length, µs.
pub(crate) fn settings(interval_micros: u64, bundle_micros: u64) -> Settings {
    Settings { interval_micros, bundle_micros, ..Settings::default() }
}

/// Records for `millis` and returns the bundles and what the observer saw.
pub(crate) fn record(view: HostView, registry: Registry, settings: Settings, millis: u64) -> (Memory, Shown) {
    let (memory, seen) = (Memory::default(), Arc::new(Mutex::new(Shown::new())));
    let seen_here = seen.clone();
    let observer = move |source: &Source, stamp: WallMicros, all: diff::Shown<'_>| {
        seen_here.lock().unwrap().insert((source.clone(), stamp), texts(all.facts()));
    };
    let mut recorder = Recorder::new(view, registry, settings, memory.clone()).unwrap().observed_by(observer);
    recorder.run(&Stop::new().unwrap(), Some(Duration::from_millis(millis))).unwrap();
    drop(recorder);
    (memory, Arc::into_inner(seen).unwrap().into_inner().unwrap())
}
