//! A recording to be shipped: a real spool, into which bundles are written at will.

use crate::spooled::{opening, sample, view};
use pofr_collect::{Spool, SpoolSettings};
use pofr_core::{Sink as _, collector::Closing};
use std::{
    path::{Path, PathBuf},
    time::{Duration, Instant},
};

/// Who has not done within this time never will.
const PATIENCE: Duration = Duration::from_secs(60);

pub(crate) struct Recording {
    pub(crate) spool: PathBuf,
    sink: Spool,
    stamp: i64,
    seq: u64,
}

impl Recording {
    pub(crate) fn begin(dir: &Path) -> Self {
        let settings =
            SpoolSettings { state_dir: dir.join("state"), ..SpoolSettings::beside(dir.join("spool")) };
        let sink = Spool::open(&view(), settings).unwrap();
        Self { spool: dir.join("spool"), sink, stamp: 1_795_434_795_000_000, seq: 0 }
    }

    /// Writes a whole bundle of so many samples.
    pub(crate) fn bundle(&mut self, samples: usize) {
        self.open();
        self.samples(samples);
        self.close();
    }

    pub(crate) fn open(&mut self) {
        self.seq += 1;
        self.sink.begin(&opening(self.stamp)).unwrap();
    }

    /// Writes samples, each flushed.
    pub(crate) fn samples(&mut self, count: usize) {
        for _ in 0..count {
            self.stamp += 1_000;
            self.sink.accept(&sample(self.stamp, 1_000)).unwrap();
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

/// Waits until it is so.
pub(crate) fn until(what: &str, mut is_so: impl FnMut() -> bool) {
    let began = Instant::now();
    while !is_so() {
        assert!(began.elapsed() < PATIENCE, "waited for: {what}");
        std::thread::sleep(Duration::from_millis(5));
    }
}
