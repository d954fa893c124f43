//! The laws of the record, on machines that never were: whatever is sampled, lost, restarted, sliced and reordered.

mod diffing;
mod merging;
mod oracle;
mod world;
