//! What an observer learns when a tick is over.

use super::Summary;
use pofr_core::time::WallMicros;

/// A tick that is over, and how the recording goes.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Tick<'a> {
    /// Its stamp.
    pub stamp: WallMicros,
    /// The time to the next, µs: longer than what was asked for where that would cost too much.
    pub interval_micros: u64,
    /// Why it is longer, where it is.
    pub over_budget: Option<String>,
    /// What the recording came to so far.
    pub summary: &'a Summary,
}
