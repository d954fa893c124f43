//! The laws of the record, on machines that never were: whatever is sampled, lost, restarted, sliced and reordered.

#![expect(clippy::unwrap_used, reason = "a test that unwraps nothing fails, as it should")]

mod diffing;
mod limits;
mod merging;
