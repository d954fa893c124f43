//! netint: network interfaces' addresses.

use super::{Column, Context, Spec, Type, no_details};
use crate::db::{Cell, Values};
use pofr_core::{
    fact::{Fact, FactKind, Interface},
    store::StoreError,
};

/// How interfaces are stored.
pub(crate) const SPEC: Spec = Spec {
    kind: FactKind::Interface,
    table: "netint",
    id: "netintid",
    digest: "shasum",
    columns: &[
        Column::opt("ipversion", Type::U32, "4 or 6; NULL for an interface without an address"),
        Column::opt("ip", Type::Ascii(45), "address; NULL for an interface without one"),
        Column::new("subnet", Type::U32, "length of the network's prefix, bits"),
        Column::new("macaddr", Type::Bytes, "hardware address, empty where there is none"),
        Column::new("intname", Type::Bytes, "the interface's name"),
        Column::new("up", Type::Flag, "1: it is up"),
    ],
    indexes: &[],
    encode,
    decode,
    known: &[],
    details: no_details,
};

fn encode<'a>(fact: &'a Fact, _: &Context, cells: &mut Vec<Cell<'a>>) -> Option<()> {
    let Fact::Interface(i) = fact else { return None };
    cells.push(Cell::Int(i.address.map(|a| if a.is_ipv4() { 4 } else { 6 })));
    cells.push(Cell::Text(i.address.map(|a| a.to_string().into())));
    cells.push(Cell::int(i.prefix));
    cells.extend([Cell::bytes(&i.mac), Cell::bytes(&i.name), Cell::int(i64::from(i.up))]);
    Some(())
}

fn decode(values: &mut Values<'_>, _: &Context) -> Result<Fact, StoreError> {
    let _: Option<u32> = values.opt_int("ipversion")?;
    Ok(Fact::Interface(Interface {
        address: values.opt_parsed("ip", |text| text.parse().ok())?,
        prefix: values.int("subnet")?,
        mac: values.bytes("macaddr")?.into(),
        name: values.bytes("intname")?.into(),
        up: values.flag("up")?,
    }))
}
