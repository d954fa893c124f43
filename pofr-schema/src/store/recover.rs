//! Recovery: whatever was killed when, the next writer begins with a whole record.

use super::{triads, views};
use crate::{
    db::{Db, Dialect, is_kept_waiting},
    ledger::{insert_actions, load_triads},
};
use pofr_core::{
    store::{Action, ActionKind, StoreError, TriadState},
    time::WallMicros,
};

/// Makes names and views what the ledger says.
///
/// Whoever changed the set of triads calls this: on SQLite within the transaction, on MariaDB, where DDL commits, after
/// it. Each step can be repeated, so one that was cut off is made up for by the next.
pub(crate) fn finish(db: &mut Db) -> Result<(), StoreError> {
    triads::finish_renames(db)?;
    views::rebuild(db)
}

/// Does what was left undone, and drops what does not count; tells whether names and views are in line with the ledger.
///
/// On MariaDB a reader in the middle of its answer may keep a table's name from changing; then they are not yet.
pub(crate) fn recover(db: &mut Db) -> Result<bool, StoreError> {
    match db.dialect() {
        Dialect::Sqlite => db.write("recover", |db| {
            finish(db)?;
            note_half_made(db)?;
            triads::drop_uncounted(db)?;
            Ok(true)
        }),
        Dialect::Mariadb => match finish(db) {
            // The views first: none may name a table that is about to go.
            Ok(()) => {
                note_half_made(db)?;
                triads::drop_uncounted(db).map(|()| true)
            }
            Err(error) if is_kept_waiting(&error) => Ok(false),
            Err(error) => Err(error),
        },
    }
}

/// Says in the ledger what is about to be taken away: whoever was making it was killed, or failed.
fn note_half_made(db: &mut Db) -> Result<(), StoreError> {
    let mut half = load_triads(db)?;
    half.retain(|triad| triad.state() == Some(TriadState::Creating));
    if half.is_empty() {
        return Ok(());
    }
    let names: Vec<&str> = half.iter().map(|triad| triad.psname.as_str()).collect();
    let rows = half.iter().filter_map(|triad| triad.triad().ok()).flat_map(|triad| triad.rows).sum();
    let action = Action {
        at: WallMicros(jiff::Timestamp::now().as_microsecond()),
        kind: ActionKind::Recover,
        before: None,
        bundles: 0,
        rows,
        who: "pofrs".to_owned(),
        why: format!("half made when its writer ended: {}", names.join(", ")),
    };
    insert_actions(db, &[action])
}
