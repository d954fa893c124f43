//! rtnetlink(7): what the kernel lists of interfaces, addresses and routes of our own network namespace. Anyone may ask.

use netlink_packet_core::{NLM_F_DUMP, NLM_F_REQUEST, NetlinkHeader, NetlinkMessage, NetlinkPayload};
use netlink_packet_route::{
    RouteNetlinkMessage,
    link::{LinkAttribute, LinkMessage},
};
use netlink_sys::{Socket, SocketAddr, protocols::NETLINK_ROUTE};
use pofr_core::{collector::CollectError, raw::RawText};
use std::{collections::HashMap, io};

/// The kernel fills at most 32 KiB at a time (netlink_dump in net/netlink/af_netlink.c).
const BUFFER_BYTES: usize = 64 << 10;
/// The kernel's mark on a dump that was not consistent (include/uapi/linux/netlink.h).
const DUMP_INTERRUPTED: u16 = 0x10;
/// How often an inconsistent dump is asked for again; what the last one told is true of each thing in it.
const TRIES: usize = 3;

/// A connection to the kernel.
pub(super) struct RtNetlink {
    netlink: Socket,
    buffer: Vec<u8>,
    sequence: u32,
}

impl RtNetlink {
    /// Connects.
    pub(super) fn open() -> Result<Self, CollectError> {
        let open = || {
            let mut netlink = Socket::new(NETLINK_ROUTE)?;
            netlink.bind_auto()?;
            netlink.connect(&SocketAddr::new(0, 0))?;
            Ok(netlink)
        };
        let netlink = open().map_err(unavailable)?;
        Ok(Self { netlink, buffer: Vec::with_capacity(BUFFER_BYTES), sequence: 0 })
    }

    /// Asks for all that is like `request`.
    pub(super) fn dump(
        &mut self,
        request: &RouteNetlinkMessage,
    ) -> Result<Vec<RouteNetlinkMessage>, CollectError> {
        let mut tries = 0;
        loop {
            tries += 1;
            let mut told = Vec::new();
            if self.try_dump(request, &mut told)? || tries == TRIES {
                return Ok(told);
            }
        }
    }

    /// Asks for all interfaces, by their indexes.
    pub(super) fn links(&mut self) -> Result<HashMap<u32, LinkMessage>, CollectError> {
        let told = self.dump(&RouteNetlinkMessage::GetLink(LinkMessage::default()))?;
        let link = |message| match message {
            RouteNetlinkMessage::NewLink(link) => Some((link.header.index, link)),
            _ => None,
        };
        Ok(told.into_iter().filter_map(link).collect())
    }

    /// Asks once; false where the kernel says that the list is not consistent.
    fn try_dump(
        &mut self,
        request: &RouteNetlinkMessage,
        told: &mut Vec<RouteNetlinkMessage>,
    ) -> Result<bool, CollectError> {
        self.ask(request).map_err(unavailable)?;
        let mut consistent = true;
        loop {
            self.buffer.clear();
            let length = self.netlink.recv(&mut self.buffer, 0).map_err(unavailable)?;
            let mut rest = &self.buffer[..length];
            while !rest.is_empty() {
                let message = NetlinkMessage::<RouteNetlinkMessage>::deserialize(rest).map_err(|error| {
                    let what = "answer of rtnetlink".to_owned();
                    CollectError::Malformed { what, detail: error.to_string() }
                })?;
                // Messages are aligned to four bytes; the last one need not be padded.
                rest = &rest[(message.header.length as usize).next_multiple_of(4).min(rest.len())..];
                if message.header.sequence_number != self.sequence {
                    continue;
                }
                consistent &= message.header.flags & DUMP_INTERRUPTED == 0;
                match message.payload {
                    NetlinkPayload::InnerMessage(message) => told.push(message),
                    NetlinkPayload::Done(_) => return Ok(consistent),
                    NetlinkPayload::Error(error) => return Err(unavailable(error.to_io())),
                    _ => {}
                }
            }
        }
    }

    fn ask(&mut self, request: &RouteNetlinkMessage) -> io::Result<()> {
        self.sequence = self.sequence.wrapping_add(1);
        let mut header = NetlinkHeader::default();
        header.flags = NLM_F_REQUEST | NLM_F_DUMP;
        header.sequence_number = self.sequence;
        let mut message = NetlinkMessage::new(header, request.clone().into());
        message.finalize();
        let mut bytes = vec![0; message.buffer_len()];
        message.serialize(&mut bytes);
        self.netlink.send(&bytes, 0).map(drop)
    }
}

/// Returns an interface's name; empty where the kernel tells none.
pub(super) fn name(link: &LinkMessage) -> RawText {
    let name = |attribute: &LinkAttribute| match attribute {
        LinkAttribute::IfName(name) => Some(name.as_str().into()),
        _ => None,
    };
    link.attributes.iter().find_map(name).unwrap_or_default()
}

fn unavailable(cause: io::Error) -> CollectError {
    CollectError::Unavailable { what: "rtnetlink".to_owned(), cause }
}
