//! Output: tables for people, JSON lines for programs, times in the client's zone.

pub(crate) mod ask;
pub(crate) mod csv;
pub(crate) mod fact;
pub(crate) mod json;
pub(crate) mod number;
pub(crate) mod progress;
pub(crate) mod stream;
pub(crate) mod table;
pub(crate) mod when;
