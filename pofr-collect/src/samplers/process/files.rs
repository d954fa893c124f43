//! A process's descriptor table: `/proc/PID/fd` (proc_pid_fd(5)).

use crate::sys;
use pofr_core::{
    fact::{Fact, FileDetails, FileKey, FileMode, Files, OpenFile},
    identity::Entity,
    raw::RawText,
};
use rustix::{
    fs::{AtFlags, CWD, Stat, statat},
    io::Errno,
};
use std::{
    ffi::{CStr, CString},
    os::fd::{AsFd, BorrowedFd},
};

/// The mark that d_path() in fs/d_path.c puts behind the name of a file that has been unlinked.
const DELETED: &[u8] = b" (deleted)";

/// Adds every open file of the process in `dir` to `facts`, and the inodes of those that are sockets to `sockets`.
///
/// All of them or none: where a single link is denied, which is so for root without CAP_SYS_PTRACE, the files are unknown.
pub(super) fn read(
    buffers: &mut sys::Buffers,
    listing: &mut sys::ListingBuffer,
    dir: BorrowedFd<'_>,
    entity: Entity,
    facts: &mut Vec<Fact>,
    sockets: &mut Vec<u64>,
) -> Result<Files, Errno> {
    let before = (facts.len(), sockets.len());
    let table = match sys::open_listing(dir, c"fd") {
        Ok(table) => table,
        Err(error) if sys::is_denied(error) => return Ok(Files::Denied),
        Err(error) => return Err(error),
    };
    let listed = listing.numbers(&table, |name, fd| {
        let text = match buffers.read_link(table.as_fd(), name) {
            Ok(text) => text,
            // Closed since it was listed.
            Err(Errno::NOENT) => return Ok(()),
            // A path of a page and more is not told (do_proc_readlink in fs/proc/base.c): open, and who knows what.
            Err(Errno::NAMETOOLONG) => &[],
            Err(error) => return Err(error),
        };
        let mode = match statat(&table, name, AtFlags::SYMLINK_NOFOLLOW) {
            Ok(stat) => mode(&stat),
            Err(Errno::NOENT) => return Ok(()),
            Err(error) => return Err(error),
        };
        sockets.extend(socket_inode(text));
        let (path, deleted) = match text.strip_suffix(DELETED) {
            Some(path) if text.starts_with(b"/") && !is_really_named(text, dir, table.as_fd(), name) => {
                (path, true)
            }
            _ => (text, false),
        };
        let key = FileKey { entity, fd, path: RawText::from(path), mode, deleted };
        facts.push(Fact::File(OpenFile { key, details: FileDetails::default() }));
        Ok(())
    });
    match listed {
        Ok(()) => Ok(Files::Read),
        Err(error) => {
            facts.truncate(before.0);
            sockets.truncate(before.1);
            if sys::is_denied(error) { Ok(Files::Denied) } else { Err(error) }
        }
    }
}

/// Adds the sockets of a process that is left out; what cannot be read is passed over.
pub(super) fn sockets(
    buffers: &mut sys::Buffers,
    listing: &mut sys::ListingBuffer,
    dir: BorrowedFd<'_>,
    sockets: &mut Vec<u64>,
) {
    let Ok(table) = sys::open_listing(dir, c"fd") else { return };
    let _ = listing.numbers(&table, |name, _| {
        sockets.extend(buffers.read_link(table.as_fd(), name).ok().and_then(socket_inode));
        Ok(())
    });
}

/// Adds the sockets of this very process, whose directory is `dir`; what cannot be read is passed over.
///
/// We run in every tick, so this is asked for in every tick; of its own descriptors the kernel tells a process what they are without
/// the way through `/proc`.
pub(super) fn own_sockets(listing: &mut sys::ListingBuffer, dir: BorrowedFd<'_>, sockets: &mut Vec<u64>) {
    let Ok(table) = sys::open_listing(dir, c"fd") else { return };
    let _ = listing.numbers(&table, |_, fd| {
        sockets.extend(sys::own_socket(fd).ok().flatten());
        Ok(())
    });
}

/// Calls `each` with what stays the same of an open file whatever others do to its name: descriptor, mount and inode number
/// (`/proc/PID/fdinfo`, proc_pid_fdinfo(5)). False where the kernel does not tell: before Linux 5.14, or not to us.
///
/// The file itself is not asked, since it may be on a server that does not answer.
pub(super) fn behind(
    buffers: &mut sys::Buffers,
    listing: &mut sys::ListingBuffer,
    dir: BorrowedFd<'_>,
    mut each: impl FnMut(u32, u64, u64),
) -> bool {
    let Ok(table) = sys::open_listing(dir, c"fdinfo") else { return false };
    let listed = listing.numbers(&table, |name, fd| {
        let text = match buffers.read(table.as_fd(), name) {
            Ok(text) => text,
            Err(Errno::NOENT) => return Ok(()),
            Err(error) => return Err(error),
        };
        let field = |name: &[u8]| {
            let line = text.split(|b| *b == b'\n').find_map(|line| line.strip_prefix(name));
            line.and_then(|value| sys::parse(value.trim_ascii()))
        };
        let (mount, inode) = (field(b"mnt_id:"), field(b"ino:"));
        each(fd, mount.ok_or(Errno::OPNOTSUPP)?, inode.ok_or(Errno::OPNOTSUPP)?);
        Ok(())
    });
    listed.is_ok()
}

/// Reads the number in `socket:[30215]`.
fn socket_inode(text: &[u8]) -> Option<u64> {
    sys::parse(text.strip_prefix(b"socket:[")?.strip_suffix(b"]")?)
}

/// Reads how a file is open from its link's permissions: the owner's r for reading, w for writing.
fn mode(link: &Stat) -> FileMode {
    match (link.st_mode & 0o400 != 0, link.st_mode & 0o200 != 0) {
        (true, true) => FileMode::ReadWrite,
        (true, false) => FileMode::Read,
        (false, true) => FileMode::Write,
        (false, false) => FileMode::Neither,
    }
}

/// Tells whether a file whose link ends like a deleted one's has a name that ends so: then that very name leads to it, seen
/// from here or from the process's own root. (A file with two links, of which one was removed and the other is called
/// like the removed one with the mark, is taken for undeleted.)
fn is_really_named(text: &[u8], dir: BorrowedFd<'_>, table: BorrowedFd<'_>, fd: &CStr) -> bool {
    let Ok(open) = statat(table, fd, AtFlags::empty()) else { return false };
    let same = |found: Result<Stat, Errno>| {
        found.is_ok_and(|named| (named.st_dev, named.st_ino) == (open.st_dev, open.st_ino))
    };
    let within = |prefix: &[u8]| CString::new([prefix, text].concat()).ok();
    within(b"").is_some_and(|path| same(statat(CWD, &path, AtFlags::SYMLINK_NOFOLLOW)))
        || within(b"root").is_some_and(|path| same(statat(dir, &path, AtFlags::SYMLINK_NOFOLLOW)))
}
