//! Netlink (netlink(7)): the layout of its messages and attributes, read without trusting any length in them, and a socket.
//!
//! What is spoken over it is in [`generic`] and [`taskstats`], and where sockets are sampled.

pub(crate) mod generic;
pub(crate) mod taskstats;

use rustix::{
    io::Errno,
    net::{
        AddressFamily, Protocol, RecvFlags, SendFlags, SocketFlags, SocketType, netlink::SocketAddrNetlink,
        sockopt,
    },
};
use std::{
    net::SocketAddr,
    os::fd::{AsFd, BorrowedFd, OwnedFd},
};

/// Bytes of a message's header, `struct nlmsghdr`.
pub(crate) const HEADER: usize = 16;
/// The kind of a message that tells an error, or acknowledges: `NLMSG_ERROR`.
pub(crate) const ERROR: u16 = 2;
/// The kind of a message that ends an answer of several: `NLMSG_DONE`.
pub(crate) const DONE: u16 = 3;
/// The mark of a message that asks for something: `NLM_F_REQUEST`.
pub(crate) const REQUEST: u16 = 1;
/// The mark of a message that asks for all that there is: `NLM_F_DUMP`.
pub(crate) const DUMP: u16 = 0x300;
/// The kernel's mark on an answer whose parts do not fit together, since something changed in between: `NLM_F_DUMP_INTR`.
pub(crate) const INTERRUPTED: u16 = 0x10;
/// The bits of an attribute's kind that are no part of its number: `NLA_F_NESTED`, `NLA_F_NET_BYTEORDER`.
const ATTRIBUTE_MARKS: u16 = 0xc000;

/// What can go wrong between us and the kernel.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub(crate) enum NetlinkError {
    /// The kernel refused.
    #[error("{what}: {cause}")]
    Refused {
        /// What was asked.
        what: &'static str,
        /// What the kernel answered.
        cause: std::io::Error,
    },
    /// The kernel's answer is not as its documents say.
    #[error("{what}: {detail}")]
    Malformed {
        /// What was asked.
        what: &'static str,
        /// What is wrong with the answer.
        detail: String,
    },
}

impl NetlinkError {
    /// Says what the kernel refused.
    pub(crate) fn refused(what: &'static str, cause: Errno) -> Self {
        Self::Refused { what, cause: cause.into() }
    }

    /// Says what is wrong with an answer.
    pub(crate) fn malformed(what: &'static str, detail: impl Into<String>) -> Self {
        Self::Malformed { what, detail: detail.into() }
    }
}

/// A netlink socket that talks with the kernel.
#[derive(Debug)]
pub(crate) struct Socket(OwnedFd);

impl Socket {
    /// Opens a socket of one of netlink's protocols, with a port that the kernel chooses, in these multicast groups. `None` is
    /// rtnetlink(7), which has the number 0.
    pub(crate) fn open(protocol: impl Into<Option<Protocol>>, groups: u32) -> Result<Self, Errno> {
        let flags = SocketFlags::CLOEXEC;
        let socket =
            rustix::net::socket_with(AddressFamily::NETLINK, SocketType::RAW, flags, protocol.into())?;
        rustix::net::bind(&socket, &SocketAddrNetlink::new(0, groups))?;
        rustix::net::connect(&socket, &SocketAddrNetlink::new(0, 0))?;
        Ok(Self(socket))
    }

    /// Asks for a receive queue of so many bytes: beyond the system's limit where we may, else as near to it as it lets us come.
    pub(crate) fn set_queue(&self, bytes: usize) {
        if sockopt::set_socket_recv_buffer_size_force(&self.0, bytes).is_err() {
            // Where even that is refused the queue stays as it is: it works, and what it loses is noticed.
            let _ = sockopt::set_socket_recv_buffer_size(&self.0, bytes);
        }
    }

    /// Sends one or more messages at once. The kernel has worked through all of them when this returns.
    pub(crate) fn send(&self, messages: &[u8]) -> Result<(), Errno> {
        rustix::net::send(&self.0, messages, SendFlags::empty()).map(drop)
    }

