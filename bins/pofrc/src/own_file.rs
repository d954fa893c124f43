//! Files in a directory of ours, in which somebody else may have put something: no link is followed, nothing is waited for, no
//! more is read than may be there, and a file counts only if it belongs to root, to us, or to who owns the directory.

use rustix::{
    fs::{Mode, OFlags, open},
    process::geteuid,
};
use std::{
    fs::File,
    io::{self, Read as _, Write as _},
    os::unix::fs::MetadataExt as _,
    path::Path,
};

/// What we write down of a process or an end is never longer, bytes.
pub(crate) const SHORT: u64 = 64 << 10;

/// Opens a file that must be one; `NotFound` where there is none.
pub(crate) fn open_to_read(path: &Path) -> io::Result<File> {
    opened(path, OFlags::RDONLY)
}

/// Opens a file to be written, at its end if `append`; makes it for its owner alone where there is none.
pub(crate) fn open_to_write(path: &Path, append: bool) -> io::Result<File> {
    opened(path, OFlags::RDWR | OFlags::CREATE | if append { OFlags::APPEND } else { OFlags::empty() })
}

fn opened(path: &Path, flags: OFlags) -> io::Result<File> {
    let flags = flags | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC | OFlags::NOCTTY;
    let file = match open(path, flags, Mode::RUSR | Mode::WUSR) {
        Ok(file) => File::from(file),
        Err(rustix::io::Errno::LOOP) => return Err(io::Error::other("it is a symbolic link")),
        // A FIFO without a reader, a socket.
        Err(rustix::io::Errno::NXIO) => return Err(io::Error::other("it is not a file")),
        Err(error) => return Err(error.into()),
    };
    check(&file, path)?;
    Ok(file)
}

/// Makes sure that the file is one that nobody else has put there.
fn check(file: &File, path: &Path) -> io::Result<()> {
    let found = file.metadata()?;
    if !found.is_file() {
        return Err(io::Error::other("it is not a file"));
    }
    if found.nlink() > 1 {
        return Err(io::Error::other("it has another name elsewhere"));
    }
    let of_directory = path.parent().map(|parent| parent.metadata().map(|found| found.uid())).transpose()?;
    if ![Some(0), Some(geteuid().as_raw()), of_directory].contains(&Some(found.uid())) {
        return Err(io::Error::other(format!("it belongs to another user ({})", found.uid())));
    }
    if found.mode() & 0o022 != 0 {
        return Err(io::Error::other(format!(
            "it can be written by others (mode {:o})",
            found.mode() & 0o777
        )));
    }
    Ok(())
}

/// Reads a file that has no more than `longest` bytes; `None` where there is none.
pub(crate) fn read(path: &Path, longest: u64) -> io::Result<Option<Vec<u8>>> {
    let file = match open_to_read(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        other => other?,
    };
    let mut bytes = Vec::new();
    file.take(longest + 1).read_to_end(&mut bytes)?;
    if bytes.len() as u64 > longest {
        return Err(io::Error::other(format!("it has more than {longest} bytes")));
    }
    Ok(Some(bytes))
}

/// Replaces a file, for its owner alone: who reads finds all of it, or what was there before.
pub(crate) fn replace(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let mut new = path.as_os_str().to_owned();
    new.push(".new");
    let new = Path::new(&new);
    match std::fs::remove_file(new) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    let mut file = File::from(open(new, flags, Mode::RUSR | Mode::WUSR)?);
    file.write_all(bytes)?;
    std::fs::rename(new, path)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::{PermissionsExt as _, symlink};

    #[test]
    fn what_is_not_a_file_of_ours_is_not_read_and_nobody_waits_for_it() {
        let dir = tempfile::tempdir().unwrap();
        let path = |name: &str| dir.path().join(name);
        let why = |name: &str| read(&path(name), 10).unwrap_err().to_string();
        assert_eq!(read(&path("none"), 10).unwrap(), None);
        replace(&path("good"), b"1\n2\n").unwrap();
        assert_eq!(read(&path("good"), 10).unwrap(), Some(b"1\n2\n".to_vec()));
        symlink(path("good"), path("link")).unwrap();
        assert_eq!(why("link"), "it is a symbolic link");
        assert!(std::process::Command::new("mkfifo").arg(path("fifo")).status().unwrap().success());
        assert_eq!(why("fifo"), "it is not a file");
        assert!(open_to_write(&path("fifo"), true).is_err());
        std::fs::create_dir(path("dir")).unwrap();
        assert_eq!(why("dir"), "it is not a file");
        let huge = File::create(path("huge")).unwrap();
        huge.set_len(1 << 40).unwrap();
        huge.set_permissions(std::fs::Permissions::from_mode(0o600)).unwrap();
        assert_eq!(why("huge"), "it has more than 10 bytes");
        std::fs::hard_link(path("good"), path("twice")).unwrap();
        assert_eq!(why("twice"), "it has another name elsewhere");
        replace(&path("open"), b"1").unwrap();
        std::fs::set_permissions(path("open"), std::fs::Permissions::from_mode(0o666)).unwrap();
        assert_eq!(why("open"), "it can be written by others (mode 666)");
    }

    #[test]
    fn what_another_user_put_there_is_not_ours() {
        if !geteuid().is_root() {
            eprintln!("SKIPPED: without root no file can be another's");
            return;
        }
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("pofrc.pid");
        replace(&path, b"1\n").unwrap();
        std::os::unix::fs::chown(&path, Some(65_534), None).unwrap();
        assert_eq!(read(&path, 10).unwrap_err().to_string(), "it belongs to another user (65534)");
        std::os::unix::fs::chown(dir.path(), Some(65_534), None).unwrap();
        assert!(read(&path, 10).is_ok(), "who owns the directory could put anything there");
    }
}
