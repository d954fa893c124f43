//! What the spool holds, for whoever asks how the recording goes.

use super::{Spool, open_bytes};
use pofr_core::identity::BundleSeq;

/// What is in a spool.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct SpoolStatus {
    /// Sealed bundles that wait.
    pub bundles: u64,
    /// Their bytes.
    pub bytes: u64,
    /// Bytes of the open bundle that are written.
    pub open_bytes: u64,
    /// Bundles that were dropped since the spool was opened, because it was full.
    pub dropped: u64,
    /// The bundle that was sealed last, whether it still waits or not.
    pub last: Option<LastBundle>,
}

/// The bundle that was sealed last.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LastBundle {
    /// Its number.
    pub seq: BundleSeq,
    /// Its file name, which begins with its first stamp.
    pub name: String,
    /// Its bytes; `None` where it does not wait any more.
    pub bytes: Option<u64>,
}

impl Spool {
    /// Returns what the spool holds.
    #[must_use]
    pub fn status(&self) -> SpoolStatus {
        let held = &self.state.held;
        SpoolStatus {
            bundles: held.len() as u64,
            bytes: held.iter().map(|held| held.bytes).sum(),
            open_bytes: open_bytes(self.open.as_ref()),
            dropped: self.dropped,
            last: self.state.head.as_ref().map(|head| LastBundle {
                seq: BundleSeq(head.seq),
                name: head.name.clone(),
                bytes: held.iter().find(|held| held.seq == head.seq).map(|held| held.bytes),
            }),
        }
    }
}