    /// Takes the next datagram off the queue, if there is one.
    ///
    /// # Errors
    /// `ENOBUFS` where the queue overflowed since the last call, and then once; `EMSGSIZE` where `buffer` is too small.
    pub(crate) fn take<'b>(&self, buffer: &'b mut [u8]) -> Result<Option<&'b [u8]>, Errno> {
        match self.receive(buffer, RecvFlags::DONTWAIT) {
            Ok(length) => Ok(buffer.get(..length)),
            Err(Errno::AGAIN) => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// Waits for the next datagram.
    ///
    /// # Errors
    /// As for [`take`](Self::take).
    pub(crate) fn wait<'b>(&self, buffer: &'b mut [u8]) -> Result<&'b [u8], Errno> {
        self.receive(buffer, RecvFlags::empty()).map(|length| &buffer[..length])
    }

    fn receive(&self, buffer: &mut [u8], flags: RecvFlags) -> Result<usize, Errno> {
        loop {
            match rustix::net::recv(&self.0, &mut *buffer, flags | RecvFlags::TRUNC) {
                Ok((_, length)) if length > buffer.len() => return Err(Errno::MSGSIZE),
                Ok((_, length)) => return Ok(length),
                Err(Errno::INTR) => {}
                Err(error) => return Err(error),
            }
        }
    }
}

impl AsFd for Socket {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
    }
}

/// One message.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Message<'a> {
    /// What it is.
    pub(crate) kind: u16,
    /// What marks it has.
    pub(crate) flags: u16,
    /// The number of the request that it answers.
    pub(crate) sequence: u32,
    /// What it says.
    pub(crate) payload: &'a [u8],
}

impl Message<'_> {
    /// Returns what an error message says: `None` for any other, and for an acknowledgement.
    pub(crate) fn error(&self) -> Option<Errno> {
        // A negative errno, then the request (struct nlmsgerr).
        let code = (self.kind == ERROR).then(|| self.payload.first_chunk())??;
        let code = i32::from_ne_bytes(*code).unsigned_abs();
        (code != 0).then(|| Errno::from_raw_os_error(i32::try_from(code).unwrap_or(i32::MAX)))
    }
}

/// Returns the messages of a datagram, up to the first whose length cannot be true.
pub(crate) fn messages(mut rest: &[u8]) -> impl Iterator<Item = Message<'_>> {
    std::iter::from_fn(move || {
        let length = u32_at(rest, 0)? as usize;
        let message = rest.get(..length)?;
        let payload = message.get(HEADER..)?;
        rest = rest.get(length.next_multiple_of(4)..).unwrap_or_default();
        let (kind, flags) = (u16_at(message, 4)?, u16_at(message, 6)?);
        Some(Message { kind, flags, sequence: u32_at(message, 8)?, payload })
    })
}

/// Returns the attributes in a message or in another attribute, by number and content, up to the first whose length cannot be true.
pub(crate) fn attributes(mut rest: &[u8]) -> impl Iterator<Item = (u16, &[u8])> {
    std::iter::from_fn(move || {
        let length = usize::from(u16_at(rest, 0)?);
        let content = rest.get(..length)?.get(4..)?;
        let kind = u16_at(rest, 2)? & !ATTRIBUTE_MARKS;
        rest = rest.get(length.next_multiple_of(4)..).unwrap_or_default();
        Some((kind, content))
    })
}

/// Returns the attribute of a number, the first if there are more.
pub(crate) fn attribute(rest: &[u8], number: u16) -> Option<&[u8]> {
    attributes(rest).find(|(kind, _)| *kind == number).map(|(_, content)| content)
}

/// Writes a header behind `out`; the length it tells counts a payload of `payload` bytes.
pub(crate) fn push_header(out: &mut Vec<u8>, payload: usize, kind: u16, flags: u16, sequence: u32) {
    let length = u32::try_from(HEADER + payload).expect("messages that we write are short");
    out.extend(length.to_ne_bytes());
    out.extend(kind.to_ne_bytes());
    out.extend(flags.to_ne_bytes());
    out.extend(sequence.to_ne_bytes());
    // The port: the kernel knows ours.
    out.extend(0_u32.to_ne_bytes());
}

