//! The session's note: where a client's last session came from, for ingest to write into the host-lookup table.

use pofr_core::raw::RawText;
use rustix::fs::{FileType, Mode, OFlags};
use serde::{Deserialize, Serialize};
use std::{fs::File, io::Read as _, net::IpAddr, path::Path};

/// The note's name in an inbox.
pub const NOTE: &str = ".session.json";
/// A note is no longer than this.
const MAX: u64 = 4096;

/// What is known of a client's last session.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Note {
    /// Its address as sshd saw it.
    pub ip: Option<IpAddr>,
    /// When it began, µs since 1970 by the server's clock.
    pub since: i64,
    /// The client's program.
    pub software: String,
    /// Whether it said that it was deregistered.
    #[serde(default)]
    pub deregistered: bool,
}

impl Note {
    /// Reads the note in an inbox, which somebody else wrote: `None` where there is none, or it is not as it should be.
    #[must_use]
    pub fn read(inbox: &Path) -> Option<Self> {
        let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC;
        let file = rustix::fs::open(inbox.join(NOTE), flags, Mode::empty()).ok()?;
        let stat = rustix::fs::fstat(&file).ok()?;
        if FileType::from_raw_mode(stat.st_mode) != FileType::RegularFile {
            return None;
        }
        let mut text = Vec::new();
        File::from(file).take(MAX).read_to_end(&mut text).ok()?;
        let note: Self = serde_json::from_slice(&text).ok()?;
        Some(Self { software: RawText::from(&*note.software).escaped(), ..note })
    }

    /// Returns the address that `SSH_CONNECTION` begins with (ssh(1)).
    #[must_use]
    pub fn address(ssh_connection: &str) -> Option<IpAddr> {
        // A link-local address is followed by %interface.
        let first = ssh_connection.split_whitespace().next()?;
        first.split('%').next()?.parse().ok()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_is_one() {
        assert_eq!(Note::address("192.0.2.7 40022 192.0.2.1 22"), "192.0.2.7".parse().ok());
        assert_eq!(Note::address("fe80::1%eth0 40022 fe80::2%eth0 22"), "fe80::1".parse().ok());
        assert_eq!(Note::address("UNKNOWN 65535 UNKNOWN 65535"), None);
        assert_eq!(Note::address(""), None);
    }

    #[test]
    fn a_link_is_no_note() {
        let dir = tempfile::tempdir().unwrap();
        let note = Note { ip: None, since: 7, software: "pofrc 1\u{1b}[2J".into(), deregistered: false };
        std::fs::write(dir.path().join("other"), serde_json::to_vec(&note).unwrap()).unwrap();
        std::os::unix::fs::symlink("other", dir.path().join(NOTE)).unwrap();
        assert_eq!(Note::read(dir.path()), None);
        std::fs::rename(dir.path().join("other"), dir.path().join(NOTE)).unwrap();
        assert_eq!(Note::read(dir.path()).unwrap().software, "pofrc 1\\x1b[2J");
    }
}
