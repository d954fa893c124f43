//! Room: what the spool does when there is none, for whatever reason: a full disk, a quota, one that fails or became read-only, no
//! descriptor left.
//!
//! Nothing of that ends a recording. What cannot be written stays in memory, up to [`MEMORY`]; past that the oldest sealed bundles
//! there go and are named as missing. From when to when it was so, a thin gap says: it begins with `no room:`. Nothing is taken
//! out of the spool to make room, since whoever fills the disk would only take that, too.
//!
//! For the first moment of a full disk, and for what has to be written to get out of it, there is a reserve: a file with room that
//! is given up then and taken back later.

use super::{Spool, SpoolError, open_bundle::OpenBundle};
use pofr_core::{
    gap::{Gap, Severity},
    record::Record,
    time::WallMicros,
};
use rustix::fs::{FallocateFlags, fallocate, statvfs};
use std::{
    fs::{File, OpenOptions},
    io,
    os::unix::fs::OpenOptionsExt as _,
    path::{Path, PathBuf},
    time::{Duration, Instant},
};

/// So many bytes may wait in memory for room.
pub(super) const MEMORY: u64 = 16 << 20;
/// The reserve has so many bytes, or a sixteenth of the spool if that is less.
const RESERVE: u64 = 4 << 20;
/// While there is no room, it is tried so often.
const RETRY: Duration = Duration::from_secs(3);
/// So many descriptors are kept for what has to be written: a file, its directory, and what reads a list.
const SPARE: usize = 3;

/// A time without room.
#[derive(Debug)]
pub(super) struct Trouble {
    /// What could not be done.
    pub(super) what: String,
    /// From when on no gap tells of it yet.
    since: WallMicros,
    tried: Instant,
}

/// Tells whether what failed may work again later without anybody's doing, or at least need not be done now.
pub(super) fn is_room(error: &SpoolError) -> bool {
    use rustix::io::Errno;
    let kinds = [
        Errno::NOSPC,
        Errno::DQUOT,
        Errno::IO,
        Errno::ROFS,
        Errno::MFILE,
        Errno::NFILE,
        Errno::NOMEM,
        Errno::FBIG,
    ];
    let SpoolError::Io { cause, .. } = error else { return false };
    kinds.iter().any(|kind| cause.raw_os_error() == Some(kind.raw_os_error()))
}

/// Returns how much of a file system a spool may fill: what was asked for, and no more than half of it.
pub(super) fn cap(dir: &Path, asked: Option<u64>) -> Option<u64> {
    let half = statvfs(dir).ok().map(|found| found.f_blocks.saturating_mul(found.f_frsize) / 2);
    // One that tells no size has no end.
    asked.map(|asked| half.filter(|half| *half > 0).map_or(asked, |half| half.min(asked)))
}

impl Spool {
    /// Tells whether it is time to try to write.
    pub(super) fn is_worth_a_try(&self) -> bool {
        self.trouble.as_ref().is_none_or(|trouble| trouble.tried.elapsed() >= RETRY)
    }

    /// Takes note that something could not be written.
    pub(super) fn no_room(&mut self, error: &SpoolError) {
        if let Some(trouble) = &mut self.trouble {
            trouble.tried = Instant::now();
            return;
        }
        tracing::error!("no room: {error}; the record is held in memory");
        self.trouble = Some(Trouble { what: error.to_string(), since: self.now, tried: Instant::now() });
        self.tell_of_trouble();
    }

    /// Writes what still waits in memory, for the last time: to be called after the last bundle is finished.
    ///
    /// # Errors
    /// [`SpoolError::NoRoom`] where that cannot be: then it goes with the process, and the next recorder says from when on.
    pub fn settle(&mut self) -> Result<(), SpoolError> {
        self.write_out(true);
        let Some(trouble) = &self.trouble else { return Ok(()) };
        Err(SpoolError::NoRoom { bundles: self.memory.len(), why: trouble.what.clone() })
    }

