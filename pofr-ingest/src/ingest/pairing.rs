//! Pairing: which half of which v1 snapshot goes where, when the two come in different tars.
//!
//! A snapshot whose halves came in two tars belongs to the tar that has its process half. A half at the edge of a tar waits for
//! the neighbouring tar, or for a time limit; one that no tar can complete any more is taken alone, and the other source is
//! blind at that stamp.

use pofr_core::{
    store::PendingHalf,
    time::WallMicros,
    wire::v1::{Half, Which},
};
use std::collections::BTreeMap;

/// A tar's part in the pairing.
pub(super) struct Tar {
    /// The stamps that it has whole.
    pub(super) whole: Vec<WallMicros>,
    /// Halves without their other half.
    pub(super) single: Vec<Half>,
    /// How long a silence hides nothing, µs.
    pub(super) quiet: i64,
}

/// What pairing decides for one tar.
#[derive(Default)]
pub(super) struct Share {
    /// Halves from elsewhere that complete snapshots of this tar.
    pub(super) extra: Vec<Half>,
    /// Its halves that are not to be taken with it: given to another tar, or kept waiting.
    pub(super) without: Vec<(WallMicros, Which)>,
    /// Its halves that wait.
    pub(super) waiting: Vec<Half>,
    /// Stored halves that are settled by this.
    pub(super) drop: Vec<(WallMicros, bool)>,
}

/// Decides for `tars`, in the order of their times, given the halves that `waited` and, for time already stored, the first and
/// last stamps of the v1 bundles next to single halves. The second answer are the waiting halves whose time is up, by the
/// neighbour's arrival or by the clock, and that no new tar takes: each becomes a bundle of its own.
pub(super) fn pair(
    tars: &[Tar],
    waited: Vec<PendingHalf>,
    stored: &[(WallMicros, WallMicros)],
    expired: impl Fn(&PendingHalf) -> bool,
) -> (Vec<Share>, Vec<PendingHalf>) {
    let mut shares: Vec<Share> = tars.iter().map(|_| Share::default()).collect();
    let mut waited: BTreeMap<(WallMicros, bool), PendingHalf> =
        waited.into_iter().map(|half| ((half.stamp, half.is_proc), half)).collect();
    let owners: BTreeMap<(WallMicros, Which), usize> = (0..)
        .zip(tars)
        .flat_map(|(i, tar)| tar.single.iter().map(move |h| ((h.stamp, h.which), i)))
        .collect();
    for (i, tar) in tars.iter().enumerate() {
        for half in &tar.single {
            let other = if half.which == Which::Proc { Which::Net } else { Which::Proc };
            if let Some(owner) = owners.get(&(half.stamp, other)) {
                if half.which == Which::Net {
                    shares[i].without.push((half.stamp, half.which));
                    shares[*owner].extra.push(half.clone());
                }
            } else if let Some(stored) = waited.remove(&(half.stamp, other == Which::Proc)) {
                shares[i].drop.push((stored.stamp, stored.is_proc));
                shares[i].extra.push(to_half(stored));
            } else if may_still_come(tars, i, half.stamp, stored) {
                shares[i].without.push((half.stamp, half.which));
                shares[i].waiting.push(half.clone());
            }
        }
    }
    let mut given_up = Vec::new();
    for (_, half) in waited {
        if let Some(i) = tars.iter().position(|tar| adjoins(tar, half.stamp)) {
            shares[i].drop.push((half.stamp, half.is_proc));
            shares[i].extra.push(to_half(half));
        } else if expired(&half) {
            given_up.push(half);
        }
    }
    (shares, given_up)
}

