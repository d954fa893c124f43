//! Whether a bundle fits what is stored, and whether it may extend the open slice.

use crate::verify::Rejected;
use pofr_core::{
    identity::Cid,
    store::{BundleFormat, StoredBundle, Triad},
    time::WallMicros,
};

/// Checks that a bundle fits what is stored: `owner` is the client that stored bundles name, `near` are those that
/// [`pofr_core::store::Vicinity::near`] returns, or any others. As stored bundles fit each other, those next to it tell for all.
///
/// # Errors
/// [`Rejected`]: another client's, a fork, an overlap, a run of two boots.
pub fn check(owner: Option<&Cid>, near: &[StoredBundle], bundle: &StoredBundle) -> Result<(), Rejected> {
    let new = &bundle.entry;
    if let (Some(found), Some(expected)) = (&new.cid, owner)
        && found != expected
    {
        return Err(Rejected::OtherClient { found: found.clone(), expected: expected.clone() });
    }
    let counts = |b: &&StoredBundle| b.entry.run == new.run && !b.is_withdrawn();
    for StoredBundle { entry: old, spans, .. } in near.iter().filter(counts) {
        if old.boot != new.boot {
            let (stored, found) = (old.boot.to_string(), new.boot.to_string());
            return Err(Rejected::OtherBoot { run: new.run.to_string(), stored, found });
        }
        if old.seq == new.seq && new.format == BundleFormat::V2 {
            return Err(Rejected::Fork { seq: new.seq.0, run: new.run.to_string(), stored: old.sha256 });
        }
        let apart =
            |old_last: WallMicros, old_first: WallMicros, first: WallMicros, last: WallMicros| match new
                .format
            {
                BundleFormat::V2 if old.seq < new.seq => old_last < first,
                BundleFormat::V2 => last < old_first,
                BundleFormat::V1 => old_last < first || last < old_first,
            };
        for a in spans {
            for b in bundle.spans.iter().filter(|b| b.source == a.source) {
                if !apart(a.last, a.first, b.first, b.last) {
                    return Err(Rejected::Overlap { from: new.first, to: new.last, other: old.seq.0 });
                }
            }
        }
    }
    Ok(())
}

/// Tells whether `bundle` follows the last bundle of the open slice, so that it may extend it; `near` are the bundles next to it.
#[must_use]
pub fn follows(near: &[StoredBundle], open: &Triad, bundle: &StoredBundle) -> bool {
    let Some(last) = near.iter().filter(|b| b.triad == open.id).max_by_key(|b| b.entry.last) else {
        return false;
    };
    let (old, new) = (&last.entry, &bundle.entry);
    let consecutive = match new.format {
        BundleFormat::V1 => true,
        BundleFormat::V2 => old.seq.0.checked_add(1) == Some(new.seq.0),
    };
    // Nothing of the run may lie behind the open slice's end, or extending it would skip that.
    let behind =
        near.iter().any(|b| b.entry.run == new.run && b.entry.first > old.last && b.entry.first < new.first);
    old.run == new.run && old.format == new.format && consecutive && old.last < new.first && !behind
}
