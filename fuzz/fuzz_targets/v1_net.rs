//! Fuzzes the v1 reader: what is checked is in checks/v1.rs.
#![no_main]

#[path = "../checks/v1.rs"]
#[expect(dead_code, reason = "each target runs one of the checks")]
mod checks;

libfuzzer_sys::fuzz_target!(|data: &[u8]| checks::net(data));
