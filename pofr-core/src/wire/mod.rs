//! Bundles: how the record travels from a client to the server.
//!
//! [`name`] reads and writes the names of bundles, which all formats share; [`v1`] reads what the
//! first POFR's clients send.

pub mod name;
pub mod v1;
