//! Which triads become one.
//!
//! ```text
//! slices    [-a-][-b-][-c-][-d-][-e-]    a to c are as much as memory is to hold
//! archives  [------1------][----2----]
//! ```

use pofr_core::store::{Level, Triad, TriadId};
use std::collections::HashSet;

/// Returns what becomes of `slices`, each of `live` with those that it is to take in: triads of one new triad, and its level.
/// Memory is to hold `sort_rows` of a kind.
///
/// A slice goes to the archive or period whose time it lies in, if there is one. Where more has come for that than memory is to
/// hold, it is archived like any other, and the next period takes all of it in: merged a part at a time, what is there would be
/// written anew for each.
pub(super) fn archives(mut slices: Vec<Triad>, live: Vec<Triad>, sort_rows: u64) -> Vec<(Level, Vec<Triad>)> {
    let mut jobs = Vec::new();
    for whole in live.into_iter().filter(|t| t.level != Level::Slice) {
        // Where two merged triads overlap (two runs claim one time), the first takes it.
        let late: Vec<Triad> =
            slices.iter().filter(|s| whole.from <= s.from && s.to <= whole.to).cloned().collect();
        if late.is_empty() || rows(&late).into_iter().any(|rows| rows > sort_rows) {
            continue;
        }
        let taken: HashSet<TriadId> = late.iter().map(|s| s.id).collect();
        slices.retain(|s| !taken.contains(&s.id));
        let level = whole.level;
        jobs.push((level, [late, vec![whole]].concat()));
    }
    slices.sort_by_key(|s| (s.from, s.id));
    jobs.extend(parts(slices, sort_rows).into_iter().map(|part| (Level::Archive, part)));
    jobs
}

/// Cuts slices into parts of no more rows of a kind than memory is to hold, or of one slice.
fn parts(slices: Vec<Triad>, sort_rows: u64) -> Vec<Vec<Triad>> {
    let mut parts: Vec<Vec<Triad>> = Vec::new();
    let mut held = [0; 3];
    for slice in slices {
        let with: [u64; 3] = std::array::from_fn(|kind| slice.rows[kind].saturating_add(held[kind]));
        match parts.last_mut() {
            Some(part) if with.iter().all(|rows| *rows <= sort_rows) => {
                held = with;
                part.push(slice);
            }
            _ => {
                held = slice.rows;
                parts.push(vec![slice]);
            }
        }
    }
    parts
}

/// Returns how many rows of each kind triads have.
fn rows(triads: &[Triad]) -> [u64; 3] {
    std::array::from_fn(|kind| triads.iter().map(|t| t.rows[kind]).fold(0, u64::saturating_add))
}

#[cfg(test)]
mod tests {
    use super::*;
    use pofr_core::{
        store::TriadState,
        time::{WallMicros, ZoneOffset},
    };

    const MOST: u64 = 1000;
    const BIG: u64 = MOST / 2;

    fn triad(id: i64, level: Level, (from, to): (i64, i64), file_rows: u64) -> Triad {
        Triad {
            id: TriadId(id),
            level,
            state: TriadState::Live,
            open: false,
            tables: Default::default(),
            from: WallMicros(from),
            to: WallMicros(to),
            zone: ZoneOffset::UTC,
            rows: [1, file_rows, 1],
            sorted: level != Level::Slice,
        }
    }

    /// The ids of each job's triads.
    fn plan(slices: &[Triad], merged: &[Triad]) -> Vec<(Level, Vec<i64>)> {
        archives(slices.to_vec(), [slices, merged].concat(), MOST)
            .into_iter()
            .map(|(level, triads)| (level, triads.iter().map(|t| t.id.0).collect()))
            .collect()
    }

    #[test]
    fn an_archive_takes_what_memory_is_to_hold() {
        let slice = |id, rows| triad(id, Level::Slice, (id * 10, id * 10 + 9), rows);
        let slices =
            [slice(3, 1), slice(1, BIG), slice(2, BIG), slice(4, MOST + 1), slice(5, 1), slice(6, 1)];
        let archive = |ids: &[i64]| (Level::Archive, ids.to_vec());
        assert_eq!(plan(&slices, &[]), [archive(&[1, 2]), archive(&[3]), archive(&[4]), archive(&[5, 6])]);
    }

    #[test]
    fn what_came_late_goes_where_its_time_is() {
        let period = triad(1, Level::Period, (0, 100), 10 * MOST);
        let archive = triad(2, Level::Archive, (50, 150), 1);
        let slice = |id, from, rows| triad(id, Level::Slice, (from, from + 9), rows);
        let slices = [slice(3, 10, BIG), slice(4, 60, BIG), slice(5, 120, 1), slice(6, 145, 1)];
        let merged = [period, archive];
        assert_eq!(
            plan(&slices, &merged),
            [(Level::Period, vec![3, 4, 1]), (Level::Archive, vec![5, 2]), (Level::Archive, vec![6])]
        );
        let slices = [slice(3, 10, BIG), slice(4, 20, BIG), slice(7, 30, 1)];
        assert_eq!(
            plan(&slices, &merged),
            [(Level::Archive, vec![3, 4]), (Level::Archive, vec![7])],
            "too many to be merged into the period at once"
        );
    }
}
