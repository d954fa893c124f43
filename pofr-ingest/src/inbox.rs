//! The inbox: a directory that bundles arrive in, and the quarantine beside them.
//!
//! A file that is in the record stays, or is kept elsewhere, or goes, as [`After`] says.
//!
//! Whoever fills it is not trusted: links are not followed, only regular files with one name are read, and no more of them
//! than the cap.

use crate::kept::Kept;
use pofr_core::{digest::Sha256, raw::RawText, wire::name::BundleName};
use rustix::fs::{FileType, Mode, OFlags};
use std::{
    fs::{self, File},
    io::{self, Read},
    os::unix::ffi::OsStrExt,
    path::{Path, PathBuf},
};

/// A directory of bundles.
#[derive(Debug)]
pub struct Inbox {
    dir: PathBuf,
    max_bytes: u64,
    after: After,
    /// Whether these are kept bundles, of which a record is made anew.
    is_kept: bool,
}

/// What becomes of a file that is in the record.
#[derive(Clone, Debug, Default)]
pub enum After {
    /// It stays where it is.
    #[default]
    Leave,
    /// It is removed.
    Remove,
    /// It is kept among the bundles, and stays.
    Copy(Kept),
    /// It is kept among the bundles, and removed from here.
    Keep(Kept),
}

/// What is wrong with the directory, or with a file in it.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum InboxError {
    /// The operating system refused.
    #[error("cannot {action} {path}: {cause}")]
    Io {
        /// What was tried.
        action: &'static str,
        /// On which file.
        path: PathBuf,
        /// What came of it.
        cause: io::Error,
    },
    /// A file that cannot be a bundle.
    #[error("{name} is {what}, not a regular file with one link")]
    NotAFile {
        /// Its name, escaped.
        name: String,
        /// What it is.
        what: &'static str,
    },
    /// A file whose bytes are not those that were verified.
    #[error("{name} has changed since it was verified")]
    Changed {
        /// Its name, escaped.
        name: String,
    },
    /// A file larger than any bundle.
    #[error("{name} has {bytes} bytes, more than the limit of {limit}")]
    TooLarge {
        /// Its name, escaped.
        name: String,
        /// Its size.
        bytes: u64,
        /// The limit.
        limit: u64,
    },
}

/// A file in the inbox.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Candidate {
    path: PathBuf,
}

impl Candidate {
    /// Returns the file's name, as text that cannot harm a terminal.
    #[must_use]
    pub fn name(&self) -> String {
        RawText::from(self.path.file_name().map_or(&b""[..], OsStrExt::as_bytes)).escaped()
    }

    /// Returns its path.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }
}

impl Inbox {
    /// Names the directory; files of more than `max_bytes` are refused.
    #[must_use]
    pub fn new(dir: impl Into<PathBuf>, max_bytes: u64) -> Self {
        Self { dir: dir.into(), max_bytes, after: After::Leave, is_kept: false }
    }

    /// Names a directory of kept bundles.
    pub(crate) fn of_kept(dir: PathBuf, max_bytes: u64) -> Self {
        Self { is_kept: true, ..Self::new(dir, max_bytes) }
    }

    /// Says what becomes of files that are stored.
    #[must_use]
    pub fn then(self, after: After) -> Self {
        Self { after, ..self }
    }

    /// Returns the bundles that are kept, where files are kept.
    pub(crate) fn kept(&self) -> Option<&Kept> {
        match &self.after {
            After::Copy(kept) | After::Keep(kept) => Some(kept),
            After::Leave | After::Remove => None,
        }
    }

    /// Keeps a verified file, where files are kept. To be called before the record has it.
    ///
    /// # Errors
    /// Where it cannot be read again, has changed, or cannot be written.
    pub fn keep(&self, candidate: &Candidate) -> Result<(), InboxError> {
        let Some(kept) = self.kept() else { return Ok(()) };
        let changed = || InboxError::Changed { name: candidate.name() };
        let name: BundleName = candidate.name().parse().map_err(|_| changed())?;
        let bytes = self.read(candidate)?;
        if Sha256::of(&bytes) != name.sha256 {
            return Err(changed());
        }
        kept.put(&name, &bytes)
    }

    /// Takes a file away that the record has, unless files are left where they are.
    ///
    /// # Errors
    /// Where it cannot be removed; that it is gone already is none.
    pub fn clear(&self, candidate: &Candidate) -> Result<(), InboxError> {
        if matches!(self.after, After::Leave | After::Copy(_)) {
            return Ok(());
        }
        match fs::remove_file(&candidate.path) {
            Err(cause) if cause.kind() != io::ErrorKind::NotFound => {
                Err(InboxError::Io { action: "remove", path: candidate.path.clone(), cause })
            }
            _ => Ok(()),
        }
    }

