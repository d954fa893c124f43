//! Eviction: which bundle goes when the spool is full.
//!
//! A bundle that has at most an eightieth of the spool is a *light* one, any other a *heavy* one. Each kind has a half of the spool
//! for itself, and may use of the other's half what that leaves free. So a flood, whose bundles are heavy, takes at most one half
//! from what was recorded before it, and the newest forty light bundles (half an hour, as bundles are made by default) always
//! have room. Nor can one who floods make the flood itself go first: the newest heavy bundles stay, too. No bundle has more than a
//! sixteenth, so of those there are eight at least.

use super::state::Held;

/// Of how many bundles as large as a light one may be there is room in a spool.
const LIGHT: u64 = 80;
/// The same for the largest.
const HEAVY: u64 = 16;
/// A bundle may have so many bytes in any spool: the first snapshot of a busy machine has to fit in.
const LEAST: u64 = 1 << 20;
/// And no more than so many, since it is put together in memory.
const MOST: u64 = 8 << 20;

/// After how many bytes a bundle is closed, whatever its age, in a spool of `max` bytes.
pub(super) fn largest_bundle(max: Option<u64>) -> u64 {
    max.map_or(MOST, |max| (max / HEAVY).clamp(LEAST, MOST))
}

/// Returns which of `held`, the oldest first, goes so that `more` bytes besides them fit into `max`; `None` where they do, or
/// where only one is left.
pub(super) fn next(held: &[Held], more: u64, max: u64) -> Option<usize> {
    let sum = |is_counted: &dyn Fn(&Held) -> bool| -> u64 {
        held.iter().filter(|held| is_counted(held)).fold(0, |sum, held| sum.saturating_add(held.bytes))
    };
    if held.len() < 2 || sum(&|_| true).saturating_add(more) <= max {
        return None;
    }
    let is_heavy = |held: &Held| held.bytes > max / LIGHT;
    // What is being written is counted as heavy: if it is not, it is little.
    let heavy_goes = sum(&is_heavy).saturating_add(more) > max / 2;
    // The newest stays in any case.
    let older = &held[..held.len() - 1];
    older.iter().position(|held| is_heavy(held) == heavy_goes).or(Some(0))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn held(bytes: &[u64]) -> Vec<Held> {
        let one = |(i, bytes): (usize, &u64)| Held {
            seq: i as u64,
            name: i.to_string(),
            bytes: *bytes,
            span: None,
        };
        bytes.iter().enumerate().map(one).collect()
    }

    /// What is left of these, in a spool of 8,000 bytes: up to 100 are light.
    fn left(bytes: &[u64]) -> Vec<u64> {
        let mut held = held(bytes);
        while let Some(at) = next(&held, 0, 8_000) {
            held.remove(at);
        }
        held.iter().map(|held| held.bytes).collect()
    }

    #[test]
    fn of_one_kind_the_oldest_go_first() {
        assert_eq!(left(&[100; 85]), [100; 80]);
        assert_eq!(left(&[3_000, 3_001, 3_002, 1_500]), [3_001, 3_002, 1_500]);
        assert_eq!(left(&[9_000]), [9_000], "the newest stays, whatever its size");
    }

    #[test]
    fn a_flood_takes_half_of_the_spool_at_most() {
        let flood = [[100; 40].as_slice(), &[500; 40]].concat();
        assert_eq!(left(&flood), [[100; 40].as_slice(), &[500; 8]].concat());
        // While there is little else, it may have more.
        let alone = [[100; 10].as_slice(), &[500; 40]].concat();
        assert_eq!(left(&alone), [[100; 10].as_slice(), &[500; 14]].concat());
    }

    #[test]
    fn after_a_flood_its_newest_minutes_stay_and_so_do_those_after_it() {
        let after = [[100; 40].as_slice(), &[500; 40], &[100; 60]].concat();
        assert_eq!(left(&after), [[500; 8].as_slice(), &[100; 40]].concat());
    }
}
