//! netroute: routes.

use super::{Column, Context, Spec, Type, no_details};
use crate::db::{Cell, Values};
use pofr_core::{
    fact::{Fact, FactKind, Route},
    store::StoreError,
};

/// How routes are stored.
pub(crate) const SPEC: Spec = Spec {
    kind: FactKind::Route,
    table: "netroute",
    id: "routeid",
    digest: "shasum",
    columns: &[
        Column::new("ipversion", Type::U32, "4 or 6"),
        Column::new("netip", Type::Ascii(45), "destination network; unspecified for the default route"),
        Column::new("routenetmask", Type::U32, "length of the destination's prefix, bits"),
        Column::opt("defgw", Type::Ascii(45), "gateway; NULL for a network on the link"),
        Column::new("intname", Type::Bytes, "the interface's name"),
        Column::new("metric", Type::U32, "priority; lower wins"),
    ],
    indexes: &[],
    encode,
    decode,
    known: &[],
    details: no_details,
};

fn encode<'a>(fact: &'a Fact, _: &Context, cells: &mut Vec<Cell<'a>>) -> Option<()> {
    let Fact::Route(r) = fact else { return None };
    cells.push(Cell::int(if r.destination.is_ipv4() { 4 } else { 6 }));
    cells.extend([Cell::text(r.destination.to_string()), Cell::int(r.prefix)]);
    cells.push(Cell::Text(r.gateway.map(|a| a.to_string().into())));
    cells.extend([Cell::bytes(&r.interface), Cell::int(r.metric)]);
    Some(())
}

fn decode(values: &mut Values<'_>, _: &Context) -> Result<Fact, StoreError> {
    let _: u32 = values.int("ipversion")?;
    Ok(Fact::Route(Route {
        destination: values.parsed("netip", |text| text.parse().ok())?,
        prefix: values.int("routenetmask")?,
        gateway: values.opt_parsed("defgw", |text| text.parse().ok())?,
        interface: values.bytes("intname")?.into(),
        metric: values.int("metric")?,
    }))
}
