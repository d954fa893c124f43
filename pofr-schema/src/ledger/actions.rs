//! pofr_actions: what was done to the record other than adding to it.

use super::schema::pofr_actions::{self, dsl};
use crate::db::{Db, Doing as _, on_link};
use diesel::{dsl::max, prelude::*};
use pofr_core::{
    store::{Action, ActionKind, StoreError},
    time::WallMicros,
};

const KINDS: [(ActionKind, &str); 7] = [
    (ActionKind::Hold, "hold"),
    (ActionKind::Release, "release"),
    (ActionKind::Forget, "forget"),
    (ActionKind::Rebuild, "rebuild"),
    (ActionKind::Prune, "prune"),
    (ActionKind::Recover, "recover"),
    (ActionKind::Withdraw, "withdraw"),
];

fn word(kind: ActionKind) -> &'static str {
    KINDS.iter().find(|(k, _)| *k == kind).map_or("", |(_, word)| word)
}

/// Reads all actions, oldest first.
pub(crate) fn load_actions(db: &mut Db) -> Result<Vec<Action>, StoreError> {
    type Stored = (i64, i64, String, Option<i64>, i64, i64, String, String);
    let stored: Vec<Stored> = on_link!(db, conn => pofr_actions::table.order(dsl::id).load(conn))
        .doing("read table pofr_actions")?;
    stored
        .into_iter()
        .map(|(id, at, kind, before, bundles, rows, who, why)| {
            let kind = KINDS.iter().find(|(_, word)| *word == kind).ok_or_else(|| StoreError::Corrupt {
                table: "pofr_actions".into(),
                detail: format!("the kind of action {id} is {kind:?}"),
            })?;
            Ok(Action {
                at: WallMicros(at),
                kind: kind.0,
                before: before.map(WallMicros),
                bundles: bundles.cast_unsigned(),
                rows: rows.cast_unsigned(),
                who,
                why,
            })
        })
        .collect()
}

/// Adds actions.
pub(crate) fn insert_actions(db: &mut Db, actions: &[Action]) -> Result<(), StoreError> {
    const ACTION: &str = "write table pofr_actions";
    for action in actions {
        let last: Option<i64> =
            on_link!(db, conn => pofr_actions::table.select(max(dsl::id)).first(conn)).doing(ACTION)?;
        on_link!(db, conn => diesel::insert_into(pofr_actions::table)
            .values((
                dsl::id.eq(last.unwrap_or(0) + 1),
                dsl::at.eq(action.at.0),
                dsl::action.eq(word(action.kind)),
                dsl::before_stamp.eq(action.before.map(|t| t.0)),
                dsl::bundles.eq(action.bundles.cast_signed()),
                dsl::row_count.eq(action.rows.cast_signed()),
                dsl::who.eq(&action.who),
                dsl::why.eq(&action.why),
            ))
            .execute(conn))
        .doing(ACTION)?;
    }
    Ok(())
}

/// Returns the time before which everything has been forgotten.
pub(crate) fn forgotten_before(db: &mut Db) -> Result<Option<WallMicros>, StoreError> {
    let latest: Option<i64> = on_link!(db, conn => pofr_actions::table
        .filter(dsl::action.eq(word(ActionKind::Forget)))
        .select(max(dsl::before_stamp))
        .first(conn))
    .doing("read table pofr_actions")?;
    Ok(latest.map(WallMicros))
}
