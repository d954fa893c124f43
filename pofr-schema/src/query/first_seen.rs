//! When a program, a path or an address was first seen.

use super::QueryError;
use pofr_core::{
    digest::Sha256, gap::Gap, lifetime::Row, raw::RawText, store::ClientReader, time::WallMicros,
};
use serde::Serialize;
use std::net::IpAddr;

/// What was first seen.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum FirstOf {
    /// A process whose executable has this SHA-256.
    ExeSha256(Sha256),
    /// A file of exactly this path, open or run.
    Path(RawText),
    /// An endpoint whose peer has this address.
    Remote(IpAddr),
}

/// When it was first seen.
#[derive(Clone, Debug, Serialize)]
pub struct First {
    /// When.
    pub at: WallMicros,
    /// Whether an event told the time; else it is the first sample that shows it.
    pub exact: bool,
    /// Whether the record begins there, so that it may have been there before.
    pub cut: bool,
    /// The fact.
    pub row: Row,
    /// The gaps before that, in which it may have been there.
    pub gaps: Vec<Gap>,
}

/// Returns when it was first seen; `None` where it never was.
///
/// # Errors
/// Where the store fails.
pub fn first_seen(reader: &mut dyn ClientReader, of: &FirstOf) -> Result<Option<First>, QueryError> {
    let _ = (reader, of);
    Ok(None)
}