/// Writes an attribute behind `out`, padded.
pub(crate) fn push_attribute(out: &mut Vec<u8>, number: u16, content: &[u8]) {
    let length = u16::try_from(4 + content.len()).expect("attributes that we write are short");
    out.extend(length.to_ne_bytes());
    out.extend(number.to_ne_bytes());
    out.extend(content);
    out.resize(out.len().next_multiple_of(4), 0);
}

/// Reads a number at an offset; `None` where the bytes end before it does.
pub(crate) fn u16_at(bytes: &[u8], offset: usize) -> Option<u16> {
    bytes.get(offset..)?.first_chunk().map(|b| u16::from_ne_bytes(*b))
}

/// Reads a number at an offset; `None` where the bytes end before it does.
pub(crate) fn u32_at(bytes: &[u8], offset: usize) -> Option<u32> {
    bytes.get(offset..)?.first_chunk().map(|b| u32::from_ne_bytes(*b))
}

/// Reads a number at an offset; `None` where the bytes end before it does.
pub(crate) fn u64_at(bytes: &[u8], offset: usize) -> Option<u64> {
    bytes.get(offset..)?.first_chunk().map(|b| u64::from_ne_bytes(*b))
}

/// Says of an address that means nothing without its interface (RFC 4007) which one that is: the one that its socket is bound to,
/// `idiag_if` in `struct inet_diag_sockid`.
pub(crate) fn with_scope(address: SocketAddr, interface: u32) -> SocketAddr {
    match address {
        SocketAddr::V6(mut six) if is_scoped(six.ip().segments()[0]) => {
            six.set_scope_id(interface);
            six.into()
        }
        other => other,
    }
}

/// Tells whether an address that begins so is link-local, or for a group on a link or an interface (RFC 4291).
const fn is_scoped(begin: u16) -> bool {
    begin & 0xffc0 == 0xfe80 || begin & 0xff0f == 0xff01 || begin & 0xff0f == 0xff02
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_is_read_back_and_what_is_cut_off_ends_it() {
        let mut bytes = Vec::new();
        for sequence in [7, 8] {
            push_header(&mut bytes, 12 + 8, 18, REQUEST, sequence);
            push_attribute(&mut bytes, 1, b"tasks\0\0\0");
            push_attribute(&mut bytes, 2, &[5]);
        }
        let read: Vec<_> = messages(&bytes).map(|m| (m.kind, m.sequence)).collect();
        assert_eq!(read, [(18, 7), (18, 8)]);
        let payload = messages(&bytes).next().unwrap().payload;
        let read: Vec<_> = attributes(payload).collect();
        assert_eq!(read, [(1, &b"tasks\0\0\0"[..]), (2, &[5][..])]);
        assert_eq!(attribute(payload, 3), None);
        for end in 0..bytes.len() {
            assert!(messages(&bytes[..end]).count() <= end / 36);
            attributes(&bytes[..end]).for_each(drop);
        }
        // Lengths of nothing, of less than a header, and of more than there is.
        for length in [0_u32, 15, 1000, u32::MAX] {
            bytes[..4].copy_from_slice(&length.to_ne_bytes());
            assert_eq!(messages(&bytes).count(), 0);
        }
    }

    #[test]
    fn only_addresses_of_a_link_have_an_interface() {
        for (address, scope) in [
            ("[fe80::1]:5", 7),
            ("[febf::1]:5", 7),
            ("[ff02::1]:5", 7),
            ("[ff11::1]:5", 7),
            ("[fec0::1]:5", 0),
            ("[ff05::1]:5", 0),
            ("[2001:db8::1]:5", 0),
            ("[::]:5", 0),
        ] {
            let SocketAddr::V6(told) = with_scope(address.parse().unwrap(), 7) else { panic!("{address}") };
            assert_eq!(told.scope_id(), scope, "{address}");
        }
        let four = SocketAddr::from(([169, 254, 0, 1], 5));
        assert_eq!(with_scope(four, 7), four);
    }

    #[test]
    fn an_error_is_told_from_an_acknowledgement() {
        let of = |kind, code: i32| {
            let payload = [&code.to_ne_bytes()[..], &[0; 16]].concat();
            Message { kind, flags: 0, sequence: 1, payload: &payload }.error()
        };
        assert_eq!(of(ERROR, -3), Some(Errno::SRCH));
        assert_eq!((of(ERROR, 0), of(19, -3)), (None, None));
    }
}
