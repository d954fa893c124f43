//! Fuzzes the v2 reader: what is checked is in checks/v2.rs.
#![no_main]

#[path = "../checks/v2.rs"]
#[expect(dead_code, reason = "each target runs one of the checks")]
mod checks;

libfuzzer_sys::fuzz_target!(|data: &[u8]| checks::bundle(data));
