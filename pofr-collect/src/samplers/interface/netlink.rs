//! Interfaces and addresses as rtnetlink(7) tells them: RTM_GETLINK, RTM_GETADDR.

use super::Link;
use crate::samplers::rtnetlink::{self, RtNetlink};
use netlink_packet_route::{
    RouteNetlinkMessage,
    address::{AddressAttribute, AddressMessage},
    link::{LinkAttribute, LinkFlags, LinkMessage},
};
use pofr_core::{collector::CollectError, raw::RawText};
use std::{collections::HashMap, net::IpAddr};

/// Asks for all interfaces.
pub(super) fn links() -> Result<Vec<Link>, CollectError> {
    let mut kernel = RtNetlink::open()?;
    let told = kernel.links()?;
    let mut links: HashMap<u32, Link> =
        told.into_iter().map(|(index, message)| (index, link(&message))).collect();
    for message in kernel.dump(&RouteNetlinkMessage::GetAddress(AddressMessage::default()))? {
        let RouteNetlinkMessage::NewAddress(message) = message else { continue };
        // An interface that was made between the two questions comes with the next sample.
        if let (Some(link), Some(address)) = (links.get_mut(&message.header.index), address(&message)) {
            link.addresses.push((address, message.header.prefix_len));
        }
    }
    Ok(links.into_values().collect())
}

fn link(message: &LinkMessage) -> Link {
    let mac = |attribute: &LinkAttribute| match attribute {
        LinkAttribute::Address(bytes) => Some(mac(bytes)),
        _ => None,
    };
    Link {
        name: rtnetlink::name(message),
        mac: message.attributes.iter().find_map(mac).unwrap_or_default(),
        up: message.header.flags.contains(LinkFlags::Up),
        addresses: Vec::new(),
    }
}

/// Writes a hardware address as `/sys/class/net/NAME/address` has it.
fn mac(bytes: &[u8]) -> RawText {
    let pairs: Vec<String> = bytes.iter().map(|byte| format!("{byte:02x}")).collect();
    pairs.join(":").as_str().into()
}

/// Returns our own address: of a point-to-point interface, IFA_ADDRESS is the other end's.
fn address(message: &AddressMessage) -> Option<IpAddr> {
    let find = |wanted: fn(&AddressAttribute) -> Option<IpAddr>| message.attributes.iter().find_map(wanted);
    find(|attribute| match attribute {
        AddressAttribute::Local(address) => Some(*address),
        _ => None,
    })
    .or_else(|| {
        find(|attribute| match attribute {
            AddressAttribute::Address(address) => Some(*address),
            _ => None,
        })
    })
}
