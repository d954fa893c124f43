//! POFR's model of the record: what a fact is, how long it lived, how two records become one.
//!
//! Pure: bytes in, values out. No file, socket, clock or database is touched here; the sibling
//! crates implement the traits [`Collector`], [`EventSource`], [`Sink`], [`Store`] and [`Transport`].
//!
//! The way of a fact through this crate: a collector reports it ([`fact`]), the recorder's
//! [`diff`] turns snapshots into a stream of [`record`]s, [`wire`] packs those into bundles; on
//! the server [`wire`] unpacks them, [`lifetime::Tracker`] turns the stream into rows with
//! lifetimes, and [`merge`] makes one set of rows of many.
#![forbid(unsafe_code)]

pub mod collector;
pub mod coverage;
pub mod diff;
pub mod digest;
pub mod fact;
pub mod gap;
pub mod identity;
pub mod lifetime;
pub mod limits;
pub mod merge;
pub mod raw;
pub mod record;
pub mod source;
pub mod store;
pub mod time;
pub mod transport;
pub mod wire;

pub use collector::{Collector, EventSource, Sink};
pub use fact::Fact;
pub use source::Source;
pub use store::Store;
pub use transport::Transport;
