//! What the benches share: machines to measure on, the bundles that both clients would make of them, archives of any
//! size, and how much memory a process has used.

mod machine;
pub mod memory;
pub mod synth;
pub mod v1;

pub use machine::{BOOT, Machine, RUN, header, stamp};
