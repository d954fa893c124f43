//! What was found: a fact in all its parts.

use super::Extent;
use pofr_core::{fact::Process, identity::Entity, lifetime::Row, raw::RawText, time::WallMicros};
use serde::{Serialize, Serializer};
use std::sync::Arc;

/// A fact that was found.
#[derive(Clone, Debug, Serialize)]
pub struct Found {
    /// Its rows in the order of time, at least one. Rows that meet at a border where nothing is missing are one here; more than one
    /// there are where gaps split them, or another run began.
    pub parts: Vec<Row>,
    /// What lies between each part and the next: one fewer than parts.
    pub breaks: Vec<Break>,
    /// The process that holds a file or an endpoint, as it was when the fact was first known, where the record has it.
    #[serde(serialize_with = "lent")]
    pub process: Option<Arc<Process>>,
    /// The name of the user of the process, by the client's accounts at that time.
    pub user: Option<RawText>,
    /// Who connected; `None` for what is no endpoint.
    pub direction: Option<Direction>,
    /// The process that satisfies what was asked, where that is not the one in `process`: both have one descriptor table, and its
    /// files are told with the latter.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub shared_by: Option<Entity>,
}

/// Writes a process that several share.
fn lent<S: Serializer>(process: &Option<Arc<Process>>, s: S) -> Result<S::Ok, S::Error> {
    process.as_deref().serialize(s)
}

/// What lies between two parts of a fact.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Break {
    /// The last time at which the part before is known.
    pub from: WallMicros,
    /// The first time at which the part after is known.
    pub to: WallMicros,
    /// Why: the gap's reason.
    pub why: String,
}

/// Who connected.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Direction {
    /// The endpoint waits for others: TCP in LISTEN, UDP without a peer.
    Listening,
    /// The peer connected: the local port is one that the machine listened on while the endpoint lived.
    Inbound,
    /// The machine connected.
    Outbound,
}

impl Found {
    /// Returns from when to when the fact held, over all of its parts.
    #[must_use]
    pub fn extent(&self) -> Extent {
        Extent::of(&self.parts)
    }

    /// Returns the first row.
    ///
    /// # Panics
    /// Never: there is at least one part.
    #[must_use]
    pub fn row(&self) -> &Row {
        self.parts.first().expect("there is at least one part")
    }
}
