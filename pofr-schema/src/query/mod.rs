//! Queries: the state at a moment, and SQL of the investigator's own.

mod read_only;
mod sql;
mod state_at;

pub(crate) use sql::sql;
pub(crate) use state_at::state_at;
#[cfg(test)]
pub(crate) use state_at::{cut_at, ended_within, reaching};
