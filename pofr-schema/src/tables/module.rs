//! pofr_module: kernel modules.

use super::{Column, Context, Spec, Type, no_details};
use crate::db::{Cell, Values};
use pofr_core::{
    fact::{Fact, FactKind, Module},
    store::StoreError,
};

/// How kernel modules are stored.
pub(crate) const SPEC: Spec = Spec {
    kind: FactKind::Module,
    table: "pofr_module",
    id: "moduleid",
    digest: "shasum",
    columns: &[
        Column::new("name", Type::Bytes, "name"),
        Column::new("size", Type::Big, "size in memory, bytes"),
        Column::new("taint", Type::Bytes, "taint flags, empty for none"),
    ],
    indexes: &[],
    encode,
    decode,
    known: &[],
    details: no_details,
};

fn encode<'a>(fact: &'a Fact, _: &Context, cells: &mut Vec<Cell<'a>>) -> Option<()> {
    let Fact::Module(m) = fact else { return None };
    cells.extend([Cell::bytes(&m.name), Cell::wide(m.size), Cell::bytes(&m.taint)]);
    Some(())
}

fn decode(values: &mut Values<'_>, _: &Context) -> Result<Fact, StoreError> {
    Ok(Fact::Module(Module {
        name: values.bytes("name")?.into(),
        size: values.opt_wide("size")?.ok_or_else(|| values.corrupt("size is NULL"))?,
        taint: values.bytes("taint")?.into(),
    }))
}
