//! The worker: does what may wait for ever. It runs in a child, where it allocates nothing and takes no lock; where no child can be
//! made, in this process.

use super::{
    ask::{self, Ask, HASHED, KEPT, PATH, put_digest, put_file, put_result},
    words::{Reader, Writer},
};
use crate::{programs::FileId, programs::open_program, sys};
use rustix::{
    fs::{AtFlags, CWD, Mode, OFlags, Stat, statat},
    io::Errno,
    path::DecInt,
    time::{ClockId, clock_gettime},
};
use sha2::{Digest as _, Sha256 as Digest};
use std::{
    ffi::CStr,
    hash::{BuildHasher as _, Hash as _, Hasher as _, RandomState},
    io::{PipeReader, PipeWriter},
    os::fd::{AsFd as _, BorrowedFd, OwnedFd},
    sync::atomic::{AtomicU64, Ordering},
};

/// Programs that can be open at a time.
pub(crate) const SLOTS: usize = 32;
/// How much of a program is read at a time.
const CHUNK: usize = 128 << 10;
/// A line of `stat` is shorter: 51 numbers and a name of 64 bytes.
const STAT: usize = 2048;
/// Room for an answer without its bytes, words.
const HEAD: usize = 32;
/// The area's first words: how many answers are there, of how many questions, and the CPU time that a child has used, µs.
const DONE: usize = 0;
const COUNT: usize = 1;
const CPU: usize = 2;
const FIRST: usize = 3;
/// Words for questions.
pub(super) const QUESTIONS: usize = 8 << 10;
/// Words of an area, answers included.
pub(super) const AREA: usize = 64 << 10;

/// A program that is being read.
struct Program {
    file: OwnedFd,
    digest: Digest,
}

/// Answers questions that lie in an area.
pub(super) struct Worker {
    /// `/proc`.
    pub(super) proc: OwnedFd,
    text: Vec<u8>,
    listing: sys::ListingBuffer,
    keys: RandomState,
    programs: [Option<Program>; SLOTS],
}

impl std::fmt::Debug for Worker {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Worker").field("proc", &self.proc).finish_non_exhaustive()
    }
}

/// Where questions are written.
pub(super) fn questions(area: &[AtomicU64]) -> &[AtomicU64] {
    &area[FIRST..FIRST + QUESTIONS]
}

/// Where answers are.
pub(super) fn answers(area: &[AtomicU64]) -> &[AtomicU64] {
    &area[FIRST + QUESTIONS..]
}

/// Says how many questions there are, none of them answered.
pub(super) fn set_count(area: &[AtomicU64], count: usize) {
    area[DONE].store(0, Ordering::Relaxed);
    area[COUNT].store(count as u64, Ordering::Release);
}

/// Returns how many are answered.
pub(super) fn done(area: &[AtomicU64]) -> usize {
    usize::try_from(area[DONE].load(Ordering::Acquire)).unwrap_or(0)
}

/// Returns the CPU time that a child has used, µs.
pub(super) fn used(area: &[AtomicU64]) -> u64 {
    area[CPU].load(Ordering::Relaxed)
}

/// What a child says of itself: its number in `/proc`.
pub(super) fn number(area: &[AtomicU64]) -> Option<u32> {
    u32::try_from(area[COUNT].load(Ordering::Acquire)).ok().filter(|number| *number != 0)
}

impl Worker {
    pub(super) fn new(proc: OwnedFd) -> Self {
        Self {
            proc,
            text: vec![0; CHUNK],
            listing: sys::ListingBuffer::default(),
            keys: RandomState::new(),
            programs: Default::default(),
        }
    }

    /// Forgets the programs that are open.
    pub(super) fn forget(&mut self) {
        self.programs = Default::default();
    }

    /// Serves as a child: says its number in `/proc`, and answers until there is nobody to ask.
    pub(super) fn serve(&mut self, area: &[AtomicU64], asked: &PipeReader, answered: &PipeWriter) {
        // What cannot be given up is kept; what cannot be set stays.
        let _ = sys::keep_reading_only();
        let _ = rustix::process::set_parent_process_death_signal(Some(rustix::process::Signal::KILL));
        let _ = rustix::thread::set_name(c"pofr-probe");
        let mut link = [0; 16];
        let own = rustix::fs::readlinkat_raw(&self.proc, c"self", link.as_mut_slice());
        let own = own.ok().and_then(|length| sys::parse::<u64>(&link[..length]));
        area[COUNT].store(own.unwrap_or(0), Ordering::Release);
        let mut signal = [0; 1];
        loop {
            if !matches!(rustix::io::write(answered, &[1]), Ok(1)) {
                return;
            }
            if !matches!(rustix::io::read(asked, &mut signal), Ok(1)) {
                return;
            }
            self.answer(area);
            area[CPU].store(cpu(), Ordering::Relaxed);
        }
    }

