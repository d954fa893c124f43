//! Calls about network namespaces: what a file of nsfs tells (ioctl_ns(2)), of which namespace a socket is, entering one, and of which
//! one a message of netlink comes.

use rustix::{
    io::Errno,
    thread::{LinkNameSpaceType, move_into_link_name_space},
};
use std::os::fd::{AsFd, AsRawFd as _, BorrowedFd, FromRawFd as _, OwnedFd};

/// `SIOCGSKNS`: the namespace of a socket, as a file. It takes CAP_NET_ADMIN over it.
const OF_SOCKET: libc::c_ulong = 0x894c;
/// `NS_GET_USERNS`: the user namespace that owns a namespace, as a file.
const OWNER: libc::c_ulong = 0xb701;
/// `NS_GET_OWNER_UID`: who made a user namespace.
const OWNER_UID: libc::c_ulong = 0xb704;
/// The kind of the message about a message that says of which namespace it is: `NETLINK_LISTEN_ALL_NSID`.
const LISTEN_ALL_NSID: libc::c_int = 8;

/// Returns the network namespace of a socket.
pub(crate) fn of_socket(socket: impl AsFd) -> Result<OwnedFd, Errno> {
    file_of(socket.as_fd(), OF_SOCKET)
}

/// Returns the uid of who made the user namespace that owns a namespace, as our own user namespace numbers it.
pub(crate) fn owner(namespace: impl AsFd) -> Result<u32, Errno> {
    let owner = file_of(namespace.as_fd(), OWNER)?;
    let mut uid: libc::uid_t = 0;
    #[expect(unsafe_code, reason = "no crate of ours has this call")]
    // SAFETY: the call writes one uid_t to where it points, which is live and as large.
    let result = unsafe { libc::ioctl(owner.as_raw_fd(), OWNER_UID as _, &raw mut uid) };
    if result < 0 { Err(last()) } else { Ok(uid) }
}

/// Has the calling thread, and no other, live in a network namespace. It takes CAP_SYS_ADMIN.
pub(crate) fn enter(namespace: impl AsFd) -> Result<(), Errno> {
    move_into_link_name_space(namespace.as_fd(), Some(LinkNameSpaceType::Network))
}

/// Calls ioctl(2) for a descriptor.
fn file_of(file: BorrowedFd<'_>, what: libc::c_ulong) -> Result<OwnedFd, Errno> {
    #[expect(unsafe_code, reason = "no crate of ours has this call")]
    // SAFETY: these calls take no argument: no memory of ours is read or written.
    let fd = unsafe { libc::ioctl(file.as_raw_fd(), what as _) };
    if fd < 0 {
        return Err(last());
    }
    #[expect(unsafe_code, reason = "the descriptor comes from a call that only libc has")]
    // SAFETY: the kernel has just returned this descriptor to us, and nobody else knows of it.
    Ok(unsafe { OwnedFd::from_raw_fd(fd) })
}

fn last() -> Errno {
    Errno::from_io_error(&std::io::Error::last_os_error()).unwrap_or(Errno::IO)
}

/// Takes the next datagram off a netlink socket, without waiting: its length, and the number that our own namespace has for the one
/// which it comes from, where that is another.
///
/// # Errors
/// `EAGAIN` where there is none; `EMSGSIZE` where `buffer` is too small.
pub(crate) fn receive_with_origin(
    socket: BorrowedFd<'_>,
    buffer: &mut [u8],
) -> Result<(usize, Option<i32>), Errno> {
    // Room for some such messages, aligned as they must be.
    let mut control = [0_usize; 16];
    let mut part = libc::iovec { iov_base: buffer.as_mut_ptr().cast(), iov_len: buffer.len() };
    #[expect(unsafe_code, reason = "rustix knows no such message about a message")]
    // SAFETY: a msghdr of zeros is one: no name, no parts, no room. What is put into it then points to live buffers of the lengths
    // that stand beside them, which recvmsg(2) fills up to these; the macros look at no more than what it says that it filled, and
    // a number is only read where the header before it says that it is there.
    unsafe {
        let mut message: libc::msghdr = std::mem::zeroed();
        message.msg_iov = &raw mut part;
        message.msg_iovlen = 1;
        message.msg_control = control.as_mut_ptr().cast();
        message.msg_controllen = size_of_val(&control) as _;
        let length = libc::recvmsg(socket.as_raw_fd(), &raw mut message, libc::MSG_DONTWAIT);
        let length = usize::try_from(length).map_err(|_| last())?;
        if message.msg_flags & libc::MSG_TRUNC != 0 {
            return Err(Errno::MSGSIZE);
        }
        let mut at = libc::CMSG_FIRSTHDR(&raw const message);
        while let Some(header) = at.as_ref() {
            let is_whole = header.cmsg_len >= libc::CMSG_LEN(4) as _;
            if (header.cmsg_level, header.cmsg_type) == (libc::SOL_NETLINK, LISTEN_ALL_NSID) && is_whole {
                return Ok((length, Some(libc::CMSG_DATA(at).cast::<i32>().read_unaligned())));
            }
            at = libc::CMSG_NXTHDR(&raw const message, at);
        }
        Ok((length, None))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::{net::UdpSocket, os::unix::fs::MetadataExt as _};

    #[test]
    fn a_socket_of_ours_is_of_our_namespace() {
        let own = std::fs::File::open("/proc/thread-self/ns/net").unwrap();
        let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
        match of_socket(&socket) {
            Ok(found) => {
                let found = std::fs::File::from(found).metadata().unwrap();
                assert_eq!(found.ino(), own.metadata().unwrap().ino());
            }
            Err(error) => assert_eq!(error, Errno::PERM),
        }
        assert!(of_socket(&own).is_err(), "it is no socket");
        // Where we live in the first user namespace, root made it.
        assert!(matches!(owner(&own), Ok(0) | Err(Errno::PERM)));
    }
}