    /// Takes note that all is written.
    pub(super) fn all_is_written(&mut self) {
        if self.trouble.is_some() {
            self.tell_of_trouble();
            self.trouble = None;
            tracing::warn!("there is room again: all that was held in memory is written");
        }
    }

    /// Says up to now in the open bundle, if there is one, that there is no room.
    pub(super) fn tell_of_trouble(&mut self) {
        let (Some(trouble), Some(open)) = (&mut self.trouble, &mut self.open) else { return };
        open.push(&Record::Gap(Gap {
            source: None,
            severity: Severity::Thin,
            reason: crate::recorder::reason(format!(
                "no room: {}; the record was held in memory",
                trouble.what
            )),
            from: trouble.since.min(self.now),
            to: Some(self.now),
            lost: None,
        }));
        trouble.since = self.now;
    }

    /// Returns what waits in memory for room, bytes.
    pub(super) fn bytes_in_memory(&self) -> u64 {
        let sealed = self.memory.iter().map(|sealed| sealed.tar.len() as u64).sum::<u64>();
        sealed + self.open.as_ref().map_or(0, OpenBundle::bytes_in_memory)
    }

    /// Loses the oldest bundles in memory as long as there are more than may be.
    pub(super) fn bound_memory(&mut self) {
        while self.bytes_in_memory() > MEMORY && self.memory.len() > 1 {
            let Some(lost) = self.memory.pop_front() else { break };
            tracing::error!("bundle {} is lost: there was no room to write it", lost.seq);
            self.state.lose_oldest_in_memory();
            self.unsaved = true;
            self.dropped += 1;
        }
    }
}

/// A file that keeps room.
#[derive(Debug)]
pub(super) struct Reserve {
    path: PathBuf,
    bytes: u64,
    is_there: bool,
}

impl Reserve {
    /// In the directory `dir`, for a spool of `max` bytes.
    pub(super) fn new(dir: &Path, max: Option<u64>) -> Self {
        let bytes = max.map_or(RESERVE, |max| (max / 16).min(RESERVE));
        let path = dir.join("reserve");
        Self { is_there: path.exists(), path, bytes }
    }

    /// Takes the room, where there is twice as much.
    pub(super) fn take(&mut self) {
        let is_room = || {
            let found = statvfs(self.path.parent().unwrap_or(Path::new("/"))).ok()?;
            Some(found.f_bavail.saturating_mul(found.f_frsize) / 2 >= self.bytes)
        };
        if self.is_there || self.bytes == 0 || !is_room().unwrap_or(false) {
            return;
        }
        let file = OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(&self.path);
        self.is_there = file
            .and_then(|file| Ok(fallocate(&file, FallocateFlags::empty(), 0, self.bytes)?))
            .map_err(|error| tracing::debug!("no room is reserved: {error}"))
            .is_ok();
        if !self.is_there {
            let _ = std::fs::remove_file(&self.path);
        }
    }

    /// Gives it up; tells whether there was any.
    pub(super) fn give_up(&mut self) -> bool {
        let _ = std::fs::remove_file(&self.path);
        std::mem::take(&mut self.is_there)
    }
}

/// Descriptors that nobody else gets, for the time in which something is written.
#[derive(Debug, Default)]
pub(super) struct Spare(Vec<File>);

impl Spare {
    /// Takes as many as there are, as copies of `of`.
    pub(super) fn take(&mut self, of: &File) {
        while self.0.len() < SPARE
            && let Ok(copy) = of.try_clone()
        {
            self.0.push(copy);
        }
    }

    /// Lets others have them.
    pub(super) fn lend(&mut self) {
        self.0.clear();
    }
}

/// An error of a file in the spool or the state.
pub(super) fn at(action: &'static str, path: &Path) -> impl FnOnce(io::Error) -> SpoolError {
    move |cause| SpoolError::io(action, path, cause)
}
