//! What can be asked of a worker, and what it answers.

use super::words::{Reader, Writer};
use crate::{programs::FileId, sys::Shared};
use pofr_core::digest::Sha256;
use rustix::io::Errno;

/// Arguments are kept up to so many bytes.
pub(crate) const KEPT: usize = 32 << 10;
/// Arguments up to so many bytes are hashed as a whole where they are cut.
pub(crate) const HASHED: u64 = 128 << 10;
/// A path that the kernel tells in a link is shorter than a page.
pub(super) const PATH: usize = 4096;

/// A question that may take for ever to answer.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Ask<'a> {
    /// What `stat` says: it waits while the process runs another program (since Linux 6.18 at the latest).
    Stat { pid: u32 },
    /// The arguments of a process, and what its program's file is where `file` says so. `length` is the distance from the arguments'
    /// start to their end.
    Process { pid: u32, length: u64, file: bool },
    /// Whether the file behind a descriptor, or the program where there is none, has a name that is this text, seen from here or
    /// from the process's own root.
    Named { pid: u32, fd: Option<u32>, text: &'a [u8] },
    /// Whether two processes share something (kcmp(2)).
    Share { one: u32, other: u32, what: Shared },
    /// A print of what is behind the descriptors (`/proc/PID/fdinfo`).
    Behind { pid: u32 },
    /// Opens the program of a process, to be read under a number.
    Open { pid: u32, slot: usize },
    /// Reads the next piece of an open program.
    Read { pid: u32, slot: usize },
    /// Closes a program, and tells its digest and what its file is now.
    Finish { pid: u32, slot: usize },
}

/// Arguments as they were read.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Arguments {
    /// The first [`KEPT`] bytes at most.
    pub(crate) kept: Vec<u8>,
    /// Where those are not all: the length of all, and their digest where they are at most [`HASHED`].
    pub(crate) cut: Option<(u64, Option<Sha256>)>,
}

/// What a worker answers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Answer {
    /// To [`Ask::Stat`]: the inode number of the process's directory, and the line.
    Stat(Result<(u64, Vec<u8>), Errno>),
    /// To [`Ask::Process`].
    Process { arguments: Result<Arguments, Errno>, file: Option<FileId> },
    /// To [`Ask::Named`] and [`Ask::Share`].
    Is(Result<bool, Errno>),
    /// To [`Ask::Behind`]; `None` where the kernel does not tell.
    Behind(Option<u64>),
    /// To [`Ask::Open`].
    Opened(Result<FileId, Errno>),
    /// To [`Ask::Read`]: how many bytes, and the CPU time that took, µs.
    Read(Result<u64, Errno>, u64),
    /// To [`Ask::Finish`].
    Finished(Option<(FileId, Sha256)>),
}

/// What kind of a question: who does not answer one may answer another.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    Stat,
    Process,
    Names,
    Share,
    Behind,
    Program,
}

/// The most words that a question without its text takes.
const HEAD: usize = 5;

impl Ask<'_> {
    /// Returns of whom it is.
    pub(super) const fn pid(&self) -> u32 {
        match *self {
            Self::Stat { pid }
            | Self::Process { pid, .. }
            | Self::Named { pid, .. }
            | Self::Share { one: pid, .. }
            | Self::Behind { pid }
            | Self::Open { pid, .. }
            | Self::Read { pid, .. }
            | Self::Finish { pid, .. } => pid,
        }
    }

    pub(super) const fn kind(&self) -> Kind {
        match self {
            Self::Stat { .. } => Kind::Stat,
            Self::Process { .. } => Kind::Process,
            Self::Named { .. } => Kind::Names,
            Self::Share { .. } => Kind::Share,
            Self::Behind { .. } => Kind::Behind,
            Self::Open { .. } | Self::Read { .. } | Self::Finish { .. } => Kind::Program,
        }
    }

    /// Returns for how many words it needs room.
    pub(super) const fn words(&self) -> usize {
        match self {
            Self::Named { text, .. } => HEAD + text.len().div_ceil(8),
            _ => HEAD,
        }
    }

    /// Writes it down.
    pub(super) fn write(&self, to: &mut Writer<'_>) {
        match *self {
            Self::Process { pid, length, file } => {
                [0, pid.into(), length, file.into()].into_iter().for_each(|word| to.put(word));
            }
            Self::Named { pid, fd, text } => {
                let fd = fd.map_or(u64::MAX, u64::from);
                [1, pid.into(), fd].into_iter().for_each(|word| to.put(word));
                to.put_bytes(text);
            }
            Self::Share { one, other, what } => {
                [2, one.into(), other.into(), what as u64].into_iter().for_each(|word| to.put(word));
            }
            Self::Stat { pid } => [7, pid.into()].into_iter().for_each(|word| to.put(word)),
            Self::Behind { pid } => [3, pid.into()].into_iter().for_each(|word| to.put(word)),
            Self::Open { pid, slot } => {
                [4, pid.into(), slot as u64].into_iter().for_each(|word| to.put(word));
            }
            Self::Read { pid, slot } => {
                [5, pid.into(), slot as u64].into_iter().for_each(|word| to.put(word));
            }
            Self::Finish { pid, slot } => {
                [6, pid.into(), slot as u64].into_iter().for_each(|word| to.put(word));
            }
        }
    }
}

