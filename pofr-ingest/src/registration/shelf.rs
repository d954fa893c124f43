//! Small files of JSON in a directory: read with care, written whole or not at all.
//!
//! Some of the directories belong to accounts that strangers reach. Links are not followed, only regular files of a bounded
//! size are read, and a file that is no JSON of ours is an error, not a default.

use rustix::fs::{FileType, Mode, OFlags};
use serde::{Serialize, de::DeserializeOwned};
use std::{
    fs::{self, File, OpenOptions},
    io::{self, ErrorKind, Read as _, Write as _},
    os::unix::fs::{OpenOptionsExt as _, PermissionsExt as _},
    path::{Path, PathBuf},
};

/// The largest file, bytes: a request and what is known around it.
const LARGEST: u64 = 64 << 10;

/// Why a file cannot be read or written.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ShelfError {
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
    /// The file is not one that POFR wrote.
    #[error("{path} is {what}")]
    Odd {
        /// Which.
        path: PathBuf,
        /// What it is.
        what: String,
    },
}

pub(super) fn fail(action: &'static str, path: &Path) -> impl Fn(io::Error) -> ShelfError {
    let path = path.to_owned();
    move |cause| ShelfError::Io { action, path: path.clone(), cause }
}

/// Reads a file; `None` where there is none.
pub(super) fn read<T: DeserializeOwned>(path: &Path) -> Result<Option<T>, ShelfError> {
    let odd = |what: &str| ShelfError::Odd { path: path.to_owned(), what: what.to_owned() };
    let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC;
    let file = match rustix::fs::open(path, flags, Mode::empty()) {
        Ok(file) => File::from(file),
        Err(rustix::io::Errno::NOENT) => return Ok(None),
        Err(rustix::io::Errno::LOOP) => return Err(odd("a symbolic link")),
        Err(cause) => return Err(fail("open", path)(cause.into())),
    };
    let stat = rustix::fs::fstat(&file).map_err(|e| fail("stat", path)(e.into()))?;
    if FileType::from_raw_mode(stat.st_mode) != FileType::RegularFile {
        return Err(odd("no regular file"));
    }
    let mut bytes = Vec::new();
    file.take(LARGEST + 1).read_to_end(&mut bytes).map_err(fail("read", path))?;
    if bytes.len() as u64 > LARGEST {
        return Err(odd("larger than 64 KiB"));
    }
    serde_json::from_slice(&bytes).map(Some).map_err(|e| odd(&format!("no JSON of ours: {e}")))
}

/// Writes a file whole, in place of what is there, with permission bits `mode`.
pub(super) fn write(path: &Path, value: &impl Serialize, mode: u32) -> Result<(), ShelfError> {
    let (temporary, dir) = beside(path)?;
    let written = put(&temporary, value, mode)
        .and_then(|()| fs::rename(&temporary, path))
        .and_then(|()| File::open(&dir)?.sync_all());
    written.map_err(|cause| {
        let _ = fs::remove_file(&temporary);
        fail("write", path)(cause)
    })
}

/// Writes a new file whole; returns whether it did, which it does not where there is one.
pub(super) fn create(path: &Path, value: &impl Serialize, mode: u32) -> Result<bool, ShelfError> {
    let (temporary, dir) = beside(path)?;
    let written = put(&temporary, value, mode).and_then(|()| match fs::hard_link(&temporary, path) {
        Ok(()) => File::open(&dir)?.sync_all().map(|()| true),
        Err(cause) if cause.kind() == ErrorKind::AlreadyExists => Ok(false),
        Err(cause) => Err(cause),
    });
    let _ = fs::remove_file(&temporary);
    written.map_err(fail("write", path))
}

/// Removes a file; that there is none is no error.
pub(super) fn remove(path: &Path) -> Result<(), ShelfError> {
    // Looked for first: where nothing can be written, removing what is not there fails, too.
    if path.symlink_metadata().is_err_and(|cause| cause.kind() == ErrorKind::NotFound) {
        return Ok(());
    }
    match fs::remove_file(path) {
        Err(cause) if cause.kind() != ErrorKind::NotFound => Err(fail("remove", path)(cause)),
        _ => Ok(()),
    }
}

/// Lists the names that end with `suffix`, without it, sorted; a directory that is not there has none.
pub(super) fn names(dir: &Path, suffix: &str) -> Result<Vec<String>, ShelfError> {
    let entries = match fs::read_dir(dir) {
        Err(cause) if cause.kind() == ErrorKind::NotFound => return Ok(Vec::new()),
        other => other.map_err(fail("list", dir))?,
    };
    let mut names = Vec::new();
    for entry in entries {
        let name = entry.map_err(fail("list", dir))?.file_name();
        if let Some(name) = name.to_str().and_then(|n| n.strip_suffix(suffix))
            && !name.starts_with('.')
        {
            names.push(name.to_owned());
        }
    }
    names.sort();
    Ok(names)
}

fn beside(path: &Path) -> Result<(PathBuf, PathBuf), ShelfError> {
    let dir = path.parent().unwrap_or(Path::new("/")).to_owned();
    let random = super::random::<8>().map_err(fail("name a file beside", path))?;
    Ok((dir.join(format!(".{}.part", pofr_core::digest::hex(&random))), dir))
}

fn put(path: &Path, value: &impl Serialize, mode: u32) -> io::Result<()> {
    let mut bytes = serde_json::to_vec_pretty(value)?;
    bytes.push(b'\n');
    let mut file = OpenOptions::new().write(true).create_new(true).mode(mode).open(path)?;
    // Whatever the umask says.
    file.set_permissions(fs::Permissions::from_mode(mode))?;
    file.write_all(&bytes)?;
    file.sync_all()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_is_whole_new_once_and_never_a_link() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("a.json");
        assert_eq!(read::<u32>(&path).unwrap(), None);
        assert!(create(&path, &7, 0o600).unwrap());
        assert!(!create(&path, &8, 0o600).unwrap());
        assert_eq!(read::<u32>(&path).unwrap(), Some(7));
        write(&path, &9, 0o644).unwrap();
        assert_eq!(read::<u32>(&path).unwrap(), Some(9));
        assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o644);
        let link = dir.path().join("b.json");
        std::os::unix::fs::symlink(&path, &link).unwrap();
        assert!(read::<u32>(&link).unwrap_err().to_string().contains("symbolic link"));
        fs::write(&path, vec![b' '; 70_000]).unwrap();
        assert!(read::<u32>(&path).unwrap_err().to_string().contains("64 KiB"));
        assert_eq!(names(dir.path(), ".json").unwrap(), ["a", "b"]);
        remove(&path).unwrap();
        remove(&path).unwrap();
    }
}
