//! hwinfo: devices.

use super::{Column, Context, Spec, Type, no_details};
use crate::db::{Cell, Values};
use pofr_core::{
    fact::{Device, DeviceKey, Fact, FactKind},
    store::StoreError,
};

/// How devices are stored.
pub(crate) const SPEC: Spec = Spec {
    kind: FactKind::Device,
    table: "hwinfo",
    id: "hwdevid",
    digest: "shasum",
    columns: &[
        Column::new("devbus", Type::Bytes, "bus: usb, pci, block"),
        Column::new("devstring", Type::Bytes, "the product's name, empty where the device does not say"),
        Column::new("devvendor", Type::Bytes, "the vendor's name, empty where the device does not say"),
        Column::opt(
            "userslogged",
            Type::Bytes,
            "users logged in when first seen, separated by commas; NULL where the machine does not tell",
        ),
        Column::new("devaddress", Type::Bytes, "address on the bus"),
        Column::new("devid", Type::Bytes, "vendor and product ids, or what else the bus tells a device by"),
        Column::new("devserial", Type::Bytes, "serial number, empty where the device does not say"),
    ],
    indexes: &[],
    encode,
    decode,
    known: &[],
    details: no_details,
};

fn encode<'a>(fact: &'a Fact, _: &Context, cells: &mut Vec<Cell<'a>>) -> Option<()> {
    let Fact::Device(Device { key: d, users }) = fact else { return None };
    cells.extend([&d.bus, &d.product, &d.vendor].map(Cell::bytes));
    cells.push(Cell::Bytes(users.as_ref().map(|users| users.as_bytes().into())));
    cells.extend([&d.address, &d.id, &d.serial].map(Cell::bytes));
    Some(())
}

fn decode(values: &mut Values<'_>, _: &Context) -> Result<Fact, StoreError> {
    let bus = values.bytes("devbus")?.into();
    let product = values.bytes("devstring")?.into();
    let vendor = values.bytes("devvendor")?.into();
    let users = values.opt_bytes("userslogged")?.map(Into::into);
    let mut next = |column| Ok::<_, StoreError>(values.bytes(column)?.into());
    let (address, id, serial) = (next("devaddress")?, next("devid")?, next("devserial")?);
    Ok(Fact::Device(Device { key: DeviceKey { bus, address, id, vendor, product, serial }, users }))
}
