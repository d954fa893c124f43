//! The store's traits: what the server asks of a database, and in what words.
//!
//! Reading and planning are apart from writing: a caller reads the [`Ledger`] and the rows at the
//! edges, works out a [`Change`], and [`ClientStore::commit`] carries it out in one transaction or not at all.
//! A store is written by one process at a time ([`ClientStore`] holds the client's lock as long as it lives);
//! any number may read.

use crate::{
    coverage::{PlacedSpan, Span, Succession},
    digest::{KeyDigest, Sha256},
    fact::{Fact, FactKind},
    gap::Gap,
    identity::{BootId, BundleSeq, Cid, RunId},
    lifetime::{Lifetime, Row},
    source::Source,
    time::{WallMicros, ZoneOffset},
};
use serde::Serialize;

/// What a store answers where it cannot do what was asked.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum StoreError {
    /// There is no such client.
    #[error("no client {0}")]
    NoClient(String),
    /// The client is known already.
    #[error("client {0} exists already")]
    ClientExists(Cid),
    /// Another process writes to this client's record.
    #[error("the record of client {0} is being written by another pofrs")]
    Locked(Cid),
    /// The store was made by a newer or older program.
    #[error("database {database} has schema version {found}, this program knows {known}")]
    SchemaVersion {
        /// Which database.
        database: String,
        /// What it has.
        found: i64,
        /// What we have.
        known: i64,
    },
    /// A statement that does more than read, where only reading is allowed.
    #[error("only one SELECT may be run here: {0}")]
    NotReadOnly(String),
    /// What the database holds makes no sense.
    #[error("table {table} holds what cannot be: {detail}")]
    Corrupt {
        /// The table.
        table: String,
        /// What is wrong.
        detail: String,
    },
    /// The database refused or failed.
    #[error("cannot {action}: {cause}")]
    Database {
        /// What was being done, with the table or file named.
        action: String,
        /// What the database said.
        cause: Box<dyn std::error::Error + Send + Sync>,
    },
}

/// A client as the host-lookup table has it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct ClientEntry {
    /// The id.
    pub cid: Cid,
    /// The machine's UUID, or as much of the id as stands for it; at most 36 characters.
    pub uuid: String,
    /// The account on the server: 32 hex digits.
    pub ciduser: String,
    /// The address that it last sent from.
    pub last_ip: Option<String>,
    /// When it was registered.
    pub registered: WallMicros,
}

/// How far rows have been merged.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Level {
    /// Level 1: up to an hour of bundles.
    Slice,
    /// Level 2: slices, stitched.
    Archive,
    /// Level 3: archives, stitched.
    Period,
}

/// Where a triad stands on its way in and out of the store.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum TriadState {
    /// Its tables may exist, in part or in whole; nothing in them counts. Recovery drops it.
    Creating,
    /// It counts.
    Live,
    /// Another has replaced it; readers that began before may still read. Dropped one run later.
    Dead,
}

/// Names a triad within its client.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize)]
#[serde(transparent)]
pub struct TriadId(pub i64);

/// A triad as the ledger has it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Triad {
    /// Its id.
    pub id: TriadId,
    /// How far merged.
    pub level: Level,
    /// Where it stands.
    pub state: TriadState,
    /// Whether bundles may still extend it in place (slices only).
    pub open: bool,
    /// The names of its tables: processes, files, endpoints.
    pub tables: [String; 3],
    /// The first stamp of all its bundles.
    pub from: WallMicros,
    /// The last stamp of all its bundles.
    pub to: WallMicros,
    /// The client's zone at `from`, which names archives and periods.
    pub zone: ZoneOffset,
    /// Rows in each table.
    pub rows: [u64; 3],
    /// Whether its tables are in [`crate::merge::order`] by their primary keys.
    pub sorted: bool,
}

/// Which format a bundle came in.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum BundleFormat {
    /// The first POFR's: gzip snapshots.
    V1,
    /// Ours: a keyframe, deltas, events.
    V2,
}

