//! Logging in to MariaDB: as whom, and with which password.
//!
//! A password stands in a file of its own that nobody but its owner can read, never in a URL: command lines and environments
//! are for everybody to see. Without a file the server is asked to go by the unix socket's account, or by nothing.

use crate::{
    open::Access,
    url::{Location, Server},
};
use std::{
    fs::File,
    io::{self, Read as _},
    os::unix::fs::MetadataExt as _,
    path::{Path, PathBuf},
};

/// The user that writes.
pub const WRITER: &str = "pofr";
/// The user that only reads: what reads asks as this one where the URL names the one that writes.
pub const READER: &str = "pofr_read";

/// The longest password, bytes.
const LONGEST: u64 = 1024;

/// Why a password cannot be taken from a file.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum PasswordError {
    /// It cannot be read.
    #[error("cannot read password file {path}: {cause}")]
    Read {
        /// Which.
        path: PathBuf,
        /// Why.
        cause: io::Error,
    },
    /// Others can read it.
    #[error(
        "password file {path} has mode {mode:04o}: others may know the password\nhint: chmod 0600 {path}, and change the password"
    )]
    Readable {
        /// Which.
        path: PathBuf,
        /// Its permission bits.
        mode: u32,
    },
    /// It holds no password.
    #[error("password file {path} {what}")]
    Contents {
        /// Which.
        path: PathBuf,
        /// What is wrong.
        what: &'static str,
    },
}

/// Reads a password: the first line of a regular file that only its owner can read.
///
/// # Errors
/// [`PasswordError`], which never repeats what the file holds.
pub fn read_password(path: &Path) -> Result<String, PasswordError> {
    let read = |cause| PasswordError::Read { path: path.to_owned(), cause };
    let contents = |what| PasswordError::Contents { path: path.to_owned(), what };
    let file = File::open(path).map_err(read)?;
    // Of the open file: its name may be another's by now.
    let metadata = file.metadata().map_err(read)?;
    if !metadata.is_file() {
        return Err(contents("is not a regular file"));
    }
    let mode = metadata.mode() & 0o7777;
    if mode & 0o077 != 0 {
        return Err(PasswordError::Readable { path: path.to_owned(), mode });
    }
    let mut bytes = Vec::new();
    file.take(LONGEST + 1).read_to_end(&mut bytes).map_err(read)?;
    let text = String::from_utf8(bytes).map_err(|_| contents("is not UTF-8"))?;
    let line = text.lines().next().unwrap_or_default();
    match line {
        "" => Err(contents("is empty")),
        _ if line.len() as u64 > LONGEST => Err(contents("has a line of more than 1024 bytes")),
        _ if line.contains('\0') => Err(contents("contains a NUL")),
        _ => Ok(line.to_owned()),
    }
}

impl Location {
    /// Decides as whom to log in for `access`, and reads the password where there is a file.
    ///
    /// # Errors
    /// [`PasswordError`], which never repeats what the file holds.
    pub fn logged_in(self, access: Access) -> Result<Self, PasswordError> {
        match self {
            Self::Sqlite(dir) => Ok(Self::Sqlite(dir)),
            Self::Mariadb(server) => server.logged_in(access).map(Self::Mariadb),
        }
    }
}

impl Server {
    fn logged_in(mut self, access: Access) -> Result<Self, PasswordError> {
        if access == Access::Read && self.user == WRITER {
            self.user = READER.to_owned();
            self.password_file = self.read_password_file.take();
        }
        if let Some(path) = &self.password_file {
            self.password = Some(read_password(path)?);
        }
        Ok(self)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::{fs, os::unix::fs::PermissionsExt as _};

    #[test]
    fn a_file_that_others_can_read_is_refused() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("password");
        fs::write(&path, "it's\nsecond line").unwrap();
        let mode = |mode| fs::set_permissions(&path, fs::Permissions::from_mode(mode)).unwrap();
        for open in [0o640, 0o604, 0o620, 0o666] {
            mode(open);
            let error = read_password(&path).unwrap_err().to_string();
            assert!(error.contains("chmod 0600") && !error.contains("it's"), "{error}");
        }
        mode(0o600);
        assert_eq!(read_password(&path).unwrap(), "it's");
        for (content, what) in [(&b"\nx"[..], "empty"), (b"\xff", "UTF-8"), (b"a\0b", "NUL")] {
            fs::write(&path, content).unwrap();
            let error = read_password(&path).unwrap_err().to_string();
            assert!(error.contains(what), "{error}");
        }
        assert!(matches!(read_password(dir.path()), Err(PasswordError::Contents { .. })));
        assert!(matches!(read_password(Path::new("/nonexistent")), Err(PasswordError::Read { .. })));
    }

    #[test]
    fn who_reads_is_the_reader() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("reader");
        fs::write(&path, "secret").unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o600)).unwrap();
        let url = format!("mysql://pofr@localhost/?unix_socket=/s&read_password_file={}", path.display());
        let as_whom = |access| match Location::parse(&url).unwrap().logged_in(access).unwrap() {
            Location::Mariadb(server) => (server.user, server.password),
            Location::Sqlite(_) => unreachable!(),
        };
        assert_eq!(as_whom(Access::Write), ("pofr".into(), None));
        assert_eq!(as_whom(Access::Read), ("pofr_read".into(), Some("secret".into())));
    }
}
