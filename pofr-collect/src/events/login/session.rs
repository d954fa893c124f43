//! Sessions as systemd-logind keeps them in `/run/systemd/sessions`, a file each: `UID=1000`, `USER=ann`, `LEADER=812`, …
//! The files say that they are private to it; they have had these lines since 2012, and sd-login(3), which reads them, is C.

use pofr_core::raw::RawText;
use std::{collections::BTreeMap, fs, path::Path};

/// What is taken of a session, and what it is called in the fact.
const LINES: [(&str, &str); 9] = [
    ("UID", "uid"),
    ("USER", "user"),
    ("LEADER", "pid"),
    ("REMOTE_HOST", "address"),
    ("REMOTE_USER", "remote_user"),
    ("TTY", "tty"),
    ("SERVICE", "service"),
    ("CLASS", "class"),
    ("TYPE", "type"),
];

/// A file with more is none of logind's.
const MOST_BYTES: u64 = 64 << 10;
/// More sessions at a time are not looked at.
const MOST: usize = 10_000;

/// A session.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Session {
    /// When it began, µs since 1970.
    pub(super) since: Option<i64>,
    /// The process that opened it.
    pub(super) leader: Option<u32>,
    /// What is known of it, by the names that the fact has.
    pub(super) attributes: BTreeMap<String, RawText>,
}

/// Reads the names of the sessions that there are; none where there is no logind.
pub(super) fn names(dir: &Path) -> Vec<String> {
    let Ok(entries) = fs::read_dir(dir) else { return Vec::new() };
    let names = entries.filter_map(|entry| entry.ok()?.file_name().into_string().ok());
    // Beside each there may be the FIFO that its leader holds, `3.ref`.
    names.filter(|name| name.bytes().all(|b| b.is_ascii_alphanumeric())).take(MOST).collect()
}

/// Reads a session; `None` where it is over, or not written yet.
pub(super) fn read(dir: &Path, name: &str) -> Option<Session> {
    let path = dir.join(name);
    let metadata = fs::symlink_metadata(&path).ok()?;
    if !metadata.is_file() || metadata.len() > MOST_BYTES {
        return None;
    }
    parse(&fs::read(path).ok()?)
}

fn parse(text: &[u8]) -> Option<Session> {
    let mut session = Session::default();
    for line in text.split(|b| *b == b'\n') {
        let Some(at) = line.iter().position(|b| *b == b'=') else { continue };
        let (name, value) = (&line[..at], &line[at + 1..]);
        if value.is_empty() {
            continue;
        }
        match name {
            b"REALTIME" => session.since = crate::sys::parse(value),
            b"LEADER" => session.leader = crate::sys::parse(value),
            _ => {}
        }
        if let Some((_, called)) = LINES.iter().find(|(theirs, _)| theirs.as_bytes() == name) {
            session.attributes.insert((*called).to_owned(), value.into());
        }
    }
    session.attributes.contains_key("uid").then_some(session)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_session_of_logind() {
        let text = b"# This is private data. Do not parse.\nUID=1000\nUSER=ann\nACTIVE=1\nIS_DISPLAY=0\nSTATE=active\nREMOTE=1\n\
            TYPE=tty\nORIGINAL_TYPE=tty\nCLASS=user\nSCOPE=session-3.scope\nFIFO=/run/systemd/sessions/3.ref\nTTY=pts/0\n\
            REMOTE_HOST=192.0.2.7\nSERVICE=sshd\nLEADER=812\nAUDIT=3\nREALTIME=1795428000000000\nMONOTONIC=5\n";
        let session = parse(text).unwrap();
        assert_eq!((session.since, session.leader), (Some(1_795_428_000_000_000), Some(812)));
        let all: Vec<String> =
            session.attributes.iter().map(|(name, value)| format!("{name}={value}")).collect();
        assert_eq!(
            all.join(" "),
            "address=192.0.2.7 class=user pid=812 service=sshd tty=pts/0 type=tty uid=1000 user=ann"
        );
        assert_eq!(parse(b""), None);
        assert_eq!(parse(b"USER=ann\nUID="), None);
    }
}
