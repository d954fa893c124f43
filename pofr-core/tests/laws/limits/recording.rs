//! A recorder without a machine: differ, encoder and seal, and a reader that takes what they make.

use pofr_core::{
    collector::{Closing, Extent, Notice, Observation},
    diff::Differ,
    digest::KeyDigest,
    fact::Fact,
    gap::{Gap, Severity},
    identity::{BootId, BundleSeq, Cid, RunId},
    lifetime::{Tracked, Tracker},
    limits,
    record::Record,
    source::Source,
    time::{WallMicros, ZoneOffset},
    wire::v2::{Decoder, Encoder, Header, Limits, open, seal},
};
use std::collections::BTreeSet;

pub(super) const BOOT: BootId = BootId([7; 16]);
const START: i64 = 1_000_000_000;

/// What a source showed at a stamp.
type Shown = (Source, WallMicros, BTreeSet<KeyDigest>);

/// A recording.
pub(super) struct Recording {
    differ: Differ,
    encoder: Encoder,
    most: (usize, u64),
    ticks: i64,
    shown: Vec<Shown>,
}

pub(super) fn header() -> Header {
    Header {
        cid: Cid::parse("c").unwrap(),
        run: RunId([1; 16]),
        boot: BOOT,
        seq: BundleSeq(1),
        previous: None,
        zone: ZoneOffset::UTC,
        interval_micros: 1,
        opened_wall: WallMicros(START),
        opened_boot_micros: 0,
        recorder_pids: Vec::new(),
        sources: Vec::new(),
        missing: Vec::new(),
    }
}

fn digests<'a>(facts: impl IntoIterator<Item = &'a Fact>) -> BTreeSet<KeyDigest> {
    facts.into_iter().map(Fact::digest).collect()
}

impl Recording {
    pub(super) fn new(facts: usize, bytes: u64) -> Self {
        let (differ, encoder) = (Differ::keeping(facts, bytes), Encoder::new(&header()));
        let most = (facts, bytes);
        Self { differ, encoder, most, ticks: 0, shown: Vec::new() }
    }

    /// Returns the stamp of a reading.
    pub(super) fn stamp(&self, reading: usize) -> WallMicros {
        self.shown[reading].1
    }

    /// Returns what a reading showed.
    pub(super) fn shown_at(&self, reading: usize) -> &BTreeSet<KeyDigest> {
        &self.shown[reading].2
    }

    pub(super) fn read(&mut self, source: &Source, seen: impl Into<Observation>, stamp: Option<WallMicros>) {
        let seen = seen.into();
        if self.differ.is_full() {
            self.end_bundle();
        }
        self.ticks += 1_000_000;
        let stamp = stamp.unwrap_or(WallMicros(START + self.ticks));
        let bytes: u64 = seen.facts.iter().map(limits::weight).sum();
        let is_within = seen.facts.len() <= self.most.0 && bytes <= self.most.1;
        let within = (seen.extent == Extent::Whole && is_within).then(|| fitted(source, &seen));
        match self.differ.observe(source, stamp, 1, seen) {
            Ok(sample) => {
                let shown = digests(self.differ.shown(source).facts());
                assert!(self.differ.shown(source).count() <= self.most.0);
                assert_eq!(shown.len(), self.differ.shown(source).count());
                if let Some(within) = within {
                    assert_eq!(
                        bare(self.differ.shown(source).facts()),
                        within,
                        "what is within the limits is whole"
                    );
                }
                self.shown.push((source.clone(), stamp, shown));
                self.encoder.push(&Record::Sample(sample));
                self.say();
            }
            Err(error) => self.gap(Gap {
                source: Some(source.clone()),
                severity: Severity::Blind,
                reason: error.to_string(),
                from: stamp,
                to: Some(stamp),
                lost: None,
            }),
        }
    }

    pub(super) fn tell(&mut self, notice: Notice) {
        self.differ.notice(notice).iter().for_each(|record| self.encoder.push(record));
    }

    pub(super) fn gap(&mut self, gap: Gap) {
        if let Some(record) = self.differ.gap(gap) {
            self.encoder.push(&record);
        }
    }

    fn say(&mut self) {
        self.differ.take_gaps().into_iter().for_each(|gap| self.gap(gap));
    }

    pub(super) fn end_bundle(&mut self) {
        let _ = self.end_bundle_with_gaps();
        self.shown.clear();
    }

    /// Ends the bundle, reads it, and compares what it shows with what was seen.
    pub(super) fn end_bundle_with_gaps(&mut self) -> Tracked {
        self.differ.end_bundle().iter().for_each(|record| self.encoder.push(record));
        let mut encoder = std::mem::replace(&mut self.encoder, Encoder::new(&header()));
        self.differ.begin_bundle();
        let sealed = seal(&encoder.flush().unwrap(), true, &Closing::default()).unwrap();
        assert!(sealed.tar.len() as u64 <= limits::TAR.written);
        let bundle = open(&sealed.tar, Limits::default()).unwrap();
        let mut tracker = Tracker::new(RunId([1; 16]), ZoneOffset::UTC);
        let decoder: Decoder<'_> = bundle.records().unwrap();
        for record in decoder {
            tracker.apply(record.unwrap()).unwrap();
        }
        let tracked = tracker.finish();
        for (source, stamp, want) in &self.shown {
            let at = Some(*stamp);
            let seen = tracked.rows.iter().filter(|row| {
                row.fact.source() == *source
                    && row.life.first_seen.is_some()
                    && row.life.first_seen <= at
                    && row.life.last_seen >= at
            });
            let got: Vec<KeyDigest> = seen.map(|row| row.digest).collect();
            assert_eq!(got.len(), want.len(), "no fact is there twice");
            assert_eq!(&got.into_iter().collect::<BTreeSet<_>>(), want, "{source} at {stamp}");
        }
        tracked
    }
}

/// Returns what a whole reading must show.
fn fitted(source: &Source, seen: &Observation) -> BTreeSet<KeyDigest> {
    let mut facts: Vec<Fact> = seen.facts.iter().filter(|fact| fact.source() == *source).cloned().collect();
    facts.retain_mut(limits::fit);
    bare(&facts)
}

/// Returns the digests of facts without the arguments of processes, which may be told later than the rest.
fn bare<'a>(facts: impl IntoIterator<Item = &'a Fact>) -> BTreeSet<KeyDigest> {
    let mut facts: Vec<Fact> = facts.into_iter().cloned().collect();
    for fact in &mut facts {
        if let Fact::Process(process) = fact {
            process.key.arguments = None;
            process.key.marks.arguments_cut = None;
        }
    }
    digests(&facts)
}
