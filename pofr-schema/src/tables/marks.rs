//! The marks of a process as columns of psinfo: what of it is unknown, cut, or told elsewhere. All are NULL where nothing is
//! unusual, and so in every row from before there were marks.

use super::{Column, Type};
use crate::db::{Cell, Values};
use pofr_core::{
    digest::Sha256,
    fact::{Cut, ProcessKey, ProcessMarks},
    identity::{Entity, Pid, StartTicks},
    store::StoreError,
};

/// The columns, in the order of [`encode`] and [`decode`].
pub(super) const COLUMNS: [Column; 8] = [
    Column::opt(
        "unreadable",
        Type::Flag,
        "1: something of it did not answer in time and is unknown; else NULL",
    ),
    Column::opt("argbytes", Type::Big, "the vector is cut: how many bytes the whole has; NULL: it is whole"),
    Column::opt(
        "argsha256",
        Type::Ascii(64),
        "SHA-256 of the whole vector, where it is cut and that is known",
    ),
    Column::opt(
        "exenamed",
        Type::Flag,
        "1: the name of the executable really ends in (deleted); NULL: that ending is the kernel's mark",
    ),
    Column::opt(
        "threadof",
        Type::U32,
        "it is a thread with ids, files or namespaces of its own: the process that it belongs to; else NULL",
    ),
    Column::opt(
        "filesof",
        Type::Ascii(40),
        "its files are told with the process that has this entity: both have one descriptor table; else NULL",
    ),
    Column::opt("filesofpid", Type::U32, "the process id of filesof"),
    Column::opt("filesofstart", Type::Big, "the start of filesof, clock ticks since boot"),
];

/// Appends the values; `None` where the files are told with a process of another boot.
pub(super) fn encode(key: &ProcessKey, cells: &mut Vec<Cell<'_>>) -> Option<()> {
    let ProcessMarks { unreadable, arguments_cut, exe_named_deleted, thread_of, files_of } = &key.marks;
    let flag = |mark: bool| Cell::Int(mark.then_some(1));
    cells.push(flag(*unreadable));
    cells.push(Cell::Int(arguments_cut.map(|cut| cut.bytes.cast_signed())));
    let sha256 = arguments_cut.and_then(|cut| cut.sha256);
    cells.push(Cell::Text(sha256.map(|sha256| sha256.to_string().into())));
    cells.push(flag(*exe_named_deleted));
    cells.push(Cell::Int(thread_of.map(|pid| i64::from(pid.0))));
    match (files_of, &key.entity) {
        (None, _) => cells.extend([Cell::Text(None), Cell::Int(None), Cell::Int(None)]),
        (Some(other @ Entity::Started { boot, pid, start }), Entity::Started { boot: own, .. })
            if boot == own =>
        {
            cells.extend([Cell::text(other.digest().to_string()), Cell::int(pid.0), Cell::wide(start.0)]);
        }
        _ => return None,
    }
    Some(())
}

/// Reads what [`encode`] wrote of the process `entity`.
pub(super) fn decode(values: &mut Values<'_>, entity: &Entity) -> Result<ProcessMarks, StoreError> {
    let is_set = |flag: Option<i64>| flag == Some(1);
    let unreadable = is_set(values.opt_int("unreadable")?);
    let bytes = values.opt_wide("argbytes")?;
    let sha256 = values.opt_parsed("argsha256", Sha256::parse)?;
    let exe_named_deleted = is_set(values.opt_int("exenamed")?);
    let thread_of = values.opt_int("threadof")?.map(Pid);
    values.skip();
    let files_of = match (values.opt_int("filesofpid")?, values.opt_wide("filesofstart")?, entity) {
        (None, None, _) => None,
        (Some(pid), Some(start), Entity::Started { boot, .. }) => {
            Some(Entity::Started { boot: *boot, pid: Pid(pid), start: StartTicks(start) })
        }
        _ => return Err(values.corrupt("filesofpid, filesofstart and boot do not go together")),
    };
    Ok(ProcessMarks {
        unreadable,
        arguments_cut: bytes.map(|bytes| Cut { bytes, sha256 }),
        exe_named_deleted,
        thread_of,
        files_of,
    })
}
