//! Queries: what investigators ask of a client's record, and SQL of their own.
//!
//! Every question takes a [`ClientReader`](pofr_core::store::ClientReader) and works over all levels alike. What is found is
//! handed out as it is found, so memory does not grow with the record, and every answer about a span comes with the
//! [gaps](pofr_core::gap::Gap) that the span touches: where there is a gap, nothing found means nothing known.
//!
//! | question | function |
//! |---|---|
//! | which processes, files, endpoints were there | [`find`] |
//! | where does a process come from, what came of it | [`tree`] |
//! | who had an address or a port | [`who_had`] |
//! | who opened a file | [`who_opened`] |
//! | what did a process, a user do; what befell a file, an address | [`timeline`] |
//! | what is different between two times | [`diff`] |
//! | when was a program, a path, an address first seen | [`first_seen`] |
//!
//! See `examples/ask_the_record.rs`.

mod accounts;
mod ancestry;
mod assembly;
mod conditions;
mod diff;
mod error;
mod extent;
mod filter;
mod find;
mod first_seen;
mod found;
mod listeners;
mod plan;
mod processes;
pub(crate) mod read_only;
mod search;
mod sharing;
mod sql;
mod state_at;
mod text_match;
mod timeline;
mod tree;
mod who_had;
mod who_opened;

pub use diff::{Change, Diff, Difference, diff};
pub use error::QueryError;
pub use extent::{Bound, Extent};
pub use filter::{Filter, Subject};
pub use find::find;
pub use first_seen::{First, FirstOf, first_seen};
pub use found::{Break, Direction, Found};
pub use ipnet::IpNet;
pub use text_match::{BadPattern, TextMatch};
pub use timeline::{Happening, Moment, TimelineOf, timeline};
pub use tree::{Node, Parent, Tree, tree};
pub use who_had::{Had, Holder, who_had};
pub use who_opened::{Opened, who_opened};

pub(crate) use search::search;
#[cfg(test)]
pub(crate) use search::{Borders, select_keys};
pub(crate) use sql::sql;
pub(crate) use state_at::state_at;
#[cfg(test)]
pub(crate) use state_at::{cut_at, ended_within, reaching};

use pofr_core::time::WallMicros;

/// A stretch of time, both ends included.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, serde::Serialize)]
pub struct Span {
    /// Its begin; `None`: the start of the record.
    pub from: Option<WallMicros>,
    /// Its end; `None`: the end of the record.
    pub until: Option<WallMicros>,
}

impl Span {
    /// All of the record.
    pub const ALL: Self = Self { from: None, until: None };

    /// One moment.
    #[must_use]
    pub const fn at(t: WallMicros) -> Self {
        Self { from: Some(t), until: Some(t) }
    }

    /// Tells whether a stretch from `earliest` to `latest` has a moment in common with this one.
    #[must_use]
    pub fn touches(&self, earliest: WallMicros, latest: WallMicros) -> bool {
        self.from.is_none_or(|from| latest >= from) && self.until.is_none_or(|until| earliest <= until)
    }
}
