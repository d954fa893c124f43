//! Fuzzes the v1 reader: what is checked is in checks/v1.rs.
#![no_main]

#[path = "../checks/v1.rs"]
mod checks;

libfuzzer_sys::fuzz_target!(|data: &[u8]| checks::tar(data));
