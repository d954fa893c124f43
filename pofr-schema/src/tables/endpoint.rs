//! netinfo: network endpoints.

use super::{Column, Context, Details, Spec, Type, entity};
use crate::db::{Cell, Values};
use pofr_core::{
    fact::{Endpoint, EndpointDetails, EndpointKey, Fact, FactKind, SocketId, TcpState, Transport},
    raw::RawText,
    store::StoreError,
};
use std::{
    borrow::Cow,
    net::{IpAddr, SocketAddr},
};

/// How endpoints are stored.
pub(crate) const SPEC: Spec = Spec {
    kind: FactKind::Endpoint,
    table: "netinfo",
    id: "endpointinfo",
    digest: "shasum",
    columns: &[
        Column::new("transport", Type::Ascii(3), "tcp or udp"),
        Column::new("sourceip", Type::Ascii(45), "our address"),
        Column::new("sourceport", Type::U32, "our port"),
        Column::new("destip", Type::Ascii(45), "the peer's address; unspecified where there is none"),
        Column::new("destport", Type::U32, "the peer's port; 0 where there is none"),
        Column::new("ipversion", Type::U32, "4 or 6, of our address; an IPv4-mapped address is 6"),
        Column::opt(
            "v6extra",
            Type::Ascii(48),
            "flow label and scope id of our, then of the peer's IPv6 address, where one is not 0",
        ),
        Column::new("state", Type::Ascii(16), "the socket's state as ss(8) names it"),
        Column::opt("cookie", Type::Big, "the kernel's socket cookie; NULL where there was none to be had"),
        Column::opt(
            "sockinode",
            Type::Big,
            "the socket's inode where that tells it apart for want of a cookie",
        ),
        Column::opt("netns", Type::U32, "inode of the network namespace; NULL unknown"),
        Column::opt("pid", Type::U32, "the holder's process id; NULL where there is none or none was found"),
        entity::COLUMNS[0],
        entity::COLUMNS[1],
        entity::COLUMNS[2],
        entity::COLUMNS[3],
        Column::opt("uid", Type::U32, "user id that the kernel has for the socket"),
        Column::opt("inode", Type::Big, "the socket's inode; 0 or NULL where it has none any more"),
        Column::opt("sourcefqdn", Type::Text, "our name, filled by enrichment"),
        Column::opt("destfqdn", Type::Text, "the peer's name, filled by enrichment"),
        Column::opt("country", Type::Text, "the peer's country, filled by enrichment"),
        Column::opt("city", Type::Text, "the peer's city, filled by enrichment"),
    ],
    indexes: &[("pid", &["pid"], None), ("source", &["sourceip"], None), ("dest", &["destip"], None)],
    encode,
    decode,
    known: &["uid", "inode", "sourcefqdn", "destfqdn", "country", "city"],
    details,
};

fn encode<'a>(fact: &'a Fact, context: &Context, cells: &mut Vec<Cell<'a>>) -> Option<()> {
    let Fact::Endpoint(endpoint) = fact else { return None };
    let Endpoint { key, details } = &**endpoint;
    cells.push(Cell::text(key.transport.text()));
    for address in [key.local, key.remote] {
        cells.extend([Cell::text(address.ip().to_string()), Cell::int(address.port())]);
    }
    cells.push(Cell::int(if key.local.is_ipv4() { 4 } else { 6 }));
    cells.push(Cell::Text(extra(&key.local, &key.remote).map(Into::into)));
    cells.push(Cell::text(key.state.text()));
    cells.extend(match key.socket {
        SocketId::Cookie(n) => [Cell::wide(n), Cell::Int(None)],
        SocketId::Inode(n) => [Cell::Int(None), Cell::wide(n)],
        SocketId::None => [Cell::Int(None), Cell::Int(None)],
    });
    cells.push(Cell::Int(key.netns.map(i64::from)));
    entity::encode(key.holder.as_ref(), context, cells)?;
    cells.push(Cell::Int(details.uid.map(i64::from)));
    cells.push(Cell::Int(details.inode.map(u64::cast_signed)));
    cells.extend(
        [&details.local_name, &details.remote_name].map(|name| Cell::Text(name.as_ref().map(printable))),
    );
    cells.extend([&details.country, &details.city].map(|place| Cell::Text(place.as_deref().map(Cow::from))));
    Some(())
}

