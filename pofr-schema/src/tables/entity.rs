//! Processes' identities as columns, the same in psinfo, fileinfo and netinfo.

use super::{Column, Context, Type};
use crate::db::{Cell, Values};
use pofr_core::{
    digest::KeyDigest,
    identity::{Entity, Pid, StartTicks},
    store::StoreError,
};

/// The columns besides the pid; all NULL where an endpoint has no holder.
pub(crate) const COLUMNS: [Column; 4] = [
    Column::opt(
        "entity",
        Type::Ascii(40),
        "the process across all tables: the digest of boot, pid and start",
    ),
    Column::opt("boot", Type::Big, "its boot: pofr_boots.id; NULL for a v1 process"),
    Column::opt("startticks", Type::Big, "its start, clock ticks since boot; NULL for a v1 process"),
    Column::opt("tag", Type::Ascii(40), "what tells a v1 process from another of its pid; else NULL"),
];

/// Appends the pid and [`COLUMNS`]; `None` where the boot has no number.
pub(crate) fn encode(entity: Option<&Entity>, context: &Context, cells: &mut Vec<Cell<'_>>) -> Option<()> {
    let Some(entity) = entity else {
        cells.extend([Cell::Int(None), Cell::Text(None), Cell::Int(None), Cell::Int(None), Cell::Text(None)]);
        return Some(());
    };
    cells.push(Cell::int(entity.pid().0));
    cells.push(Cell::text(entity.digest().to_string()));
    match entity {
        Entity::Started { boot, start, .. } => {
            cells.extend([Cell::int(*context.boots.get(boot)?), Cell::wide(start.0), Cell::Text(None)]);
        }
        Entity::Described { tag, .. } => {
            cells.extend([Cell::Int(None), Cell::Int(None), Cell::text(tag.to_string())]);
        }
    }
    Some(())
}

/// Reads what [`encode`] wrote.
pub(crate) fn decode(values: &mut Values<'_>, context: &Context) -> Result<Option<Entity>, StoreError> {
    let pid = values.opt_int("pid")?.map(Pid);
    values.skip();
    let boot: Option<i64> = values.opt_int("boot")?;
    let start = values.opt_wide("startticks")?;
    let tag = values.opt_parsed("tag", KeyDigest::parse)?;
    match (pid, boot, start, tag) {
        (None, None, None, None) => Ok(None),
        (Some(pid), Some(boot), Some(start), None) => {
            let name = context.boot_names.get(&boot);
            let boot = *name.ok_or_else(|| values.corrupt(format!("boot {boot} is not in pofr_boots")))?;
            Ok(Some(Entity::Started { boot, pid, start: StartTicks(start) }))
        }
        (Some(pid), None, None, Some(tag)) => Ok(Some(Entity::Described { pid, tag })),
        _ => Err(values.corrupt("pid, boot, startticks and tag do not go together")),
    }
}