    /// Answers the questions of an area one after the other; those for whose answers there is no room stay unanswered.
    pub(super) fn answer(&mut self, area: &[AtomicU64]) {
        let count = area[COUNT].load(Ordering::Acquire);
        let mut from = Reader::new(questions(area));
        let mut to = Writer::new(answers(area));
        for index in 0..count {
            let mut text = [0; PATH];
            let Some(ask) = ask::read(&mut from, &mut text) else { return };
            if to.room() < HEAD + KEPT / 8 {
                return;
            }
            self.answer_one(&ask, &mut to);
            area[DONE].store(index + 1, Ordering::Release);
        }
    }

    fn answer_one(&mut self, ask: &Ask<'_>, to: &mut Writer<'_>) {
        match *ask {
            Ask::Stat { pid } => self.stat(pid, to),
            Ask::Process { pid, length, file } => self.process(pid, length, file, to),
            Ask::Named { pid, fd, text } => {
                put_result(to, None);
                to.put(self.is_named(pid, fd, text).into());
            }
            Ask::Share { one, other, what } => {
                let shared = sys::share(one, other, what);
                put_result(to, shared.err());
                if let Ok(shared) = shared {
                    to.put(shared.into());
                }
            }
            Ask::Behind { pid } => {
                let print = self.behind(pid);
                to.put(print.is_some().into());
                to.put(print.unwrap_or(0));
            }
            Ask::Open { pid, slot } => {
                let opened = self.open(pid, slot);
                put_result(to, opened.err());
                put_file(to, opened.ok());
            }
            Ask::Read { slot, .. } => {
                let before = cpu();
                let read = self.read(slot);
                put_result(to, read.err());
                to.put(read.unwrap_or(0));
                to.put(cpu().saturating_sub(before));
            }
            Ask::Finish { slot, .. } => {
                let finished = self.programs.get_mut(slot).and_then(Option::take);
                let file = finished.as_ref().and_then(|program| FileId::of_open(&program.file).ok());
                put_file(to, file);
                put_digest(to, finished.map(|program| program.digest.finalize().into()));
            }
        }
    }

    /// Opens the directory of a process.
    fn dir(&self, pid: u32) -> Result<OwnedFd, Errno> {
        sys::open_process(self.proc.as_fd(), pid)
    }

    fn stat(&mut self, pid: u32, to: &mut Writer<'_>) {
        let read = self.dir(pid).and_then(|dir| {
            let inode = rustix::fs::fstat(&dir)?.st_ino;
            let file = open_to_read(dir.as_fd(), c"stat")?;
            Ok((inode, fill(&file, &mut self.text[..STAT])?))
        });
        put_result(to, read.err());
        if let Ok((inode, length)) = read {
            to.put(inode);
            to.put_bytes(&self.text[..length]);
        }
    }

    fn process(&mut self, pid: u32, length: u64, file: bool, to: &mut Writer<'_>) {
        match self.dir(pid) {
            Ok(dir) => {
                self.arguments(dir.as_fd(), length, to);
                put_file(to, file.then(|| FileId::of_program(dir.as_fd()).ok()).flatten());
            }
            Err(error) => {
                put_result(to, Some(error));
                put_file(to, None);
            }
        }
    }

    /// Reads the arguments up to what is hashed, and tells the first of them.
    fn arguments(&mut self, dir: BorrowedFd<'_>, length: u64, to: &mut Writer<'_>) {
        let read = open_to_read(dir, c"cmdline").and_then(|file| {
            let n = fill(&file, &mut self.text[..KEPT])?;
            if n < KEPT {
                return Ok((n, n as u64, None));
            }
            let (first, rest) = self.text.split_at_mut(KEPT);
            let mut digest = Digest::new();
            digest.update(first);
            let mut all = KEPT as u64;
            loop {
                match fill(&file, &mut rest[..KEPT])? {
                    0 if all == KEPT as u64 => return Ok((KEPT, all, None)),
                    0 => return Ok((KEPT, all, Some(digest.finalize().into()))),
                    more => {
                        digest.update(&rest[..more]);
                        all += more as u64;
                        if all > HASHED {
                            return Ok((KEPT, all.max(length), None));
                        }
                    }
                }
            }
        });
        put_result(to, read.err());
        if let Ok((kept, all, digest)) = read {
            to.put_bytes(&self.text[..kept]);
            to.put(all);
            put_digest(to, digest);
        }
    }