/// Returns a name as the column of text can hold it: one that is not printable, which enrichment does not make, escaped.
fn printable(name: &RawText) -> Cow<'static, str> {
    name.escaped().into()
}

/// Writes what an IPv6 socket address has besides address and port.
fn extra(local: &SocketAddr, remote: &SocketAddr) -> Option<String> {
    let of = |a: &SocketAddr| match a {
        SocketAddr::V6(a) => [a.flowinfo(), a.scope_id()],
        SocketAddr::V4(_) => [0, 0],
    };
    let ([a, b], [c, d]) = (of(local), of(remote));
    ([a, b, c, d] != [0; 4]).then(|| format!("{a} {b} {c} {d}"))
}

fn decode(values: &mut Values<'_>, context: &Context) -> Result<Fact, StoreError> {
    let transport = values.parsed("transport", Transport::parse)?;
    let ip = |text: &str| text.parse::<IpAddr>().ok();
    let mut local = SocketAddr::new(values.parsed("sourceip", ip)?, values.int("sourceport")?);
    let mut remote = SocketAddr::new(values.parsed("destip", ip)?, values.int("destport")?);
    let _: u32 = values.int("ipversion")?;
    let numbers = |text: &str| {
        let numbers: Vec<u32> = text.split(' ').map(str::parse).collect::<Result<_, _>>().ok()?;
        <[u32; 4]>::try_from(numbers).ok()
    };
    if let Some([a, b, c, d]) = values.opt_parsed("v6extra", numbers)? {
        for (address, flow, scope) in [(&mut local, a, b), (&mut remote, c, d)] {
            if let SocketAddr::V6(address) = address {
                address.set_flowinfo(flow);
                address.set_scope_id(scope);
            }
        }
    }
    let state = values.parsed("state", TcpState::parse)?;
    let socket = match (values.opt_wide("cookie")?, values.opt_wide("sockinode")?) {
        (Some(cookie), None) => SocketId::Cookie(cookie),
        (None, Some(inode)) => SocketId::Inode(inode),
        (None, None) => SocketId::None,
        (Some(_), Some(_)) => return Err(values.corrupt("cookie and sockinode are both set")),
    };
    let netns = values.opt_int("netns")?;
    let holder = entity::decode(values, context)?;
    let uid = values.opt_int("uid")?;
    let inode = values.opt_wide("inode")?;
    let local_name = values.opt_bytes("sourcefqdn")?.map(RawText::from);
    let remote_name = values.opt_bytes("destfqdn")?.map(RawText::from);
    let country = values.opt_parsed("country", |text| Some(text.to_owned()))?;
    let city = values.opt_parsed("city", |text| Some(text.to_owned()))?;
    Ok(Fact::from(Endpoint {
        key: EndpointKey { transport, local, remote, state, socket, netns, holder },
        details: EndpointDetails { uid, inode, local_name, remote_name, country, city },
    }))
}

fn details(fact: &Fact) -> Details<'_> {
    let Fact::Endpoint(endpoint) = fact else { return Vec::new() };
    let d = &endpoint.details;
    let mut known: Details<'_> = Vec::new();
    known.extend(d.uid.map(|uid| ("uid", Cell::int(uid))));
    known.extend(d.inode.map(|inode| ("inode", Cell::wide(inode))));
    known.extend(d.local_name.as_ref().map(|name| ("sourcefqdn", Cell::text(printable(name)))));
    known.extend(d.remote_name.as_ref().map(|name| ("destfqdn", Cell::text(printable(name)))));
    known.extend(d.country.as_deref().map(|country| ("country", Cell::text(country))));
    known.extend(d.city.as_deref().map(|city| ("city", Cell::text(city))));
    known
}
