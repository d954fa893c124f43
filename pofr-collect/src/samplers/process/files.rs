//! A process's descriptor table: `/proc/PID/fd` (proc_pid_fd(5)).

use crate::{iterators::FileIterator, limits, sys};
use pofr_core::{
    fact::{Fact, FileDetails, FileKey, FileMode, Files, Namespaces, OpenFile},
    identity::{Entity, Pid},
    raw::RawText,
};
use rustix::{
    fs::{AtFlags, statat},
    io::Errno,
};
use std::{
    hash::{Hash as _, Hasher},
    os::fd::{AsFd as _, BorrowedFd},
};

/// Returns a name without the mark, where it has one.
pub(super) fn unmarked(text: &[u8]) -> Option<&[u8]> {
    text.strip_suffix(DELETED).filter(|_| text.starts_with(b"/"))
}

/// The mark that d_path() in fs/d_path.c puts behind the name of a file that has been unlinked.
const DELETED: &[u8] = b" (deleted)";

/// What is behind a process's descriptors, whatever others do to the names: a print of inode numbers with that of the device, as the
/// kernel's iterator tells, or of the mount, as `/proc` does.
#[derive(Clone, Copy, Debug)]
pub(super) enum Behind {
    Device(u64),
    Mount(u64),
}

impl Behind {
    /// Tells whether it is certainly something else.
    pub(super) fn is_not(self, other: Self) -> bool {
        match (self, other) {
            (Self::Device(one), Self::Device(other)) | (Self::Mount(one), Self::Mount(other)) => one != other,
            (Self::Device(_), Self::Mount(_)) | (Self::Mount(_), Self::Device(_)) => false,
        }
    }
}

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
        // The owner's r stands for reading, w for writing.
        let (reads, writes) = match statat(&table, name, AtFlags::SYMLINK_NOFOLLOW) {
            Ok(stat) => (stat.st_mode & 0o400 != 0, stat.st_mode & 0o200 != 0),
            Err(Errno::NOENT) => return Ok(()),
            Err(error) => return Err(error),
        };
        // One more than is told of says that there are more.
        if facts.len() - before.0 <= limits::FILES {
            sockets.extend(socket_inode(text));
            facts.push(fact(entity, fd, text, mode(reads, writes)));
        }
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

/// What the kernel's iterator tells besides.
#[derive(Clone, Copy, Debug)]
pub(super) struct Told {
    pub(super) behind: Behind,
    /// The process's namespaces, where it told them.
    pub(super) namespaces: Option<Namespaces>,
}

/// Does the same by the kernel's iterator; `hasher` takes the print of what is behind the names.
///
/// The caller has made sure that we may see them. That they are those of the thread that it means, and not of one that has its number
/// since, is so if the directory of that can be read afterwards.
pub(super) fn iterate(
    iterator: &mut FileIterator,
    thread: Pid,
    entity: Entity,
    facts: &mut Vec<Fact>,
    sockets: &mut Vec<u64>,
    mut hasher: impl Hasher,
) -> Result<Told, Errno> {
    let before = facts.len();
    let namespaces = iterator.of_process(thread.0, |open| {
        (open.fd, open.device, open.inode).hash(&mut hasher);
        if facts.len() - before <= limits::FILES {
            let text = open.text.unwrap_or_default();
            sockets.extend(socket_inode(text));
            facts.push(fact(entity, open.fd, text, mode(open.reads, open.writes)));
        }
    })?;
    Ok(Told { behind: Behind::Device(hasher.finish()), namespaces })
}

/// Makes the fact of an open file of which the kernel says `text`. Whether a mark at its end is the kernel's, or part of its name, is
/// for the caller to find out.
fn fact(entity: Entity, fd: u32, text: &[u8], mode: FileMode) -> Fact {
    let key = FileKey { entity, fd, path: RawText::from(text), mode, deleted: false };
    Fact::File(OpenFile { key, details: FileDetails::default() })
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

/// Reads the number in `socket:[30215]`.
fn socket_inode(text: &[u8]) -> Option<u64> {
    sys::parse(text.strip_prefix(b"socket:[")?.strip_suffix(b"]")?)
}

/// Says how a file is open.
const fn mode(reads: bool, writes: bool) -> FileMode {
    match (reads, writes) {
        (true, true) => FileMode::ReadWrite,
        (true, false) => FileMode::Read,
        (false, true) => FileMode::Write,
        (false, false) => FileMode::Neither,
    }
}
