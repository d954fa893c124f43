//! Pruning: kept bundles go when the policy says so; what was made of them stays.

use crate::{ingest::IngestError, kept::Kept};
use pofr_core::{
    store::{Action, ActionKind, Change, ClientStore},
    time::WallMicros,
};

/// Removes kept bundles that were made before `before`, whole days (UTC) at a time so that the ledger is not told of every
/// bundle. Nothing goes while a hold is in force. Returns how many went.
///
/// # Errors
/// Where the store or a file fails.
pub fn prune(
    store: &mut dyn ClientStore,
    kept: &Kept,
    before: WallMicros,
    now: WallMicros,
    who: &str,
) -> Result<u64, IngestError> {
    const DAY: i64 = 86_400_000_000;
    let before = WallMicros(before.0.div_euclid(DAY) * DAY);
    let old = kept.older_than(before)?;
    if old.is_empty() || store.recent(now)?.hold().is_some() {
        return Ok(0);
    }
    // Said before it is done: whoever is killed in between removes the rest the next time.
    let action = Action {
        at: now,
        kind: ActionKind::Prune,
        before: Some(before),
        bundles: old.len() as u64,
        rows: 0,
        who: who.to_owned(),
        why: "the policy for kept bundles".to_owned(),
    };
    store.commit(&Change { actions: vec![action], ..Change::default() })?;
    Ok(kept.remove(&old)?)
}