/// A bundle as the ledger has it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct BundleEntry {
    /// The client that it says it is of; v1 does not say. All bundles of one record name the same.
    pub cid: Option<Cid>,
    /// The SHA-256 of the whole tar: what makes it this bundle.
    pub sha256: Sha256,
    /// The name it came with.
    pub name: String,
    /// The format.
    pub format: BundleFormat,
    /// Its number in the chain; for v1 the stamp of its name.
    pub seq: BundleSeq,
    /// The SHA-256 of the bundle before it, where the client had one.
    pub previous: Option<Sha256>,
    /// The run.
    pub run: RunId,
    /// The boot; [`BootId::UNKNOWN`] for v1.
    pub boot: BootId,
    /// The client's zone.
    pub zone: ZoneOffset,
    /// The first stamp.
    pub first: WallMicros,
    /// The last stamp.
    pub last: WallMicros,
    /// The time between samples that the client aimed at, µs.
    pub interval_micros: u64,
    /// How many samples it holds.
    pub samples: u64,
    /// How many records were left out because nothing could be made of them (v1: pid-only).
    pub left_out: u64,
    /// Whether the client sealed it; else it was cut off and says so.
    pub complete: bool,
    /// When this server took it in, by this server's clock.
    pub received: WallMicros,
}

impl BundleFormat {
    /// Tells how bundles of this format and pace follow each other: v1 has no numbers, and a silence of more
    /// than five intervals (at least two seconds) is a gap.
    #[must_use]
    pub fn succession(self, interval_micros: u64) -> Succession {
        match self {
            Self::V1 => Succession::Within(
                i64::try_from(interval_micros).unwrap_or(i64::MAX).saturating_mul(5).max(2_000_000),
            ),
            Self::V2 => Succession::Numbered,
        }
    }
}

impl BundleEntry {
    /// Tells how this bundle is followed, see [`BundleFormat::succession`].
    #[must_use]
    pub fn succession(&self) -> Succession {
        self.format.succession(self.interval_micros)
    }
}

/// A bundle with all that the ledger keeps of it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct StoredBundle {
    /// The bundle.
    pub entry: BundleEntry,
    /// For which stretches it has samples.
    pub spans: Vec<Span>,
    /// What it says is missing.
    pub gaps: Vec<Gap>,
    /// The triad that holds its rows.
    pub triad: TriadId,
}

/// The truth about what is stored.
#[derive(Clone, Debug, Default, Serialize)]
pub struct Ledger {
    /// Goes up by one with every change of the set of triads.
    pub generation: i64,
    /// All bundles, by run and number.
    pub bundles: Vec<StoredBundle>,
    /// All triads, dead and half-made ones included.
    pub triads: Vec<Triad>,
}

impl Ledger {
    /// Returns every span, labelled with its triad's id, for [`crate::coverage::Coverage`].
    #[must_use]
    pub fn spans(&self) -> Vec<PlacedSpan> {
        self.bundles.iter().flat_map(StoredBundle::placed_spans).collect()
    }

    /// Returns the triads that count.
    pub fn live(&self) -> impl Iterator<Item = &Triad> {
        self.triads.iter().filter(|t| t.state == TriadState::Live)
    }
}

impl StoredBundle {
    /// Returns this bundle's spans, labelled with its triad's id.
    pub fn placed_spans(&self) -> impl Iterator<Item = PlacedSpan> + '_ {
        self.spans.iter().map(|span| PlacedSpan {
            run: self.entry.run,
            boot: self.entry.boot,
            seq: self.entry.seq,
            succession: self.entry.succession(),
            group: self.triad.0,
            span: span.clone(),
        })
    }
}

/// A table of rows: one of a triad, or the one table of a kind that has no triads.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct TableRef {
    /// The triad; `None` exactly where the kind is not [`FactKind::in_triad`].
    pub triad: Option<TriadId>,
    /// The kind.
    pub kind: FactKind,
}

