//! A file with its contents and permission bits, written whole.

use super::plan::Step;
use anyhow::Context as _;
use std::{
    fs::{self, File, OpenOptions},
    io::{self, ErrorKind, Write as _},
    os::unix::fs::{MetadataExt as _, OpenOptionsExt as _, PermissionsExt as _},
    path::{Path, PathBuf},
};

/// A file's bytes and permission bits.
pub(crate) type Found = (Vec<u8>, u32);

/// Writes a file.
pub(crate) struct WriteFile {
    /// Where.
    pub(crate) path: PathBuf,
    /// What.
    pub(crate) text: String,
    /// Its permission bits.
    pub(crate) mode: u32,
    /// Whether a file that is there stays as it is.
    pub(crate) keep: bool,
    /// What was there.
    before: Option<Option<Found>>,
}

/// Returns what tells a file from one that was made anew in its place; `None` where there is none.
pub(crate) fn made(path: &Path) -> Option<(u64, i64, i64)> {
    let meta = fs::metadata(path).ok()?;
    Some((meta.ino(), meta.ctime(), meta.ctime_nsec()))
}

impl WriteFile {
    /// Replaces what is there.
    pub(crate) fn new(path: impl Into<PathBuf>, text: impl Into<String>, mode: u32) -> Self {
        Self { path: path.into(), text: text.into(), mode, keep: false, before: None }
    }

    /// Keeps what is there.
    pub(crate) fn unless_there(path: impl Into<PathBuf>, text: impl Into<String>, mode: u32) -> Self {
        Self { keep: true, ..Self::new(path, text, mode) }
    }
}

impl Step for WriteFile {
    fn says(&self) -> String {
        let unless = if self.keep { ", unless it is there" } else { "" };
        format!("write {}, mode {:04o}{unless}", self.path.display(), self.mode)
    }

    fn shows(&self) -> Vec<String> {
        self.text.lines().map(ToOwned::to_owned).collect()
    }

    fn is_done(&self) -> anyhow::Result<bool> {
        match found(&self.path)? {
            None => Ok(false),
            Some(_) if self.keep => Ok(true),
            Some((bytes, mode)) => Ok(bytes == self.text.as_bytes() && mode == self.mode),
        }
    }

    fn act(&mut self) -> anyhow::Result<()> {
        self.before = Some(found(&self.path)?);
        replace(&self.path, self.text.as_bytes(), self.mode)
    }

    fn undo(&mut self) -> anyhow::Result<()> {
        match self.before.take() {
            None => Ok(()),
            Some(before) => put_back(&self.path, before.as_ref()),
        }
    }
}

/// Returns a file's bytes and permission bits; `None` where there is none.
pub(crate) fn found(path: &Path) -> anyhow::Result<Option<Found>> {
    let read = || -> io::Result<Found> { Ok((fs::read(path)?, fs::metadata(path)?.mode() & 0o7777)) };
    match read() {
        Ok(found) => Ok(Some(found)),
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error).with_context(|| format!("cannot read {}", path.display())),
    }
}

/// Makes a file what [`found`] said that it was.
pub(crate) fn put_back(path: &Path, before: Option<&Found>) -> anyhow::Result<()> {
    // What could not be written may be where nothing can be.
    if found(path)?.as_ref() == before {
        return Ok(());
    }
    match before {
        Some((bytes, mode)) => replace(path, bytes, *mode),
        None => match fs::remove_file(path) {
            Err(error) if error.kind() != ErrorKind::NotFound => {
                Err(error).with_context(|| format!("cannot remove {}", path.display()))
            }
            _ => Ok(()),
        },
    }
}

/// Writes a file beside and renames it: whoever reads, reads the old one or the new one.
pub(crate) fn replace(path: &Path, bytes: &[u8], mode: u32) -> anyhow::Result<()> {
    let dir = path.parent().context("a file is in a directory")?;
    let name = path.file_name().context("a file has a name")?.to_string_lossy();
    let part = dir.join(format!(".{name}.{}.part", std::process::id()));
    let write = || -> io::Result<()> {
        let _ = fs::remove_file(&part);
        let mut file = OpenOptions::new().write(true).create_new(true).mode(mode).open(&part)?;
        file.set_permissions(fs::Permissions::from_mode(mode))?;
        file.write_all(bytes)?;
        file.sync_all()?;
        fs::rename(&part, path)?;
        File::open(dir)?.sync_all()
    };
    write().map_err(|error| {
        let _ = fs::remove_file(&part);
        anyhow::Error::new(error).context(format!("cannot write {}", path.display()))
    })
}
