//! How to ingest: what a caller may choose, and what is chosen for one who does not.

use crate::{enrich::Enrich, stop::Stop};
use pofr_core::{time::WallMicros, wire::v2};
use std::time::Duration;

/// How to ingest.
#[derive(Clone, Debug)]
pub struct Options {
    /// How many threads unpack and track; at least 1. With 1, every bundle extends the open slice where it can.
    pub workers: usize,
    /// A slice is sealed when its bundles span so much, µs …
    pub slice_micros: i64,
    /// … or when it has so many file rows.
    pub slice_file_rows: u64,
    /// How much a bundle may hold.
    pub limits: v2::Limits,
    /// How long the half of a v1 snapshot waits for its other half, µs by the server's clock.
    pub half_wait_micros: i64,
    /// The server's clock.
    pub now: fn() -> WallMicros,
    /// How many files one call takes at most, the oldest names first.
    pub most: usize,
    /// When to end early, with what is stored by then.
    pub stop: Stop,
    /// What is added to endpoints.
    pub enrich: Enrich,
    /// How long to wait at the end for names that are still to come.
    pub patience: Duration,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            workers: 1,
            slice_micros: 3_600_000_000,
            slice_file_rows: 130_000,
            limits: v2::Limits::default(),
            half_wait_micros: 600_000_000,
            now: server_clock,
            most: usize::MAX,
            stop: Stop::default(),
            enrich: Enrich::default(),
            patience: Duration::ZERO,
        }
    }
}

/// Reads the server's wall clock.
#[must_use]
pub fn server_clock() -> WallMicros {
    let since = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap_or_default();
    WallMicros(i64::try_from(since.as_micros()).unwrap_or(i64::MAX))
}
