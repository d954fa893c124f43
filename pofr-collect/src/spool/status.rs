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
    /// How many bytes of bundles are kept at most; `None` for any number.
    pub max_bytes: Option<u64>,
    /// Bytes of the open bundle.
    pub open_bytes: u64,
    /// Bundles that were dropped since the spool was opened, because it was full, or there was no room for them.
    pub dropped: u64,
    /// Bytes that are held in memory because there is no room for them.
    pub bytes_in_memory: u64,
    /// Why there is none, where that is so.
    pub no_room: Option<String>,
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
    /// Tells whether there is no room just now.
    #[must_use]
    pub const fn has_no_room(&self) -> bool {
        self.trouble.is_some()
    }

    /// Returns what the spool holds.
    #[must_use]
    pub fn status(&self) -> SpoolStatus {
        let held = &self.state.held;
        SpoolStatus {
            bundles: held.len() as u64,
            bytes: held.iter().map(|held| held.bytes).sum(),
            max_bytes: self.max,
            open_bytes: open_bytes(self.open.as_ref()),
            dropped: self.dropped,
            bytes_in_memory: self.trouble.as_ref().map_or(0, |_| self.bytes_in_memory()),
            no_room: self.trouble.as_ref().map(|trouble| trouble.what.clone()),
            last: self.state.head.as_ref().map(|head| LastBundle {
                seq: BundleSeq(head.seq),
                name: head.name.clone(),
                bytes: held.iter().find(|held| held.seq == head.seq).map(|held| held.bytes),
            }),
        }
    }
}
