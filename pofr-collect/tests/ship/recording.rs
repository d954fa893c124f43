//! A recording to be shipped: a real spool, into which bundles are written at will.

use pofr_collect::{HostView, Spool, SpoolSettings};
use pofr_core::{
    Sink as _, Source,
    collector::{Closing, Opening},
    fact::{Custom, Fact},
    identity::RunId,
    raw::RawText,
    record::{Record, Sample},
    time::{WallMicros, ZoneOffset},
};
use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
    time::{Duration, Instant},
};

pub(crate) const RUN: RunId = RunId([7; 16]);

/// Who has not done within this time never will.
const PATIENCE: Duration = Duration::from_secs(60);

pub(crate) struct Recording {
    pub(crate) spool: PathBuf,
    sink: Spool,
    view: HostView,
    stamp: i64,
    seq: u64,
}

impl Recording {
    pub(crate) fn begin(dir: &Path) -> Self {
        let view = HostView::live().unwrap();
        let settings =
            SpoolSettings { state_dir: dir.join("state"), ..SpoolSettings::beside(dir.join("spool")) };
        let sink = Spool::open(&view, settings).unwrap();
        Self { spool: dir.join("spool"), sink, view, stamp: 1_795_434_795_000_000, seq: 0 }
    }

    /// Writes a whole bundle of so many samples.
    pub(crate) fn bundle(&mut self, samples: usize) {
        self.open();
        self.samples(samples);
        self.close();
    }

    pub(crate) fn open(&mut self) {
        self.seq += 1;
        let opening = Opening {
            run: RUN,
            boot: self.view.boot,
            zone: ZoneOffset::UTC,
            interval_micros: 1_000,
            opened_wall: WallMicros(self.stamp),
            opened_boot_micros: self.stamp,
            recorder_pids: Vec::new(),
            sources: vec![Source::parse("test").unwrap()],
        };
        self.sink.begin(&opening).unwrap();
    }

    /// Writes samples, each flushed.
    pub(crate) fn samples(&mut self, count: usize) {
        for _ in 0..count {
            self.stamp += 1_000;
            self.sink.accept(&sample(self.stamp)).unwrap();
            self.tick();
        }
    }

    /// Has written, and looked at, what waits.
    pub(crate) fn tick(&mut self) {
        self.sink.idle(10_000_000).unwrap();
    }

    pub(crate) fn close(&mut self) {
        self.sink.finish(&Closing::default()).unwrap();
    }

    /// The frames of the open bundle.
    pub(crate) fn open_frames(&self) -> Vec<u8> {
        std::fs::read(self.spool.join(format!(".open/{}.frames", self.seq))).unwrap()
    }

    /// How many sealed bundles wait. A recorder looks for acknowledged ones when it writes, so there must be something to write.
    pub(crate) fn waiting(&mut self) -> usize {
        let open = self.spool.join(format!(".open/{}.frames", self.seq));
        if open.exists() {
            self.samples(1);
        }
        self.sink.bundles().count()
    }
}

/// A sample with bytes that do not compress: a linear congruential generator's.
fn sample(stamp: i64) -> Record {
    let source = Source::parse("test").unwrap();
    let mut state = stamp as u64;
    let mut next = || {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (state >> 56) as u8
    };
    let noise: Vec<u8> = (0..1_000).map(|_| next()).collect();
    let attributes = BTreeMap::from([("noise".to_owned(), RawText::from(noise))]);
    let fact = Fact::Custom(Custom { source: source.clone(), name: "x".into(), attributes });
    Record::Sample(Sample {
        source,
        stamp: WallMicros(stamp),
        span_micros: 1,
        keyframe: true,
        removed: Vec::new(),
        lost: Vec::new(),
        learned: Vec::new(),
        added: vec![fact.into()],
    })
}

/// Waits until it is so.
pub(crate) fn until(what: &str, mut is_so: impl FnMut() -> bool) {
    let began = Instant::now();
    while !is_so() {
        assert!(began.elapsed() < PATIENCE, "waited for: {what}");
        std::thread::sleep(Duration::from_millis(5));
    }
}
