//! The store's traits: what the server asks of a database, and in what words.
//!
//! Reading and planning are apart from writing: a caller reads what the ledger has next to new bundles ([`Vicinity`]) and the
//! rows at the edges, works out a [`Change`], and [`ClientStore::commit`] carries it out in one transaction or not at all. A
//! store is written by one process at a time ([`ClientStore`] holds the client's lock as long as it lives); any number may
//! read.

mod action;
pub mod chain;
mod change;
mod error;
mod ledger;
mod search;
mod vicinity;

pub use action::{Action, ActionKind};
pub use change::{
    Change, Edge, EdgeRow, Forgetting, PendingHalf, Replacement, RowId, RowUpdate, TableRef, UrlUse,
};
pub use error::StoreError;
pub use ledger::{
    BundleEntry, BundleFormat, ClientEntry, Ledger, Level, StoredBundle, Triad, TriadId, TriadState,
};

pub use search::{Narrow, Search};
pub use vicinity::{RunOrder, Vicinity};

use crate::{
    coverage::Border,
    fact::FactKind,
    gap::Gap,
    identity::{Cid, RunId},
    lifetime::Row,
    source::Source,
    time::{WallMicros, ZoneOffset},
};
use serde::Serialize;
use std::ops::ControlFlow;

/// The rows of one kind that hold at a moment, and how sure that is.
#[derive(Clone, Debug, Default)]
pub struct StateAt {
    /// Facts that held.
    pub certain: Vec<Row>,
    /// Facts that held just before or after, and may have held.
    pub maybe: Vec<Row>,
    /// For each run: whether the moment lies within its record, by source.
    pub record: Vec<RecordAt>,
    /// The time before which everything has been forgotten, where the moment lies before it.
    pub forgotten: Option<WallMicros>,
}

/// Whether there is a record of a source at a moment.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct RecordAt {
    /// The run.
    pub run: RunId,
    /// The source.
    pub source: Source,
    /// Whether the moment lies within a span, or between two that are joined.
    pub covered: bool,
    /// The nearest stamps of that source in that run, at or before and at or after the moment.
    pub nearest: (Option<WallMicros>, Option<WallMicros>),
}

/// All clients' records.
pub trait Store: Send + Sync {
    /// Lists the clients, oldest registration first.
    ///
    /// # Errors
    /// Where the database cannot be read.
    fn clients(&self) -> Result<Vec<ClientEntry>, StoreError>;

    /// Adds a client: the host-lookup row and the database with its tables, both or neither.
    ///
    /// # Errors
    /// [`StoreError::ClientExists`], or where the database refuses.
    fn add_client(&self, client: &ClientEntry) -> Result<(), StoreError>;

    /// Makes a known client's database where it was lost; harmless where it is there.
    ///
    /// # Errors
    /// [`StoreError::NoClient`], or where the database refuses.
    fn restore_client(&self, cid: &Cid) -> Result<(), StoreError>;

    /// Writes down the address that a client last sent from; a client that is not known is none of ours.
    ///
    /// # Errors
    /// Where the database fails.
    fn set_last_ip(&self, cid: &Cid, ip: &str) -> Result<(), StoreError>;

    /// Removes a client and all that is recorded of it, for good: the host-lookup row, then the database.
    ///
    /// # Errors
    /// [`StoreError::NoClient`], [`StoreError::Locked`], or where the database refuses. A row that is gone stays gone: the
    /// database that is left is nobody's, and is taken over when the client is added again.
    fn remove_client(&self, cid: &Cid) -> Result<(), StoreError>;

    /// Opens a client's record for writing: takes its lock, and recovers from whatever was killed when.
    ///
    /// # Errors
    /// [`StoreError::NoClient`], [`StoreError::Locked`], [`StoreError::SchemaVersion`], or where the database fails.
    fn write(&self, cid: &Cid) -> Result<Box<dyn ClientStore>, StoreError>;

    /// Opens a client's record for reading, with the rights to do no more.
    ///
    /// # Errors
    /// [`StoreError::NoClient`], [`StoreError::SchemaVersion`], or where the database fails.
    fn read(&self, cid: &Cid) -> Result<Box<dyn ClientReader>, StoreError>;
}

/// Reading one client's record.
pub trait ClientReader: Send {
    /// Reads the ledger as one consistent state.
    ///
    /// # Errors
    /// Where the database fails.
    fn ledger(&mut self) -> Result<Ledger, StoreError>;

    /// Reads the end of the ledger as one consistent state: of the bundles those that were received from `since` on, or if
    /// there are none those received last; they come without their spans.
    ///
    /// # Errors
    /// Where the database fails.
    fn recent(&mut self, since: WallMicros) -> Result<Ledger, StoreError>;

    /// Returns the rows of `kind` that hold at `t`, over all levels and runs, each fact once per run.
    ///
    /// # Errors
    /// Where the database fails.
    fn state_at(&mut self, kind: FactKind, t: WallMicros) -> Result<StateAt, StoreError>;

