//! Open files.

use crate::{
    digest::{KeyDigest, KeyEncoder, KeyPrefix},
    fact::{Ids, details},
    identity::{Entity, Pid},
    raw::RawText,
};
use serde::Serialize;

/// An open file of a process: a descriptor and what it leads to.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct OpenFile {
    /// What makes it this fact.
    #[serde(flatten)]
    pub key: FileKey,
    /// What else is known.
    #[serde(skip)]
    pub details: FileDetails,
}

/// How a file is open: the permission bits of the link `/proc/pid/fd/N` (proc_pid_fd(5)).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize)]
pub enum FileMode {
    /// `O_RDONLY`.
    #[serde(rename = "r")]
    Read,
    /// `O_WRONLY`.
    #[serde(rename = "w")]
    Write,
    /// `O_RDWR`.
    #[serde(rename = "rw")]
    ReadWrite,
    /// `O_PATH`, or neither.
    #[serde(rename = "-")]
    Neither,
    /// Not told (v1).
    #[serde(rename = "?")]
    Unknown,
}

impl FileMode {
    /// Every mode with the text that stands for it in tables and output.
    const TEXTS: [(Self, &str); 5] = [
        (Self::Read, "r"),
        (Self::Write, "w"),
        (Self::ReadWrite, "rw"),
        (Self::Neither, "-"),
        (Self::Unknown, "?"),
    ];

    /// Returns `r`, `w`, `rw`, `-` or `?`.
    #[must_use]
    pub fn text(self) -> &'static str {
        Self::TEXTS[self as usize].1
    }

    /// Reads what [`Self::text`] writes.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        Self::TEXTS.iter().find(|(_, t)| *t == text).map(|(mode, _)| *mode)
    }
}

/// What makes two observations the same open file.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize)]
pub struct FileKey {
    /// The process that holds it.
    #[serde(flatten)]
    pub entity: Entity,
    /// The descriptor's number; [`Self::NO_FD`] where an event told of the file; for v1, which has none, the how-manieth of
    /// equal entries it is, from 0.
    pub fd: u32,
    /// Where the link leads: a path, or the kernel's `socket:[1]`, `pipe:[2]`, `anon_inode:[eventfd]`;
    /// without the ` (deleted)` mark, which is `deleted`.
    pub path: RawText,
    /// How it is open.
    pub mode: FileMode,
    /// Whether the file had been unlinked.
    pub deleted: bool,
}

impl FileKey {
    /// The descriptor of a file that an event told of: such an event does not say by which one.
    pub const NO_FD: u32 = u32::MAX;

    /// Returns `shasum`.
    #[must_use]
    pub fn digest(&self) -> KeyDigest {
        FileDigests::of(self.entity).digest(self)
    }
}

/// The digests of one process's files. Tag, process and the mark of the descriptor's number are 64 bytes, which is one block of
/// SHA-256 of the three that most files' keys are.
#[derive(Debug)]
pub(crate) struct FileDigests {
    /// Whose files these are.
    pub(crate) entity: Entity,
    prefix: KeyPrefix,
}

impl FileDigests {
    pub(crate) fn of(entity: Entity) -> Self {
        Self { entity, prefix: entity.encode(KeyEncoder::new("pofr/file/2")).shared() }
    }

    /// Returns the digest of a file of this process.
    pub(crate) fn digest(&self, file: &FileKey) -> KeyDigest {
        self.prefix.digest(file.fd, |key| {
            key.bytes(file.path.as_bytes()).int(file.mode as u8).int(u8::from(file.deleted))
        })
    }
}

/// The holder's attributes when the file was first seen; filled by the server from the process fact.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct FileDetails {
    /// The holder's parent.
    pub ppid: Option<Pid>,
    /// The holder's ids; `None` as long as not all four are known.
    pub ids: Option<Ids>,
    /// The holder's name.
    pub comm: Option<RawText>,
}

details!(FileDetails: ppid, ids, comm);
