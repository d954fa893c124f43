//! Generic netlink: families that are known by name and numbered at boot (Documentation/userspace-api/netlink/intro.rst).

use super::{NetlinkError, REQUEST, Socket, attribute, messages, push_attribute, push_header, u16_at};
use rustix::net::netlink;

/// Bytes of the header that stands behind netlink's own, `struct genlmsghdr`.
pub(crate) const HEADER: usize = 4;
/// The kind of messages to and from generic netlink itself: `GENL_ID_CTRL`.
const CONTROL: u16 = 0x10;
/// `CTRL_CMD_GETFAMILY`.
const GET_FAMILY: u8 = 3;
/// `CTRL_ATTR_FAMILY_ID`.
const FAMILY_ID: u16 = 1;
/// `CTRL_ATTR_FAMILY_NAME`.
const FAMILY_NAME: u16 = 2;

/// A connection with one family.
#[derive(Debug)]
pub(crate) struct Family {
    /// The socket.
    pub(crate) socket: Socket,
    /// The kind of the family's messages.
    pub(crate) kind: u16,
}

impl Family {
    /// Connects with the family of that name.
    ///
    /// # Errors
    /// `ENOENT` where the kernel has no such family.
    pub(crate) fn open(name: &'static str) -> Result<Self, NetlinkError> {
        let refused = |cause| NetlinkError::refused("generic netlink", cause);
        let socket = Socket::open(netlink::GENERIC, 0).map_err(refused)?;
        let text = [name.as_bytes(), &[0]].concat();
        let mut request = Vec::new();
        push_request(&mut request, CONTROL, GET_FAMILY, 1, FAMILY_NAME, &text);
        socket.send(&request).map_err(refused)?;
        let mut buffer = [0; 8192];
        while let Some(datagram) = socket.take(&mut buffer).map_err(refused)? {
            for message in messages(datagram).filter(|message| message.sequence == 1) {
                if let Some(cause) = message.error() {
                    return Err(NetlinkError::refused(name, cause));
                }
                let attributes = message.payload.get(HEADER..).unwrap_or_default();
                if let Some(kind) = attribute(attributes, FAMILY_ID).and_then(|id| u16_at(id, 0)) {
                    return Ok(Self { socket, kind });
                }
            }
        }
        Err(NetlinkError::malformed(name, "the kernel does not tell the number of the family"))
    }
}

/// Writes a request of a family with one attribute behind `out`.
pub(crate) fn push_request(
    out: &mut Vec<u8>,
    kind: u16,
    command: u8,
    sequence: u32,
    number: u16,
    content: &[u8],
) {
    let payload = HEADER + (4 + content.len()).next_multiple_of(4);
    push_header(out, payload, kind, REQUEST, sequence);
    // The command, the version of its format, which is 1 for all that we use, and two bytes of nothing.
    out.extend([command, 1, 0, 0]);
    push_attribute(out, number, content);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_kernel_knows_itself_and_not_what_is_not_there() {
        assert_eq!(Family::open("nlctrl").unwrap().kind, CONTROL);
        let error = Family::open("pofr-no-such").unwrap_err().to_string();
        assert!(error.starts_with("pofr-no-such: No such file"), "{error}");
    }
}
