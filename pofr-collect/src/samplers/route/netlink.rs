//! Routes as rtnetlink(7) tells them: RTM_GETROUTE.

use crate::samplers::rtnetlink::{self, RtNetlink};
use netlink_packet_route::{
    AddressFamily, RouteNetlinkMessage,
    link::LinkMessage,
    route::{RouteAddress, RouteAttribute, RouteFlags, RouteHeader, RouteMessage, RouteVia},
};
use pofr_core::{collector::CollectError, fact::Route, raw::RawText};
use std::{
    collections::HashMap,
    net::{IpAddr, Ipv4Addr, Ipv6Addr},
};

/// Asks for all routes of the main table.
pub(super) fn routes() -> Result<Vec<Route>, CollectError> {
    let mut kernel = RtNetlink::open()?;
    let links = kernel.links()?;
    let mut routes = Vec::new();
    for family in [AddressFamily::Inet, AddressFamily::Inet6] {
        let mut request = RouteMessage::default();
        request.header.address_family = family;
        for message in kernel.dump(&RouteNetlinkMessage::GetRoute(request))? {
            if let RouteNetlinkMessage::NewRoute(message) = message {
                add(&message, &links, &mut routes);
            }
        }
    }
    Ok(routes)
}

/// Adds a route, once for each of its next hops. One that leads nowhere (`blackhole`) has no interface.
fn add(message: &RouteMessage, links: &HashMap<u32, LinkMessage>, out: &mut Vec<Route>) {
    let header = &message.header;
    // A cloned route is a cache's, such as a path MTU that was learned.
    if header.table != RouteHeader::RT_TABLE_MAIN || header.flags.contains(RouteFlags::Cloned) {
        return;
    }
    let mut destination = match header.address_family {
        AddressFamily::Inet => IpAddr::from(Ipv4Addr::UNSPECIFIED),
        AddressFamily::Inet6 => Ipv6Addr::UNSPECIFIED.into(),
        _ => return,
    };
    let mut metric = 0;
    for attribute in &message.attributes {
        match attribute {
            RouteAttribute::Destination(to) => destination = address(to).unwrap_or(destination),
            RouteAttribute::Priority(priority) => metric = *priority,
            _ => {}
        }
    }
    let prefix = header.destination_prefix_length;
    let mut show = |gateway, interface: Option<u32>| {
        let interface =
            interface.and_then(|index| links.get(&index)).map_or_else(RawText::default, rtnetlink::name);
        out.push(Route { destination, prefix, gateway, interface, metric });
    };
    let hops = message.attributes.iter().find_map(|attribute| match attribute {
        RouteAttribute::MultiPath(hops) => Some(hops),
        _ => None,
    });
    match hops {
        Some(hops) => {
            hops.iter().for_each(|hop| show(gateway(&hop.attributes), Some(hop.interface_index)));
        }
        None => {
            let interface = message.attributes.iter().find_map(|attribute| match attribute {
                RouteAttribute::Oif(index) => Some(*index),
                _ => None,
            });
            show(gateway(&message.attributes), interface);
        }
    }
}

/// Returns the gateway; RTA_VIA is one of the other family.
fn gateway(attributes: &[RouteAttribute]) -> Option<IpAddr> {
    attributes.iter().find_map(|attribute| match attribute {
        RouteAttribute::Gateway(gateway) => address(gateway),
        RouteAttribute::Via(RouteVia::Inet(gateway)) => Some((*gateway).into()),
        RouteAttribute::Via(RouteVia::Inet6(gateway)) => Some((*gateway).into()),
        _ => None,
    })
}

fn address(address: &RouteAddress) -> Option<IpAddr> {
    match address {
        RouteAddress::Inet(address) => Some((*address).into()),
        RouteAddress::Inet6(address) => Some((*address).into()),
        _ => None,
    }
}