    /// Lists all that may be a bundle, in the order of the names: everything but hidden names and directories.
    ///
    /// # Errors
    /// Where the directory cannot be read.
    pub fn candidates(&self) -> Result<Vec<Candidate>, InboxError> {
        let fail = |cause| InboxError::Io { action: "list", path: self.dir.clone(), cause };
        let mut found = Vec::new();
        for entry in fs::read_dir(&self.dir).map_err(fail)? {
            let entry = entry.map_err(fail)?;
            let hidden = entry.file_name().as_bytes().starts_with(b".");
            let directory = entry.file_type().map_err(fail)?.is_dir();
            if !hidden && !directory {
                found.push(Candidate { path: entry.path() });
            }
        }
        found.sort();
        Ok(found)
    }

    /// Names a file that is to be put in quarantine from elsewhere in the inbox.
    pub(crate) fn candidate(&self, path: PathBuf) -> Candidate {
        debug_assert!(path.starts_with(&self.dir));
        Candidate { path }
    }

    /// Reads a file whole.
    ///
    /// # Errors
    /// [`InboxError`]: it is a link, a device, has several names, is too large, or cannot be read.
    pub fn read(&self, candidate: &Candidate) -> Result<Vec<u8>, InboxError> {
        let io = |action, cause: io::Error| InboxError::Io { action, path: candidate.path.clone(), cause };
        let odd = |what| InboxError::NotAFile { name: candidate.name(), what };
        let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC;
        let file = match rustix::fs::open(&candidate.path, flags, Mode::empty()) {
            Ok(file) => File::from(file),
            Err(rustix::io::Errno::LOOP) => return Err(odd("a symbolic link")),
            Err(cause) => return Err(io("open", cause.into())),
        };
        let stat = rustix::fs::fstat(&file).map_err(|cause| io("stat", cause.into()))?;
        match FileType::from_raw_mode(stat.st_mode) {
            FileType::RegularFile if stat.st_nlink > 1 => return Err(odd("a file with several links")),
            FileType::RegularFile => {}
            _ => return Err(odd("something else")),
        }
        let mut bytes = Vec::new();
        file.take(self.max_bytes.saturating_add(1))
            .read_to_end(&mut bytes)
            .map_err(|cause| io("read", cause))?;
        if bytes.len() as u64 > self.max_bytes {
            let size = u64::try_from(stat.st_size).unwrap_or(u64::MAX);
            return Err(InboxError::TooLarge { name: candidate.name(), bytes: size, limit: self.max_bytes });
        }
        Ok(bytes)
    }

    /// Moves a file to `quarantine/` within the inbox, beside a file `NAME.reason`. Nothing is overwritten: a name that is
    /// taken gets a number.
    ///
    /// # Errors
    /// Where the file cannot be moved.
    pub fn quarantine(&self, candidate: &Candidate, reason: &str) -> Result<PathBuf, InboxError> {
        let target = self.note(candidate, reason)?;
        fs::rename(&candidate.path, &target).map_err(|cause| InboxError::Io {
            action: "move",
            path: candidate.path.clone(),
            cause,
        })?;
        Ok(target)
    }

    /// Puts a copy of a damaged bundle into `quarantine/` of which a part is taken, beside a file `NAME.reason`. One that lies there
    /// already is left alone. Kept bundles, of which a record is made anew, have been copied when they came.
    ///
    /// # Errors
    /// Where the file cannot be read or the copy cannot be written.
    pub fn copy_to_quarantine(&self, candidate: &Candidate, reason: &str) -> Result<(), InboxError> {
        let there = self.quarantine_dir().join(candidate.path.file_name().unwrap_or_default());
        if self.is_kept || there.symlink_metadata().is_ok() {
            return Ok(());
        }
        let bytes = self.read(candidate)?;
        let target = self.note(candidate, reason)?;
        let fail = |cause| InboxError::Io { action: "write", path: target.clone(), cause };
        let part = self.quarantine_dir().join(".copy.part");
        fs::write(&part, &bytes).map_err(fail)?;
        fs::rename(&part, &target).map_err(fail)
    }

    /// Writes the reason why a file is to be in quarantine, and returns the name that it is to have there.
    fn note(&self, candidate: &Candidate, reason: &str) -> Result<PathBuf, InboxError> {
        let dir = self.quarantine_dir();
        fs::create_dir_all(&dir).map_err(|cause| InboxError::Io {
            action: "make",
            path: dir.clone(),
            cause,
        })?;
        let name = candidate.path.file_name().unwrap_or_default();
        let mut target = dir.join(name);
        let mut number = 1;
        while target.symlink_metadata().is_ok() {
            number += 1;
            let mut numbered = name.to_owned();
            numbered.push(format!("_{number}"));
            target = dir.join(numbered);
        }
        let mut note = target.clone().into_os_string();
        note.push(".reason");
        let note = PathBuf::from(note);
        fs::write(&note, format!("{reason}\n")).map_err(|cause| InboxError::Io {
            action: "write",
            path: note,
            cause,
        })?;
        Ok(target)
    }

    /// Returns where refused files go.
    #[must_use]
    pub fn quarantine_dir(&self) -> PathBuf {
        self.dir.join("quarantine")
    }

    /// Returns the directory.
    #[must_use]
    pub fn dir(&self) -> &Path {
        &self.dir
    }
}
