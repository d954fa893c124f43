//! hostinfo: the host itself.

use super::{Column, Context, Spec, Type, no_details};
use crate::db::{Cell, Values};
use pofr_core::{
    fact::{Fact, FactKind, Host},
    store::StoreError,
};

/// How hosts are stored.
pub(crate) const SPEC: Spec = Spec {
    kind: FactKind::Host,
    table: "hostinfo",
    id: "hostinfoid",
    digest: "shasum",
    columns: &[
        Column::new("cid", Type::Ascii(59), "the client's id, in every row the same"),
        Column::new("hostname", Type::Bytes, "host name"),
        Column::new("os", Type::Bytes, "the distribution's name"),
        Column::new("osver", Type::Bytes, "its version"),
        Column::new("kernel", Type::Bytes, "the kernel's release"),
        Column::new("architecture", Type::Bytes, "the machine's architecture"),
        Column::new("vendor", Type::Bytes, "the hardware's vendor, empty where there is none"),
        Column::new("vendormodel", Type::Bytes, "the hardware's model, empty where there is none"),
        Column::new("timezone", Type::Bytes, "the zone's name, empty where it is not known"),
    ],
    indexes: &[],
    encode,
    decode,
    known: &[],
    details: no_details,
};

fn encode<'a>(fact: &'a Fact, context: &Context, cells: &mut Vec<Cell<'a>>) -> Option<()> {
    let Fact::Host(h) = fact else { return None };
    cells.push(Cell::text(context.cid.clone()));
    cells.extend(
        [&h.hostname, &h.os, &h.os_version, &h.kernel, &h.architecture, &h.vendor, &h.model, &h.timezone]
            .map(Cell::bytes),
    );
    Some(())
}

fn decode(values: &mut Values<'_>, _: &Context) -> Result<Fact, StoreError> {
    values.skip();
    let mut next = |column| Ok::<_, StoreError>(values.bytes(column)?.into());
    Ok(Fact::Host(Host {
        hostname: next("hostname")?,
        os: next("os")?,
        os_version: next("osver")?,
        kernel: next("kernel")?,
        architecture: next("architecture")?,
        vendor: next("vendor")?,
        model: next("vendormodel")?,
        timezone: next("timezone")?,
    }))
}
