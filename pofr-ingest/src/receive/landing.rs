//! The landing: a client's inbox as its own session may touch it. Everything is done below one open directory, links are never
//! followed, and no name is ever given that something has.

use super::OPEN_DIR;
use pofr_core::identity::{BundleSeq, RunId};
use rustix::{
    fs::{self, AtFlags, FileType, Mode, OFlags, RenameFlags},
    io::Errno,
};
use std::{
    ffi::{CStr, CString},
    fs::File,
    io,
    os::fd::{AsFd as _, OwnedFd},
    path::{Path, PathBuf},
    time::{Duration, SystemTime, UNIX_EPOCH},
};

/// What is half received begins so.
const PART: &str = ".part-";
/// What ingest adds of itself begins so while it is written; what a kill leaves of it takes room and nothing else.
const TAKEN: &str = ".taken-";
/// Files count as if they filled whole pages, so that many small ones are not free.
const PAGE: u64 = 4096;

/// Why an inbox cannot be used.
#[derive(Debug, thiserror::Error)]
#[error("cannot {action} {path}: {cause}")]
pub struct LandingError {
    /// What was tried.
    pub action: &'static str,
    /// On which file.
    pub path: PathBuf,
    /// What came of it.
    pub cause: io::Error,
}

/// What became of a file that was to get its name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Put {
    /// It has it, on the disk.
    Named,
    /// Something has had that name before; it is as it was.
    Taken,
}

/// An inbox.
#[derive(Debug)]
pub struct Landing {
    path: PathBuf,
    dir: OwnedFd,
    open: OwnedFd,
    parts: u64,
}

impl Landing {
    /// Opens an inbox, which must be there and a directory; makes the directory of open bundles in it.
    ///
    /// # Errors
    /// [`LandingError`].
    pub fn open(path: &Path) -> Result<Self, LandingError> {
        let fail = |action| {
            let path = path.to_owned();
            move |cause: Errno| LandingError { action, path, cause: cause.into() }
        };
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let dir = fs::open(path, flags, Mode::empty()).map_err(fail("open"))?;
        match fs::mkdirat(&dir, OPEN_DIR, Mode::from_raw_mode(0o770)) {
            Ok(()) | Err(Errno::EXIST) => {}
            Err(cause) => return Err(fail("make the directory of open bundles in")(cause)),
        }
        let open = fs::openat(&dir, OPEN_DIR, flags, Mode::empty())
            .map_err(fail("open the directory of open bundles in"))?;
        Ok(Self { path: path.to_owned(), dir, open, parts: 0 })
    }

