//! A fanotify group: made, marked, read.

use super::event::{self, Event, Handle};
use nix::{
    errno::Errno,
    sys::fanotify::{EventFFlags, Fanotify, InitFlags, MarkFlags, MaskFlags},
};
use pofr_core::{collector::CollectError, identity::Pid, raw::RawText};
use std::{
    os::{
        fd::{AsFd as _, BorrowedFd},
        unix::ffi::OsStrExt as _,
        unix::fs::MetadataExt as _,
    },
    path::Path,
};

/// FAN_REPORT_FID, FAN_REPORT_DIR_FID, FAN_REPORT_NAME (Linux 5.9; include/uapi/linux/fanotify.h).
const WITH_NAMES: u32 = 0x200 | 0x400 | 0x800;
/// Room for the events of one read(2).
const BUFFER_BYTES: usize = 64 << 10;

/// What a kernel from 5.9 on tells with the directory and the name, or an older one by a descriptor of the file.
pub(super) struct Group {
    fanotify: Fanotify,
    buffer: Vec<u8>,
    /// Whether events have names: then creations, deletions and renamings are told, too.
    pub(super) named: bool,
    /// Creation, deletion, renaming, as this kernel knows them.
    entries: MaskFlags,
}

/// What is to be told of a path.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Mark {
    /// Names made, removed and changed in this directory.
    Entries,
    /// The same, and what is done to the files in it.
    Dir,
    /// What is done to this file.
    File,
    /// What is done anywhere in the filesystem.
    Filesystem,
}

impl Group {
    /// Makes a group, with names if the kernel can.
    pub(super) fn new() -> Result<Self, CollectError> {
        match Self::with(true) {
            Err(Errno::EINVAL) => Self::with(false),
            other => other,
        }
        .map_err(|errno| CollectError::Unavailable { what: "fanotify".to_owned(), cause: errno.into() })
    }

    /// Makes a group with names or without.
    pub(super) fn with(named: bool) -> Result<Self, Errno> {
        let mut flags = InitFlags::FAN_CLASS_NOTIF | InitFlags::FAN_CLOEXEC | InitFlags::FAN_NONBLOCK;
        if named {
            flags |= InitFlags::from_bits_retain(WITH_NAMES);
        }
        let descriptors = EventFFlags::O_RDONLY | EventFFlags::O_LARGEFILE | EventFFlags::O_CLOEXEC;
        let fanotify = Fanotify::init(flags, descriptors)?;
        let entries =
            MaskFlags::FAN_CREATE | MaskFlags::FAN_DELETE | MaskFlags::FAN_RENAME | MaskFlags::FAN_ONDIR;
        let entries = if named { entries } else { MaskFlags::empty() };
        Ok(Self { fanotify, buffer: vec![0; if named { BUFFER_BYTES } else { 0 }], named, entries })
    }

    /// Watches a path; with `opens`, opening it to read is told as well. Marks of one path add up.
    pub(super) fn mark(&mut self, path: &Path, mark: Mark, opens: bool) -> Result<(), Errno> {
        let mut files = MaskFlags::FAN_OPEN_EXEC | MaskFlags::FAN_CLOSE_WRITE;
        if opens {
            files |= MaskFlags::FAN_OPEN | MaskFlags::FAN_CLOSE_NOWRITE;
        }
        let mut flags = MarkFlags::FAN_MARK_ADD;
        if mark == Mark::Filesystem {
            flags |= MarkFlags::FAN_MARK_FILESYSTEM;
        } else {
            flags |= MarkFlags::FAN_MARK_DONT_FOLLOW;
        }
        loop {
            let mask = match mark {
                Mark::Entries => self.entries,
                Mark::Dir => self.entries | files | MaskFlags::FAN_EVENT_ON_CHILD,
                Mark::File => files,
                Mark::Filesystem => self.entries | files,
            };
            if mask.is_empty() {
                return Ok(());
            }
            match self.fanotify.mark(flags, mask, rustix::fs::CWD, Some(path)) {
                // Before Linux 5.17 a renaming is two events, one for each name.
                Err(Errno::EINVAL) if self.entries.contains(MaskFlags::FAN_RENAME) => {
                    self.entries.remove(MaskFlags::FAN_RENAME);
                    self.entries |= MaskFlags::FAN_MOVED_FROM | MaskFlags::FAN_MOVED_TO;
                }
                other => return other,
            }
        }
    }

    pub(super) fn descriptor(&self) -> BorrowedFd<'_> {
        self.fanotify.as_fd()
    }

    /// Reads some of what waits; false where nothing does.
    pub(super) fn read(&mut self, each: impl FnMut(Event)) -> Result<bool, CollectError> {
        let length = match rustix::io::read(self.fanotify.as_fd(), &mut self.buffer) {
            Ok(length) => length,
            Err(rustix::io::Errno::AGAIN) => return Ok(false),
            Err(rustix::io::Errno::INTR) => return Ok(true),
            Err(errno) => {
                return Err(CollectError::Unavailable {
                    what: "cannot read events of fanotify".to_owned(),
                    cause: errno.into(),
                });
            }
        };
        event::parse(&self.buffer[..length], each)
            .map_err(|detail| CollectError::Malformed { what: "event of fanotify".to_owned(), detail })?;
        Ok(true)
    }

    /// Reads some of what waits in a group without names, with the paths of the files; false where nothing does.
    pub(super) fn read_unnamed(
        &mut self,
        mut each: impl FnMut(Event, RawText),
    ) -> Result<bool, CollectError> {
        let events = match self.fanotify.read_events() {
            Ok(events) => events,
            Err(Errno::EAGAIN) => return Ok(false),
            Err(Errno::EINTR) => return Ok(true),
            Err(errno) => {
                return Err(CollectError::Unavailable {
                    what: "cannot read events of fanotify".to_owned(),
                    cause: errno.into(),
                });
            }
        };
        for event in events {
            let link = event.fd().map(|fd| {
                let link = format!("/proc/self/fd/{}", std::os::fd::AsRawFd::as_raw_fd(&fd));
                let path = std::fs::read_link(&link).unwrap_or_default();
                let of = std::fs::metadata(&link).ok();
                let id = of.map_or([[0; 8]; 2], |of| [of.dev().to_ne_bytes(), of.ino().to_ne_bytes()]);
                (RawText::from(path.as_os_str().as_bytes()), id)
            });
            let (path, [filesystem, inode]) = link.unwrap_or_default();
            let event = Event {
                mask: event.mask(),
                pid: Pid(u32::try_from(event.pid()).unwrap_or(0)),
                at: None,
                old: None,
                new: None,
                file: Some(Handle { filesystem, bytes: inode.to_vec() }),
            };
            each(event, path);
        }
        Ok(true)
    }
}

impl std::fmt::Debug for Group {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Group").field("named", &self.named).finish_non_exhaustive()
    }
}
