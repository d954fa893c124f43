//! The log of sessions: the system's (syslog(3)), where there is one, else a file in the inbox. Never standard error, which
//! sshd hands to the client.

use rustix::fs::{Mode, OFlags};
use std::{
    fs::File,
    io::Write as _,
    os::unix::net::UnixDatagram,
    path::{Path, PathBuf},
};

/// Where the system's log listens.
const SYSLOG: &str = "/dev/log";
/// Facility daemon, severity informational (RFC 3164, 4.1.1).
const PRIORITY: u8 = 3 * 8 + 6;
/// The file in the inbox is begun anew beyond so many bytes; one older stays.
const MAX_FILE: u64 = 1 << 20;
const FILE: &str = ".receive.log";

/// A log that is open, so that nothing need be opened behind the fence.
pub(super) struct Log {
    to: To,
    client: String,
}

enum To {
    Syslog(UnixDatagram),
    File(Option<File>),
}

impl Log {
    /// Opens the log: the system's, else that in an inbox, if there is one.
    pub(super) fn open(inbox: Option<&Path>, client: &str) -> Self {
        let syslog = UnixDatagram::unbound().and_then(|socket| {
            socket.connect(SYSLOG)?;
            // A log that is stuck must not hold up a session.
            socket.set_nonblocking(true)?;
            Ok(socket)
        });
        let to = syslog.map_or_else(|_| To::File(inbox.and_then(file)), To::Syslog);
        Self { to, client: client.to_owned() }
    }

    /// Writes a line.
    pub(super) fn line(&mut self, text: &str) {
        let (pid, client) = (std::process::id(), &self.client);
        // A line that cannot be written is no reason to lose a bundle.
        match &mut self.to {
            To::Syslog(socket) => {
                let line = format!("<{PRIORITY}>pofrs-receive[{pid}]: {client}: {text}");
                let _ = socket.send(line.as_bytes());
            }
            To::File(Some(file)) => {
                let now = jiff::Timestamp::now().strftime("%Y-%m-%dT%H:%M:%SZ");
                let _ = file.write_all(format!("{now} pofrs-receive[{pid}]: {client}: {text}\n").as_bytes());
            }
            To::File(None) => {}
        }
    }
}

fn file(inbox: &Path) -> Option<File> {
    let path: PathBuf = inbox.join(FILE);
    if path.symlink_metadata().is_ok_and(|m| m.len() > MAX_FILE) {
        let _ = std::fs::rename(&path, inbox.join(format!("{FILE}.1")));
    }
    let flags = OFlags::WRONLY | OFlags::APPEND | OFlags::CREATE | OFlags::NOFOLLOW | OFlags::NONBLOCK;
    rustix::fs::open(&path, flags | OFlags::CLOEXEC, Mode::from_raw_mode(0o640)).ok().map(File::from)
}