    /// Returns the inbox's path.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    pub(super) fn fail(&self, action: &'static str, name: &str) -> impl FnOnce(io::Error) -> LandingError {
        let path = self.path.join(name);
        move |cause| LandingError { action, path, cause }
    }

    /// Takes away what sessions that were cut off have left half received, if nothing has come of it for `still`; zero is only
    /// for who has the [`super::Seat`].
    ///
    /// # Errors
    /// [`LandingError`].
    pub fn sweep(&self, still: Duration) -> Result<u64, LandingError> {
        let mut swept = 0;
        for (name, _) in self.list(&self.dir)? {
            if name.to_bytes().starts_with(PART.as_bytes()) && self.is_still(&name, still) {
                let shown = name.to_string_lossy();
                fs::unlinkat(&self.dir, &*name, AtFlags::empty())
                    .map_err(|e| self.fail("remove", &shown)(e.into()))?;
                swept += 1;
            }
        }
        Ok(swept)
    }

    fn is_still(&self, name: &CStr, still: Duration) -> bool {
        let Ok(stat) = fs::statat(&self.dir, name, AtFlags::SYMLINK_NOFOLLOW) else { return false };
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        let changed = Duration::from_secs(u64::try_from(stat.st_mtime).unwrap_or(0));
        now.saturating_sub(changed) >= still
    }

    /// Returns how many bytes the files in it take, in whole pages, but for what is half received.
    ///
    /// # Errors
    /// [`LandingError`].
    pub fn used(&self) -> Result<u64, LandingError> {
        let all = self.list(&self.dir)?.into_iter().chain(self.list(&self.open)?);
        let all = all.filter(|(name, _)| !name.to_bytes().starts_with(PART.as_bytes()));
        Ok(all.fold(0, |sum, (_, size)| sum.saturating_add(charge(size))))
    }

    /// Lists the regular files of a directory with their sizes.
    fn list(&self, dir: &OwnedFd) -> Result<Vec<(CString, u64)>, LandingError> {
        let fail = |e: Errno| LandingError { action: "list", path: self.path.clone(), cause: e.into() };
        let mut found = Vec::new();
        for entry in fs::Dir::read_from(dir).map_err(fail)? {
            let entry = entry.map_err(fail)?;
            // What ingest takes away meanwhile is not there any more.
            let Ok(stat) = fs::statat(dir, entry.file_name(), AtFlags::SYMLINK_NOFOLLOW) else { continue };
            if FileType::from_raw_mode(stat.st_mode) == FileType::RegularFile {
                found.push((entry.file_name().to_owned(), u64::try_from(stat.st_size).unwrap_or(0)));
            }
        }
        Ok(found)
    }

    /// Tells whether something has that name.
    #[must_use]
    pub fn has(&self, name: &str) -> bool {
        fs::statat(&self.dir, name, AtFlags::SYMLINK_NOFOLLOW).is_ok()
    }

    /// Begins a file under a hidden name.
    ///
    /// # Errors
    /// [`LandingError`].
    pub fn part(&mut self) -> Result<(String, File), LandingError> {
        self.begin(PART)
    }

    fn begin(&mut self, prefix: &str) -> Result<(String, File), LandingError> {
        self.parts += 1;
        let name = format!("{prefix}{}-{}", std::process::id(), self.parts);
        let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let file = fs::openat(&self.dir, &*name, flags, Mode::from_raw_mode(0o640))
            .map_err(|e| self.fail("make", &name)(e.into()))?;
        Ok((name, file.into()))
    }

    /// Takes a hidden file away.
    pub fn discard(&self, part: &str) {
        // What cannot be removed now is swept by the next session.
        let _ = fs::unlinkat(&self.dir, part, AtFlags::empty());
    }

    /// Gives a hidden file its name, if nothing has it: synced before, and its name synced after.
    ///
    /// # Errors
    /// [`LandingError`].
    pub fn put(&self, part: &str, file: &File, name: &str) -> Result<Put, LandingError> {
        file.sync_all().map_err(self.fail("sync", part))?;
        let put = match fs::renameat_with(&self.dir, part, &self.dir, name, RenameFlags::NOREPLACE) {
            Ok(()) => Put::Named,
            Err(Errno::EXIST) => Put::Taken,
            // A file system that cannot rename so can link, which overwrites nothing either.
            Err(Errno::INVAL | Errno::NOSYS) => {
                match fs::linkat(&self.dir, part, &self.dir, name, AtFlags::empty()) {
                    Ok(()) => Put::Named,
                    Err(Errno::EXIST) => Put::Taken,
                    Err(e) => return Err(self.fail("name", name)(e.into())),
                }
            }
            Err(e) => return Err(self.fail("name", name)(e.into())),
        };
        self.discard(part);
        fs::fsync(&self.dir).map_err(|e| self.fail("sync", "")(e.into()))?;
        Ok(put)
    }

    /// Adds a file that is at hand whole, as [`put`](Self::put) does.
    ///
    /// # Errors
    /// [`LandingError`].
    pub fn add(&mut self, bytes: &[u8], name: &str) -> Result<Put, LandingError> {
        // Not one that a session would sweep.
        let (part, mut file) = self.begin(TAKEN)?;
        let written = io::Write::write_all(&mut file, bytes).map_err(self.fail("write", &part));
        let put = written.and_then(|()| self.put(&part, &file, name));
        if put.is_err() {
            self.discard(&part);
        }
        put
    }

    /// Replaces one of the session's own hidden files.
    pub(super) fn replace(&mut self, name: &str, bytes: &[u8]) -> Result<(), LandingError> {
        let (part, mut file) = self.part()?;
        io::Write::write_all(&mut file, bytes).map_err(self.fail("write", &part))?;
        fs::renameat(&self.dir, &*part, &self.dir, name).map_err(|e| self.fail("name", name)(e.into()))
    }

    /// Opens one of the session's own hidden files for reading and writing; makes it where it is not there.
    pub(super) fn hidden(&self, name: &str) -> Result<File, LandingError> {
        let flags = OFlags::RDWR | OFlags::CREATE | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC;
        let file = fs::openat(&self.dir, name, flags, Mode::from_raw_mode(0o640));
        file.map(File::from).map_err(|e| self.fail("open", name)(e.into()))
    }

    /// Opens the stream of an open bundle: to read what there is of it, or to add to it.
    pub(super) fn stream(&self, run: RunId, seq: BundleSeq, add: bool) -> Result<File, LandingError> {
        let name = stream_name(run, seq);
        let flags = OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC;
        let flags = flags | if add { OFlags::RDWR | OFlags::CREATE } else { OFlags::RDONLY };
        let file = fs::openat(&self.open, &*name, flags, Mode::from_raw_mode(0o640))
            .map_err(|e| self.fail("open", &name)(e.into()))?;
        let stat = fs::fstat(file.as_fd()).map_err(|e| self.fail("stat", &name)(e.into()))?;
        if FileType::from_raw_mode(stat.st_mode) != FileType::RegularFile {
            return Err(self.fail("open", &name)(io::Error::other("not a regular file")));
        }
        Ok(file.into())
    }

    /// Takes a stream away whose bundle is stored whole.
    pub(super) fn drop_stream(&self, run: RunId, seq: BundleSeq) {
        let _ = fs::unlinkat(&self.open, &*stream_name(run, seq), AtFlags::empty());
    }

    /// Makes the names of streams durable.
    pub(super) fn sync_streams(&self) -> Result<(), LandingError> {
        fs::fsync(&self.open).map_err(|e| self.fail("sync", OPEN_DIR)(e.into()))
    }

    /// Lists the streams of open bundles with their sizes, by run and number.
    pub(super) fn streams(&self) -> Result<Vec<(RunId, BundleSeq, u64)>, LandingError> {
        let all = self.list(&self.open)?.into_iter();
        let mut streams: Vec<_> = all
            .filter_map(|(name, size)| {
                let (run, seq) = parse_stream_name(name.to_str().ok()?)?;
                Some((run, seq, size))
            })
            .collect();
        streams.sort();
        Ok(streams)
    }
}

/// Returns what a file of so many bytes counts.
pub(super) const fn charge(size: u64) -> u64 {
    size.div_ceil(PAGE).saturating_mul(PAGE).saturating_add(PAGE)
}

/// Returns the name of a stream's file: `<run>-<seq>.frames`.
#[must_use]
pub(crate) fn stream_name(run: RunId, seq: BundleSeq) -> String {
    format!("{run}-{}.frames", seq.0)
}

/// Reads such a name.
#[must_use]
pub(crate) fn parse_stream_name(name: &str) -> Option<(RunId, BundleSeq)> {
    let (run, seq) = name.strip_suffix(".frames")?.split_once('-')?;
    let parsed = (RunId::parse(run)?, BundleSeq(seq.parse().ok()?));
    (stream_name(parsed.0, parsed.1) == name).then_some(parsed)
}