/// A row's primary key within its table.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct RowId(pub i64);

/// As much of a stored row as stitching at an edge needs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EdgeRow {
    /// Which row.
    pub id: RowId,
    /// The digest of its key.
    pub digest: KeyDigest,
    /// Its lifetime, with `last_seen` filled in where an open slice leaves it to the ledger.
    pub life: Lifetime,
}

/// Which rows to fetch at an edge.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Edge {
    /// Rows with `cut_right` whose [`Lifetime::right_edge`] is this stamp.
    EndingAt(WallMicros),
    /// Rows with `cut_left` whose `first_seen` is this stamp.
    BeginningAt(WallMicros),
}

/// A stored row's new lifetime.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RowUpdate {
    /// Which table.
    pub table: TableRef,
    /// Which row.
    pub id: RowId,
    /// The lifetime from now on, all of it.
    pub life: Lifetime,
    /// The same fact with details to fill in where the row has none.
    pub learned: Option<Fact>,
}

/// A triad that takes the place of others.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Replacement {
    /// The new triad, still [`TriadState::Creating`], with all its rows; it becomes live and gets all their bundles.
    pub new: TriadId,
    /// The old ones; they become dead.
    pub old: Vec<TriadId>,
}

/// One half of a v1 snapshot whose other half has not come yet.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PendingHalf {
    /// The snapshot's stamp.
    pub stamp: WallMicros,
    /// Whether this is the process half, else the network half.
    pub is_proc: bool,
    /// The zone of its name.
    pub zone: ZoneOffset,
    /// The text, not compressed.
    pub text: Vec<u8>,
    /// The tar that it came in.
    pub bundle: Sha256,
    /// When this server took it in.
    pub received: WallMicros,
}

/// What is to happen to a client's record, all of it or nothing.
#[derive(Clone, Debug, Default)]
pub struct Change {
    /// Bundles that the ledger gets; a `sha256` that it has already is an error.
    pub bundles: Vec<StoredBundle>,
    /// Rows to add.
    pub insert: Vec<(TableRef, Vec<Row>)>,
    /// Rows to change.
    pub update: Vec<RowUpdate>,
    /// Rows to remove, because an updated one has taken them in.
    pub delete: Vec<(TableRef, RowId)>,
    /// Triads that were filled while `Creating` or are filled by `insert` and count from now on. Their spans, row counts and
    /// `from`/`to` come from the ledger's bundles and the tables.
    pub make_live: Vec<TriadId>,
    /// Open slices that no bundle will extend any more: their tables get their final names.
    pub seal: Vec<TriadId>,
    /// A triad that takes the place of others.
    pub replace: Option<Replacement>,
    /// Half snapshots to keep for later.
    pub keep_halves: Vec<PendingHalf>,
    /// Half snapshots that found their other half, by stamp, or were given up.
    pub drop_halves: Vec<(WallMicros, bool)>,
}

/// The rows of one kind that hold at a moment, and how sure that is.
#[derive(Clone, Debug, Default)]
pub struct StateAt {
    /// Facts that held.
    pub certain: Vec<Row>,
    /// Facts that held just before or after, and may have held.
    pub maybe: Vec<Row>,
    /// For each run: whether the moment lies within its record, by source.
    pub record: Vec<RecordAt>,
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

    /// Returns the rows of `kind` that hold at `t`, over all levels and runs, each fact once per run.
    ///
    /// # Errors
    /// Where the database fails.
    fn state_at(&mut self, kind: FactKind, t: WallMicros) -> Result<StateAt, StoreError>;

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
        each: &mut dyn FnMut(serde_json::Map<String, serde_json::Value>) -> std::ops::ControlFlow<()>,
    ) -> Result<(), StoreError>;

    /// Returns how many bytes the client's tables take on the store's disk.
    ///
    /// # Errors
    /// Where the database fails.
    fn stored_bytes(&mut self) -> Result<u64, StoreError>;
}

/// Writing one client's record.
pub trait ClientStore: ClientReader {
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
