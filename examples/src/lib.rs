//! How to use POFR's crates in programs of one's own. Each example is a file beside this crate's `Cargo.toml`:
//!
//! - `embed_recorder`: records the machine inside a program, and does something else with the record than sending it;
//! - `custom_collector`: adds a collector of one's own, whose facts travel with the built-in ones;
//! - `diff_snapshots`: takes two snapshots and tells what is between them;
//! - `ask_the_record`: asks a store who wrote below a directory, and where the recorder was blind.
//!
//! Run one with `cargo run -p pofr-examples --example embed_recorder`; `cargo test -p pofr-examples` runs them all.
