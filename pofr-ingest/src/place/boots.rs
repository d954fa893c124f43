//! Boots: whether a new bundle changes what is known of which boot came after which.
//!
//! All but always it does not: it goes on where its run's last bundle ended, and no later boot is known. Only else must
//! the ends of all runs be looked at.

use pofr_core::{
    identity::BootId,
    store::{RunOrder, StoredBundle},
};

/// Tells whether storing `new` next to `near`, where `runs` are stored, can tell any row of a boot that came after its own.
pub(super) fn matter(runs: &[RunOrder], near: &[StoredBundle], new: &[StoredBundle]) -> bool {
    let boots = runs.iter().map(|r| r.boot).chain(new.iter().map(|b| b.entry.boot));
    let mut boots = boots.filter(|boot| *boot != BootId::UNKNOWN);
    let one_boot = boots.next().is_none_or(|first| boots.all(|boot| boot == first));
    !one_boot && new.iter().any(|bundle| matters(runs, near, bundle))
}

fn matters(runs: &[RunOrder], near: &[StoredBundle], bundle: &StoredBundle) -> bool {
    let new = &bundle.entry;
    if new.boot == BootId::UNKNOWN {
        return false;
    }
    let Some(run) = runs.iter().find(|r| r.run == new.run) else { return true };
    let begins_run = new.seq < run.first;
    let has_later_boot =
        runs.iter().any(|r| r.boot != BootId::UNKNOWN && r.boot != new.boot && r.first >= run.first);
    // A source's first span in this run is where it came back after the boot before.
    let begins_source = bundle.spans.iter().filter(|span| span.source.dies_with_boot()).any(|span| {
        let mut before = near.iter().filter(|b| b.entry.run == new.run).flat_map(|b| &b.spans);
        !before.any(|old| old.source == span.source && old.first < span.first)
    });
    begins_run || has_later_boot || begins_source
}
