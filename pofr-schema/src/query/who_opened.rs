//! Who opened a file.

use super::{Filter, Found, QueryError, Span, Subject, ancestry::Ancestry, find};
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
    let mut beside = reader.beside()?;
    let mut ancestry = Ancestry::default();
    let mut failed = None;
    let gaps = find(reader, Subject::Files, filter, span, &mut |found| {
        let begin = found.row().life.position();
        let ancestors = match &found.process {
            Some(process) => ancestry.ancestors(beside.as_mut(), process, begin),
            None => Ok(Vec::new()),
        };
        match ancestors {
            Ok(ancestors) => each(Opened { found, ancestors }),
            Err(error) => {
                failed = Some(error);
                ControlFlow::Break(())
            }
        }
    })?;
    failed.map_or(Ok(gaps), Err)
}
