//! Searches: which rows of a kind a reader wants to see, as far as a database can tell by its indexes.
//!
//! A search is exact about times and kinds. What else it narrows by, it need not be: whoever searches tests each row.

use crate::{fact::FactKind, identity::Pid, raw::RawText, time::WallMicros};
use std::{collections::BTreeSet, net::IpAddr};

/// Which rows to read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Search {
    /// Their kind.
    pub kind: FactKind,
    /// Rows that may hold at this time or later; `None`: from the start of the record. A row that ends at a joined border in
    /// which this time lies is handed out, since its fact went on.
    pub from: Option<WallMicros>,
    /// Rows that may hold at this time or earlier; `None`: to the end of the record.
    pub until: Option<WallMicros>,
    /// Which of them.
    pub narrow: Narrow,
}

/// What a database can tell rows apart by. A column that the kind does not have narrows nothing.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum Narrow {
    /// All rows; by the index on time where the search has one.
    #[default]
    All,
    /// Rows of processes with these ids: the process itself, the holder of a file or of an endpoint. By an index.
    Pids(BTreeSet<Pid>),
    /// Files of exactly this path. By an index.
    Path(RawText),
    /// Files whose path begins so. By an index.
    Under(RawText),
    /// Endpoints with one of these addresses at either end. By an index.
    Addresses(BTreeSet<IpAddr>),
    /// Endpoints with one of these ports at either end. There is no index: every row that the times leave is read, in the database.
    Ports(BTreeSet<u16>),
    /// Rows with one of these real or effective user ids, and files whose holder's are not known. There is no index.
    Users(BTreeSet<u32>),
    /// Endpoints held by one of these processes, or whose socket belongs to one of these user ids. There is no index.
    Held(BTreeSet<Pid>, BTreeSet<u32>),
    /// Processes of exactly this name. There is no index.
    Command(RawText),
    /// Processes that run a program of exactly this path, unlinked or not. There is no index.
    Exe(RawText),
    /// Children of these processes. There is no index.
    Parents(BTreeSet<Pid>),
    /// Processes whose files are told with another that has the same descriptor table. There is no index.
    Sharing,
    /// Processes whose executable has this SHA-256, where the row itself has it. There is no index.
    ExeSha256(crate::digest::Sha256),
}

impl Search {
    /// Makes a search for every row of a kind.
    #[must_use]
    pub const fn all(kind: FactKind) -> Self {
        Self { kind, from: None, until: None, narrow: Narrow::All }
    }

    /// Narrows it.
    #[must_use]
    pub fn narrow(self, narrow: Narrow) -> Self {
        Self { narrow, ..self }
    }

    /// Bounds its time.
    #[must_use]
    pub fn within(self, from: Option<WallMicros>, until: Option<WallMicros>) -> Self {
        Self { from, until, ..self }
    }
}