    /// Tells whether the file behind a link has a name that is the link's text: that very name leads to it, seen from here or from
    /// the process's own root. (A file with two links, of which one was removed and the other is called like the removed one
    /// with the mark, is taken for undeleted.)
    fn is_named(&mut self, pid: u32, fd: Option<u32>, text: &[u8]) -> bool {
        let Ok(dir) = self.dir(pid) else { return false };
        let open = match fd {
            None => statat(&dir, c"exe", AtFlags::empty()),
            Some(fd) => {
                let fds = sys::open_place(dir.as_fd(), c"fd");
                fds.and_then(|fds| statat(&fds, DecInt::new(fd).as_c_str(), AtFlags::empty()))
            }
        };
        let Ok(open) = open else { return false };
        let same = |found: Result<Stat, Errno>| {
            found.is_ok_and(|named| (named.st_dev, named.st_ino) == (open.st_dev, open.st_ino))
        };
        let path = &mut self.text[..text.len() + 6];
        path[..4].copy_from_slice(b"root");
        path[4..4 + text.len()].copy_from_slice(text);
        path[4 + text.len()] = 0;
        let path_at = |from| CStr::from_bytes_until_nul(&path[from..]).unwrap_or_default();
        same(statat(CWD, path_at(4), AtFlags::SYMLINK_NOFOLLOW))
            || same(statat(&dir, path_at(0), AtFlags::SYMLINK_NOFOLLOW))
    }

    /// Takes a print of what is behind the descriptors of a process: mount and inode number of each (proc_pid_fdinfo(5)). `None`
    /// where the kernel does not tell: before Linux 5.14, or not to us.
    fn behind(&mut self, pid: u32) -> Option<u64> {
        let table = self.dir(pid).and_then(|dir| sys::open_listing(dir.as_fd(), c"fdinfo")).ok()?;
        let mut hasher = self.keys.build_hasher();
        let text = &mut self.text;
        let listed = self.listing.numbers(&table, |name, fd| {
            let read = open_to_read(table.as_fd(), name).and_then(|file| fill(&file, text));
            let text = match read {
                Ok(length) => &text[..length],
                Err(Errno::NOENT) => return Ok(()),
                Err(error) => return Err(error),
            };
            let field = |name: &[u8]| {
                let line = text.split(|b| *b == b'\n').find_map(|line| line.strip_prefix(name));
                line.and_then(|value| sys::parse::<u64>(value.trim_ascii())).ok_or(Errno::OPNOTSUPP)
            };
            (fd, field(b"mnt_id:")?, field(b"ino:")?).hash(&mut hasher);
            Ok(())
        });
        listed.is_ok().then(|| hasher.finish())
    }

    fn open(&mut self, pid: u32, slot: usize) -> Result<FileId, Errno> {
        let dir = self.dir(pid)?;
        let file = open_program(dir.as_fd())?;
        let id = FileId::of_open(&file)?;
        let slot = self.programs.get_mut(slot).ok_or(Errno::INVAL)?;
        *slot = Some(Program { file, digest: Digest::new() });
        Ok(id)
    }

    fn read(&mut self, slot: usize) -> Result<u64, Errno> {
        let program = self.programs.get_mut(slot).and_then(Option::as_mut).ok_or(Errno::INVAL)?;
        let length = rustix::io::read(&program.file, self.text.as_mut_slice())?;
        program.digest.update(&self.text[..length]);
        Ok(length as u64)
    }
}

fn open_to_read(dir: BorrowedFd<'_>, name: &CStr) -> Result<OwnedFd, Errno> {
    rustix::fs::openat(dir, name, OFlags::RDONLY | OFlags::CLOEXEC, Mode::empty())
}

/// Reads until the buffer is full or there is no more; a short read is the last.
fn fill(file: &OwnedFd, buffer: &mut [u8]) -> Result<usize, Errno> {
    let mut length = 0;
    while length < buffer.len() {
        let room = buffer.len() - length;
        match rustix::io::read(file, &mut buffer[length..]) {
            Ok(n) => {
                length += n;
                if n < room {
                    break;
                }
            }
            Err(Errno::INTR) => {}
            Err(error) => return Err(error),
        }
    }
    Ok(length)
}

/// Returns the CPU time of this thread, µs.
fn cpu() -> u64 {
    let time = clock_gettime(ClockId::ThreadCPUTime);
    time.tv_sec.unsigned_abs() * 1_000_000 + time.tv_nsec.unsigned_abs() / 1_000
}
