//! What a recording came to.

use pofr_core::{Source, collector::Audit, diff::Shown, time::WallMicros};
use std::collections::BTreeMap;

/// Counts of one recording.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Summary {
    /// Runs: one, and one more for every step of the wall clock.
    pub runs: u64,
    /// Ticks at which the machine was read.
    pub ticks: u64,
    /// Ticks that were skipped because the ones before took too long.
    pub skipped: u64,
    /// Readings of single sources.
    pub samples: u64,
    /// Facts shown in all of them together.
    pub facts: u64,
    /// Facts of each source at its last reading.
    pub last: BTreeMap<Source, u64>,
    /// Bundles finished.
    pub bundles: u64,
    /// Gaps stated.
    pub gaps: u64,
    /// Processes whose open files were denied to us, at the last reading.
    pub denied: u64,
    /// What event sources lost, by name.
    pub losses: BTreeMap<String, u64>,
    /// What the samplers' audits found.
    pub audits: BTreeMap<Source, Audit>,
    /// How samplers and event sources work that do not work as usual, by name, when the last bundle began.
    pub notes: BTreeMap<String, String>,
    /// The first and the last stamp, each on its run's clock.
    pub span: Option<(WallMicros, WallMicros)>,
}

impl Summary {
    pub(super) fn saw(&mut self, source: &Source, shown: Shown<'_>) {
        self.samples += 1;
        let facts = shown.count() as u64;
        self.facts += facts;
        self.last.insert(source.clone(), facts);
        if *source == Source::Process {
            self.denied = shown.veiled() as u64;
        }
    }

    pub(super) fn tick(&mut self, stamp: WallMicros) {
        self.ticks += 1;
        self.span = Some((self.span.map_or(stamp, |(first, _)| first), stamp));
    }
}
