//! Dice: randomness that can be rolled again.

use std::time::{SystemTime, UNIX_EPOCH};

/// splitmix64 (Steele, Lea, Flood 2014): enough randomness for when to kill.
#[derive(Debug)]
pub struct Dice(u64);

impl Dice {
    /// Makes dice that fall the same way for the same seed.
    #[must_use]
    pub fn new(seed: u64) -> Self {
        Self(seed)
    }

    /// Takes the seed from the environment variable `POFR_SEED`, else from the clock, and prints it.
    ///
    /// # Panics
    /// Where the variable is no number.
    #[must_use]
    pub fn from_env() -> Self {
        let seed = number("POFR_SEED", || {
            SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |t| t.subsec_nanos().into())
        });
        println!("POFR_SEED={seed}");
        Self(seed)
    }

    /// Returns a number from 0 to `below` − 1.
    pub fn roll(&mut self, below: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (z ^ (z >> 31)) % below.max(1)
    }
}

/// Reads a number from the environment.
///
/// # Panics
/// Where it is none.
#[must_use]
pub fn number(name: &str, default: impl FnOnce() -> u64) -> u64 {
    std::env::var(name).map_or_else(|_| default(), |n| n.parse().unwrap())
}
