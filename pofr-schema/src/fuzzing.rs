//! The guard before an investigator's SQL, for the fuzz targets: with what must hold of it, and some statements.
//!
//! No part of the interface: only there with the feature `fuzzing`, and in this crate's own tests.

/// A parser: its name, what must hold of any bytes, good bytes to begin with.
pub type Target = (&'static str, fn(&[u8]), fn() -> Vec<Vec<u8>>);

/// Every one.
pub const TARGETS: [Target; 1] =
    [("sql", crate::query::read_only::fuzz, crate::query::read_only::fuzz_seeds)];

#[cfg(test)]
mod tests {
    use super::TARGETS;

    #[test]
    fn hostile_statements_change_nothing() {
        for (_, check, seeds) in TARGETS {
            pofr_tests::mutate::attack(18, &seeds(), 10_000, check);
        }
    }
}
