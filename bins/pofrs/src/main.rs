//! POFR.
fn main() {}
