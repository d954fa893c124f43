//! The vicinity of a bundle: questions to the ledger whose answers do not grow with it.
//!
//! Storing a bundle takes only what lies next to it: the bundles before and after it in its run, and for each of its
//! sources the nearest spans, which may lie further away. A store answers these through indexes, so that a record of
//! years is extended as quickly as a new one.

use super::{StoreError, StoredBundle, Triad, TriadId};
use crate::{
    coverage::PlacedSpan,
    digest::Sha256,
    identity::{BootId, BundleSeq, Cid, RunId},
    source::Source,
    time::WallMicros,
};
use std::collections::HashSet;

/// A run and its place among the others, by the numbers of their first bundles.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RunOrder {
    /// The run.
    pub run: RunId,
    /// The boot in which it took place.
    pub boot: BootId,
    /// Its first bundle that is stored.
    pub first: BundleSeq,
}

/// Asking the ledger about one place in it.
pub trait Vicinity {
    /// Returns those of `bundles` that are stored.
    ///
    /// # Errors
    /// Where the database fails.
    fn stored(&mut self, bundles: &[Sha256]) -> Result<HashSet<Sha256>, StoreError>;

    /// Returns the client that stored bundles name, where one does.
    ///
    /// # Errors
    /// Where the database fails.
    fn owner(&mut self) -> Result<Option<Cid>, StoreError>;

    /// Returns the slice that is open.
    ///
    /// # Errors
    /// Where the database fails.
    fn open_slice(&mut self) -> Result<Option<Triad>, StoreError>;

    /// Returns the latest stamp of any bundle.
    ///
    /// # Errors
    /// Where the database fails.
    fn last_stamp(&mut self) -> Result<Option<WallMicros>, StoreError>;

    /// Returns the stored bundles next to `bundle`, without their gaps: of its run those before and after it by number and by
    /// first stamp, one of its number included, and for each of its sources those that hold the nearest spans, by
    /// first stamp, before and after each of its own.
    ///
    /// # Errors
    /// Where the database fails.
    fn near(&mut self, bundle: &StoredBundle) -> Result<Vec<StoredBundle>, StoreError>;

    /// Returns the first and last stamps of the bundles of a run that begin last at or before `t`, and first after it.
    ///
    /// # Errors
    /// Where the database fails.
    fn beside(&mut self, run: RunId, t: WallMicros) -> Result<Vec<(WallMicros, WallMicros)>, StoreError>;

    /// Returns all runs.
    ///
    /// # Errors
    /// Where the database fails.
    fn runs(&mut self) -> Result<Vec<RunOrder>, StoreError>;

    /// Returns the bundles at both ends of a run, without their gaps: the one with the least number, and for each source that dies
    /// with its boot those that hold its first and its last span.
    ///
    /// # Errors
    /// Where the database fails.
    fn ends(&mut self, run: RunId) -> Result<Vec<StoredBundle>, StoreError>;

    /// Returns the spans of `source`, of all runs, that begin within a time, and of each run the nearest before and after that.
    ///
    /// # Errors
    /// Where the database fails.
    fn spans_within(
        &mut self,
        source: &Source,
        from: WallMicros,
        to: WallMicros,
    ) -> Result<Vec<PlacedSpan>, StoreError>;

    /// Returns all triads, those that do not count included.
    ///
    /// # Errors
    /// Where the database fails.
    fn triads(&mut self) -> Result<Vec<Triad>, StoreError>;

    /// Finds a triad.
    ///
    /// # Errors
    /// Where the database fails.
    fn triad(&mut self, id: TriadId) -> Result<Option<Triad>, StoreError>;
}
