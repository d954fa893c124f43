//! The v1 reader against real bundles of the first POFR, against their truth, and against hostile bytes.
#![expect(clippy::unwrap_used, reason = "what a test cannot go on without ends it")]

#[path = "../../../fuzz/checks/v1.rs"]
mod checks;
mod fixture;
mod golden;
mod hostile;
mod naive;
mod oddities;
mod reader;
mod tars;
mod truth;
