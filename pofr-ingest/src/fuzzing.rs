//! The private parsers of what a network says, for the fuzz targets: each with what must hold of it, and some good bytes.
//!
//! No part of the interface: only there with the feature `fuzzing`, and in this crate's own tests.

/// A parser: its name, what must hold of any bytes, good bytes to begin with.
pub type Target = (&'static str, fn(&[u8]), fn() -> Vec<Vec<u8>>);

/// Every one.
pub const TARGETS: [Target; 1] =
    [("dns", crate::enrich::resolver::fuzz, crate::enrich::resolver::fuzz_seeds)];

#[cfg(test)]
mod tests {
    use super::TARGETS;

    #[test]
    fn hostile_bytes_are_answered() {
        for (_, check, seeds) in TARGETS {
            pofr_tests::mutate::attack(18, &seeds(), 20_000, check);
        }
    }
}