/// Tells whether a half at an edge of tar `i` may be completed by a tar that is not there yet.
fn may_still_come(tars: &[Tar], i: usize, stamp: WallMicros, stored: &[(WallMicros, WallMicros)]) -> bool {
    let tar = &tars[i];
    let (Some(first), Some(last)) = (tar.whole.iter().min(), tar.whole.iter().max()) else {
        return true;
    };
    let near = |gap: i64| gap > 0 && gap <= tar.quiet;
    if stamp > *last {
        let next =
            tars.iter().filter_map(|t| t.whole.iter().min()).chain(stored.iter().map(|(first, _)| first));
        !next.into_iter().any(|first| near(first.since(stamp)))
    } else if stamp < *first {
        let before =
            tars.iter().filter_map(|t| t.whole.iter().max()).chain(stored.iter().map(|(_, last)| last));
        !before.into_iter().any(|last| near(stamp.since(*last)))
    } else {
        false
    }
}

/// Tells whether a stamp lies at the edge of a tar, close enough that nothing can lie between.
fn adjoins(tar: &Tar, stamp: WallMicros) -> bool {
    let (Some(first), Some(last)) = (tar.whole.iter().min(), tar.whole.iter().max()) else { return false };
    (stamp < *first && first.since(stamp) <= tar.quiet) || (stamp > *last && stamp.since(*last) <= tar.quiet)
}

pub(super) fn to_half(half: PendingHalf) -> Half {
    Half {
        stamp: half.stamp,
        zone: half.zone,
        which: if half.is_proc { Which::Proc } else { Which::Net },
        text: half.text,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use pofr_core::{digest::Sha256, time::ZoneOffset};

    fn half(stamp: i64, which: Which) -> Half {
        Half { stamp: WallMicros(stamp), zone: ZoneOffset::UTC, which, text: vec![1] }
    }
    fn tar(whole: &[i64], single: Vec<Half>) -> Tar {
        Tar { whole: whole.iter().copied().map(WallMicros).collect(), single, quiet: 15 }
    }
    fn waiting(stamp: i64, is_proc: bool) -> PendingHalf {
        PendingHalf {
            stamp: WallMicros(stamp),
            is_proc,
            zone: ZoneOffset::UTC,
            text: vec![2],
            bundle: Sha256::of(b""),
            received: WallMicros(0),
        }
    }

    #[test]
    fn halves_in_two_tars_meet_where_the_process_half_is() {
        let tars = [tar(&[10, 20], vec![half(30, Which::Proc)]), tar(&[40, 50], vec![half(30, Which::Net)])];
        let (shares, given_up) = pair(&tars, Vec::new(), &[], |_| false);
        assert_eq!(shares[0].extra, [half(30, Which::Net)]);
        assert_eq!(shares[1].without, [(WallMicros(30), Which::Net)]);
        assert!(shares.iter().all(|s| s.waiting.is_empty()) && given_up.is_empty());
    }

    #[test]
    fn a_tail_waits_and_the_next_tar_takes_it() {
        let (shares, _) = pair(&[tar(&[10, 20], vec![half(30, Which::Proc)])], Vec::new(), &[], |_| false);
        assert_eq!(shares[0].waiting.len(), 1);
        let next = [tar(&[40, 50], vec![half(30, Which::Net)])];
        let (shares, _) = pair(&next, vec![waiting(30, true)], &[], |_| false);
        assert_eq!((shares[0].drop.as_slice(), shares[0].extra.len()), (&[(WallMicros(30), true)][..], 1));
        assert!(shares[0].without.is_empty(), "the net half is taken with its own tar");
    }

    #[test]
    fn a_half_that_never_comes_is_taken_alone_once_the_neighbour_is_there() {
        let tars = [tar(&[10, 20], vec![half(30, Which::Proc)]), tar(&[40, 50], Vec::new())];
        let (shares, _) = pair(&tars, Vec::new(), &[], |_| false);
        assert!(shares[0].waiting.is_empty() && shares[0].without.is_empty());
        let (shares, given_up) = pair(&tars[1..], vec![waiting(30, true)], &[], |_| false);
        assert_eq!((shares[0].extra.len(), given_up.len()), (1, 0));
        let (_, given_up) = pair(&[], vec![waiting(30, true)], &[], |_| true);
        assert_eq!(given_up.len(), 1, "or when its time is up");
    }
}
