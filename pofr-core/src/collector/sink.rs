//! What takes the record: bundle by bundle, record by record.

use super::Audit;
use crate::{
    gap::Gap,
    identity::{BootId, Pid, RunId},
    record::Record,
    source::Source,
    time::{WallMicros, ZoneOffset},
};
use std::collections::BTreeMap;

/// What is known of a bundle only when it ends.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Closing {
    /// What each event source lost, by its name.
    pub losses: BTreeMap<String, u64>,
    /// What each sampler's audit found, by the source's name.
    pub audits: BTreeMap<String, Audit>,
    /// How samplers and event sources work that do not work as usual, by name.
    pub notes: BTreeMap<String, String>,
}

/// What the recorder knows of a bundle that it begins.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Opening {
    /// The run.
    pub run: RunId,
    /// The boot.
    pub boot: BootId,
    /// The zone's offset at the opening.
    pub zone: ZoneOffset,
    /// The interval between samples, µs.
    pub interval_micros: u64,
    /// When the bundle was opened, on the run's clock: the stamp of its first sample.
    pub opened_wall: WallMicros,
    /// The same moment on `CLOCK_BOOTTIME`, µs.
    pub opened_boot_micros: i64,
    /// The processes that the recorder leaves out: itself and what it started.
    pub recorder_pids: Vec<Pid>,
    /// The sources that are sampled.
    pub sources: Vec<Source>,
}

/// What takes the record: the spool, a test, a program that embeds the recorder.
///
/// The recorder calls [`begin`](Self::begin), then [`accept`](Self::accept) for each record, then
/// [`finish`](Self::finish), and so on for every bundle. A sink that does not care for bundles implements `accept` alone.
pub trait Sink: Send {
    /// What can go wrong.
    type Error: std::error::Error + Send + Sync + 'static;

    /// Begins a bundle. Returns the gaps that the sink knows of, which the recorder writes first: the
    /// time since the last recorder ended, bundles that had to be dropped.
    ///
    /// # Errors
    /// Where no bundle could be begun.
    fn begin(&mut self, opening: &Opening) -> Result<Vec<Gap>, Self::Error> {
        let _ = opening;
        Ok(Vec::new())
    }

    /// Learns that nothing more will come for `micros`: time to write down what would else wait too long.
    ///
    /// # Errors
    /// Where what waits could not be kept.
    fn idle(&mut self, micros: u64) -> Result<(), Self::Error> {
        let _ = micros;
        Ok(())
    }

    /// Tells whether the open bundle is as large as it may become, whatever its age.
    fn is_full(&self) -> bool {
        false
    }

    /// Ends the open bundle.
    ///
    /// # Errors
    /// Where the bundle could not be kept.
    fn finish(&mut self, closing: &Closing) -> Result<(), Self::Error> {
        let _ = closing;
        Ok(())
    }

    /// Takes the next record of the open bundle.
    ///
    /// # Errors
    /// Where the record could not be kept.
    fn accept(&mut self, record: &Record) -> Result<(), Self::Error>;
}
