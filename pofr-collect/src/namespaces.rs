//! The namespaces of a process, as the links in its `/proc/PID/ns` tell them (namespaces(7)).

use crate::sys;
use pofr_core::{fact::Namespaces, raw::Reading};
use std::{ffi::CStr, os::fd::BorrowedFd};

/// Reads the namespaces of the process in `dir`; if one is denied, all are.
pub(crate) fn read(buffers: &mut sys::Buffers, dir: BorrowedFd<'_>) -> Reading<Namespaces> {
    let mut denied = false;
    let mut one = |name: &CStr| match buffers.read_link(dir, name) {
        Ok(text) => inode(text).unwrap_or(0),
        Err(error) => {
            denied |= sys::is_denied(error);
            0
        }
    };
    let namespaces = Namespaces {
        cgroup: one(c"ns/cgroup"),
        ipc: one(c"ns/ipc"),
        mnt: one(c"ns/mnt"),
        net: one(c"ns/net"),
        pid: one(c"ns/pid"),
        time: one(c"ns/time"),
        user: one(c"ns/user"),
        uts: one(c"ns/uts"),
    };
    if denied { Reading::Denied } else { Reading::Known(namespaces) }
}

/// Reads the number in a namespace's link, such as `net:[4026531840]`.
pub(crate) fn inode(link: &[u8]) -> Option<u32> {
    let open = link.iter().position(|b| *b == b'[')?;
    number(&link[open..])
}

/// Reads the number in brackets at the end of a link, such as `[4026531840]`.
pub(crate) fn number<T: std::str::FromStr>(brackets: &[u8]) -> Option<T> {
    sys::parse(brackets.strip_prefix(b"[")?.strip_suffix(b"]")?)
}