/// Reads a question; a text goes to `text`. It allocates nothing.
pub(super) fn read<'t>(from: &mut Reader<'_>, text: &'t mut [u8; PATH]) -> Option<Ask<'t>> {
    let kind = from.take();
    Some(match kind {
        0 => Ask::Process { pid: from.take_u32(), length: from.take(), file: from.take() != 0 },
        1 => {
            let (pid, fd) = (from.take_u32(), u32::try_from(from.take()).ok());
            let length = from.take_bytes(text);
            Ask::Named { pid, fd, text: &text[..length] }
        }
        2 => {
            let (one, other) = (from.take_u32(), from.take_u32());
            let what = match from.take() {
                1 => Shared::Memory,
                2 => Shared::Files,
                _ => Shared::Directory,
            };
            Ask::Share { one, other, what }
        }
        7 => Ask::Stat { pid: from.take_u32() },
        3 => Ask::Behind { pid: from.take_u32() },
        4 => Ask::Open { pid: from.take_u32(), slot: number(from.take()) },
        5 => Ask::Read { pid: from.take_u32(), slot: number(from.take()) },
        6 => Ask::Finish { pid: from.take_u32(), slot: number(from.take()) },
        _ => return None,
    })
}

fn number(word: u64) -> usize {
    usize::try_from(word).unwrap_or(usize::MAX)
}

/// Writes what may have failed: 0 and what comes after, or the error's number.
pub(super) fn put_result(to: &mut Writer<'_>, error: Option<Errno>) {
    to.put(error.map_or(0, |error| u64::from(error.raw_os_error().unsigned_abs())));
}

fn take_result(from: &mut Reader<'_>) -> Result<(), Errno> {
    match i32::try_from(from.take()) {
        Ok(0) => Ok(()),
        Ok(code) => Err(Errno::from_raw_os_error(code)),
        Err(_) => Err(Errno::IO),
    }
}

/// Writes a file's state, or that there is none.
pub(super) fn put_file(to: &mut Writer<'_>, file: Option<FileId>) {
    to.put(file.is_some().into());
    file.unwrap_or_default().words().into_iter().for_each(|word| to.put(word));
}

fn take_file(from: &mut Reader<'_>) -> Option<FileId> {
    let is_some = from.take() != 0;
    let words = std::array::from_fn(|_| from.take());
    is_some.then(|| FileId::of_words(words))
}

/// Writes a digest, or that there is none.
pub(super) fn put_digest(to: &mut Writer<'_>, digest: Option<[u8; 32]>) {
    to.put(digest.is_some().into());
    to.put_bytes(&digest.unwrap_or_default());
}

fn take_digest(from: &mut Reader<'_>) -> Option<Sha256> {
    let is_some = from.take() != 0;
    let mut bytes = [0; 32];
    from.take_bytes(&mut bytes);
    is_some.then_some(Sha256(bytes))
}

impl Answer {
    /// Reads the answer to a question.
    pub(super) fn read(to: &Ask<'_>, from: &mut Reader<'_>) -> Self {
        match to {
            Ask::Stat { .. } => Self::Stat(take_result(from).map(|()| (from.take(), from.bytes()))),
            Ask::Process { .. } => {
                let arguments = take_result(from).map(|()| {
                    let kept = from.bytes();
                    let bytes = from.take();
                    let sha256 = take_digest(from);
                    Arguments { cut: (bytes > kept.len() as u64).then_some((bytes, sha256)), kept }
                });
                Self::Process { arguments, file: take_file(from) }
            }
            Ask::Named { .. } | Ask::Share { .. } => Self::Is(take_result(from).map(|()| from.take() != 0)),
            Ask::Behind { .. } => {
                let is_some = from.take() != 0;
                let print = from.take();
                Self::Behind(is_some.then_some(print))
            }
            Ask::Open { .. } => {
                let result = take_result(from);
                let file = take_file(from);
                Self::Opened(result.and_then(|()| file.ok_or(Errno::IO)))
            }
            Ask::Read { .. } => {
                let result = take_result(from);
                let bytes = from.take();
                Self::Read(result.map(|()| bytes), from.take())
            }
            Ask::Finish { .. } => {
                let file = take_file(from);
                let digest = take_digest(from);
                Self::Finished(file.zip(digest))
            }
        }
    }
}