    /// Hands out the rows that a search asks for, and maybe some more, of all levels alike: triad by triad in the order of
    /// time, and within a triad by their earliest known times. Rows are read in pages, so memory does not grow with the tables.
    ///
    /// # Errors
    /// Where the database fails.
    fn search(
        &mut self,
        search: &Search,
        each: &mut dyn FnMut(Row) -> ControlFlow<()>,
    ) -> Result<(), StoreError>;

    /// Opens another reader of the same record, on a connection of its own, so that one can look something up while the other hands
    /// out rows.
    ///
    /// # Errors
    /// Where the database fails.
    fn beside(&self) -> Result<Box<dyn ClientReader>, StoreError>;

    /// Returns the border of a source's record in a run whose left stamp is the one that an edge ends at, or whose right stamp
    /// is the one that it begins at; `None` where no span of the run lies on the other side.
    ///
    /// # Errors
    /// Where the database fails.
    fn border(&mut self, run: RunId, source: &Source, edge: Edge) -> Result<Option<Border>, StoreError>;

    /// Returns the gaps of all sources, as [`crate::gap::of`] does for the whole ledger, that touch a time. A gap whose place in
    /// time is not known touches every time behind its begin.
    ///
    /// # Errors
    /// Where the database fails.
    fn gaps(&mut self, from: Option<WallMicros>, until: Option<WallMicros>) -> Result<Vec<Gap>, StoreError>;

    /// Reads up to `limit` rows with a primary key above `after`, in the order of the primary key.
    ///
    /// # Errors
    /// Where the database fails.
    fn page(&mut self, table: TableRef, after: RowId, limit: u32) -> Result<Vec<(RowId, Row)>, StoreError>;

    /// Runs one read-only statement; hands each row to `each` as a JSON object in the order of its columns.
    ///
    /// # Errors
    /// [`StoreError::NotReadOnly`] for anything but one SELECT, SHOW, DESCRIBE, EXPLAIN or WITH; or what the database says.
    fn sql(
        &mut self,
        statement: &str,
        each: &mut dyn FnMut(serde_json::Map<String, serde_json::Value>) -> ControlFlow<()>,
    ) -> Result<(), StoreError>;

    /// Returns the time before which everything has been forgotten; `None` where nothing has.
    ///
    /// # Errors
    /// Where the database fails.
    fn forgotten_before(&mut self) -> Result<Option<WallMicros>, StoreError>;

    /// Returns how many bytes the client's tables take on the store's disk.
    ///
    /// # Errors
    /// Where the database fails.
    fn stored_bytes(&mut self) -> Result<u64, StoreError>;
}

/// Writing one client's record.
pub trait ClientStore: ClientReader + Vicinity {
    /// Makes the tables of a new triad, empty and not yet counting. An open slice's name ends in sixteen nines.
    ///
    /// # Errors
    /// Where the database refuses.
    fn create_triad(
        &mut self,
        level: Level,
        open: bool,
        from: WallMicros,
        to: WallMicros,
        zone: ZoneOffset,
    ) -> Result<TriadId, StoreError>;

    /// Adds rows to a triad that is still [`TriadState::Creating`], outside any transaction of [`Self::commit`].
    ///
    /// # Errors
    /// Where the database refuses, or the triad already counts.
    fn fill(&mut self, table: TableRef, rows: &[Row]) -> Result<(), StoreError>;

    /// Reads the rows at an edge of `source`'s record in `run`.
    ///
    /// # Errors
    /// Where the database fails.
    fn edge_rows(
        &mut self,
        table: TableRef,
        run: RunId,
        source: &Source,
        edge: Edge,
    ) -> Result<Vec<EdgeRow>, StoreError>;

    /// Opens a way to read rows beside this writer, on a connection of its own, so that one thread can read while another writes.
    ///
    /// # Errors
    /// Where the database fails.
    fn row_reader(&mut self) -> Result<Box<dyn RowReader>, StoreError>;

    /// Returns the half snapshots that wait for their other half.
    ///
    /// # Errors
    /// Where the database fails.
    fn pending_halves(&mut self) -> Result<Vec<PendingHalf>, StoreError>;

    /// Carries out `change` in one transaction.
    ///
    /// # Errors
    /// Where the database refuses; then nothing has changed.
    fn commit(&mut self, change: &Change) -> Result<(), StoreError>;
}

/// Reading the rows of triads that count, as long as the writer leaves those triads alone.
pub trait RowReader: Send {
    /// Reads up to `limit` rows with a primary key above `after`, in the order of the primary key.
    ///
    /// # Errors
    /// Where the database fails.
    fn page(&mut self, table: TableRef, after: RowId, limit: u32) -> Result<Vec<(RowId, Row)>, StoreError>;

    /// Returns the primary keys of all rows in the order of [`crate::merge::order`], for a triad that is not `sorted`.
    ///
    /// # Errors
    /// Where the database fails.
    fn sorted_ids(&mut self, table: TableRef) -> Result<Vec<RowId>, StoreError>;

    /// Reads the rows with these primary keys, in the order given.
    ///
    /// # Errors
    /// Where the database fails, or a row is not there.
    fn rows(&mut self, table: TableRef, ids: &[RowId]) -> Result<Vec<Row>, StoreError>;
}
