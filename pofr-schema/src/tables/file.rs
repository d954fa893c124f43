//! fileinfo: open files.

use super::{Column, Context, Details, Spec, Type, entity, process};
use crate::db::{Cell, Values};
use pofr_core::{
    fact::{Fact, FactKind, FileDetails, FileKey, FileMode, Ids, OpenFile},
    identity::Pid,
    store::StoreError,
};

/// How open files are stored.
pub(crate) const SPEC: Spec = Spec {
    kind: FactKind::File,
    table: "fileinfo",
    id: "fileaccessid",
    digest: "shasum",
    columns: &[
        Column::new(
            "filename",
            Type::Bytes,
            "where the descriptor leads: a path or the kernel's socket:[1], pipe:[2]; without the mark (deleted)",
        ),
        Column::virt("uid", Type::U32, "ruid", "the holder's real user id"),
        Column::opt("ruid", Type::U32, "the holder's real user id; NULL unknown"),
        Column::opt("euid", Type::U32, "the holder's effective user id; NULL unknown"),
        Column::opt("rgid", Type::U32, "the holder's real group id; NULL unknown"),
        Column::opt("egid", Type::U32, "the holder's effective group id; NULL unknown"),
        Column::opt("command", Type::Bytes, "the holder's name when the file was first seen; NULL unknown"),
        Column::new("pid", Type::U32, "the holder's process id"),
        entity::COLUMNS[0],
        entity::COLUMNS[1],
        entity::COLUMNS[2],
        entity::COLUMNS[3],
        Column::opt("ppid", Type::U32, "the holder's parent; NULL unknown"),
        Column::new(
            "fd",
            Type::U32,
            "descriptor; 4294967295 where an event told of the file; for v1 the how-manieth of equal entries, from 0",
        ),
        Column::new("mode", Type::Ascii(2), "how it is open: r, w, rw, - (neither), ? (not told)"),
        Column::new("deleted", Type::Flag, "1: the file had been unlinked"),
    ],
    indexes: &[("pid", &["pid"], None), ("name", &["filename"], Some(64))],
    encode,
    decode,
    known: &["ppid", "ruid", "command"],
    details,
};

fn encode<'a>(fact: &'a Fact, context: &Context, cells: &mut Vec<Cell<'a>>) -> Option<()> {
    let Fact::File(OpenFile { key, details }) = fact else { return None };
    cells.push(Cell::bytes(&key.path));
    match details.ids {
        Some(ids) => cells.extend(process::id_cells(ids)),
        None => cells.extend([const { Cell::Int(None) }; 4]),
    }
    cells.push(Cell::Bytes(details.comm.as_ref().map(|c| c.as_bytes().into())));
    entity::encode(Some(&key.entity), context, cells)?;
    cells.push(Cell::Int(details.ppid.map(|p| i64::from(p.0))));
    cells.extend([Cell::int(key.fd), Cell::text(key.mode.text()), Cell::int(i64::from(key.deleted))]);
    Some(())
}

fn decode(values: &mut Values<'_>, context: &Context) -> Result<Fact, StoreError> {
    let path = values.bytes("filename")?.into();
    let ids = Some(process::read_ids(values)?).filter(Ids::are_known);
    let comm = values.opt_bytes("command")?.map(Into::into);
    let entity = entity::decode(values, context)?.ok_or_else(|| values.corrupt("pid is NULL"))?;
    let ppid = values.opt_int("ppid")?.map(Pid);
    let fd = values.int("fd")?;
    let mode = values.parsed("mode", FileMode::parse)?;
    let deleted = values.flag("deleted")?;
    Ok(Fact::File(OpenFile {
        key: FileKey { entity, fd, path, mode, deleted },
        details: FileDetails { ppid, ids, comm },
    }))
}

fn details(fact: &Fact) -> Details<'_> {
    let Fact::File(OpenFile { details: d, .. }) = fact else { return Vec::new() };
    let mut known: Details<'_> = Vec::new();
    known.extend(d.ppid.map(|p| ("ppid", Cell::int(p.0))));
    if let Some(ids) = d.ids {
        known.extend(["ruid", "euid", "rgid", "egid"].into_iter().zip(process::id_cells(ids)));
    }
    known.extend(d.comm.as_ref().map(|c| ("command", Cell::bytes(c))));
    known
}
