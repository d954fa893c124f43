//! Changes: what is to happen to a client's record, planned before anything is written.

use super::{Action, StoredBundle, TriadId};
use crate::{
    digest::{KeyDigest, Sha256},
    fact::{Fact, FactKind, Known},
    identity::{Entity, RunId},
    lifetime::{Lifetime, Row},
    raw::RawText,
    time::{WallMicros, ZoneOffset},
};
use std::net::IpAddr;

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
    /// Which of its details are known.
    pub known: Known,
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
    /// The new triad, still [`Creating`](super::TriadState::Creating), with all its rows; it becomes live and gets all their
    /// bundles.
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

/// What forgetting takes out of the record.
#[derive(Clone, Debug, Default)]
pub struct Forgetting {
    /// Bundles of which nothing but their entries in the ledger stays, in [`TriadId::NONE`].
    pub bundles: Vec<Sha256>,
    /// Triads that take the place of one each, with the rows that stay.
    pub replace: Vec<Replacement>,
    /// Triads of which nothing stays.
    pub drop: Vec<TriadId>,
    /// Of which runs URLs go, and before what time; all of a run where there is none.
    pub urls: Vec<(RunId, Option<WallMicros>)>,
    /// URLs of processes that stay, with the time at which they now begin: where they would go, they become these.
    pub urls_stay: Vec<UrlUse>,
}

/// A URL among a process's arguments: a row of urlinfo. A process has each URL once, with the earliest time that is known.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UrlUse {
    /// The run.
    pub run: RunId,
    /// The process.
    pub entity: Entity,
    /// When it was first known to have it.
    pub at: WallMicros,
    /// The client's zone then.
    pub zone: ZoneOffset,
    /// The URL.
    pub url: RawText,
    /// Who ran the process: the name that the client's accounts have for its real user id, else the number, `?` where the id is
    /// not known.
    pub user: RawText,
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
    /// The record begins anew: before anything else of this change, all triads that count become dead, and all bundles, halves
    /// and rows without triads go. Runs, boots and actions stay.
    pub anew: bool,
    /// What is to be forgotten.
    pub forget: Option<Forgetting>,
    /// What is to be said of this change in the account of what was done.
    pub actions: Vec<Action>,
    /// Names of addresses, for endpoints of the latest slices that have none yet; what lies further back may have had another.
    pub named: Vec<(IpAddr, RawText)>,
    /// URLs that processes were given; see [`UrlUse`].
    pub urls: Vec<UrlUse>,
    /// Half snapshots to keep for later.
    pub keep_halves: Vec<PendingHalf>,
    /// Half snapshots that found their other half, by stamp, or were given up.
    pub drop_halves: Vec<(WallMicros, bool)>,
}
