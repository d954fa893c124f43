//! Gaps: spans in which less is known than usual, and why. Nothing is missing without one.
//!
//! Most are stated by the bundle that has them; what follows from the ledger alone is [`derived`].

mod derive;

pub use derive::{derived, of, of_part};

use crate::{source::Source, time::WallMicros};
use serde::Serialize;

/// How much a gap hides.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Severity {
    /// Nothing is known: cuts every fact of its source.
    Blind,
    /// Less is known than usual: cuts nothing.
    Thin,
}

/// A span in which a source was blind or thin.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize)]
pub struct Gap {
    /// The source; `None` means all of them.
    pub source: Option<Source>,
    /// How much is hidden.
    pub severity: Severity,
    /// Why, in words for a person; at most 1,000 bytes.
    pub reason: String,
    /// The last time at which the source was whole.
    pub from: WallMicros,
    /// The time at which it was whole again; `None` where that is not known.
    pub to: Option<WallMicros>,
    /// How many events or samples are known to be lost; `None` where that cannot be counted.
    pub lost: Option<u64>,
}
