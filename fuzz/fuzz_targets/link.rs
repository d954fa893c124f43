//! Fuzzes the link's frames: what is checked is in checks/link.rs.
#![no_main]

#[path = "../checks/link.rs"]
mod checks;

libfuzzer_sys::fuzz_target!(|data: &[u8]| checks::frames(data));
