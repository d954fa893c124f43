//! `/proc/PID/status`: the ids, and whether the process is still what its `stat` said (proc_pid_status(5)).
//!
//! The first lines of a real one: `Name:\tsh`, `Umask:\t0022`, `State:\tS (sleeping)`, …, `PPid:\t811`, …,
//! `Uid:\t1000\t1000\t1000\t1000`, `Gid:\t1000\t1000\t1000\t1000`.

use super::stat::{self, Stat};
use crate::sys;
use pofr_core::{fact::Ids, identity::Pid, raw::RawText};

/// What is taken from the file.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Status<'a> {
    /// The name, with newline and backslash escaped.
    name: &'a [u8],
    state: u8,
    ppid: Pid,
    /// The ids.
    pub(super) ids: Ids,
}

/// Reads the file.
pub(super) fn parse(text: &[u8]) -> Option<Status<'_>> {
    let (mut name, mut state, mut ppid, mut uids, mut gids) = (None, None, None, None, None);
    for line in text.split(|b| *b == b'\n') {
        if let Some(rest) = line.strip_prefix(b"Name:\t") {
            name = name.or(Some(rest));
        } else if let Some(rest) = line.strip_prefix(b"State:\t") {
            state = state.or(rest.first().copied());
        } else if let Some(rest) = line.strip_prefix(b"PPid:\t") {
            ppid = ppid.or(sys::parse(rest));
        } else if let Some(rest) = line.strip_prefix(b"Uid:\t") {
            uids = uids.or(real_and_effective(rest));
        } else if let Some(rest) = line.strip_prefix(b"Gid:\t") {
            gids = real_and_effective(rest);
            break;
        }
    }
    let ((ruid, euid), (rgid, egid)) = (uids?, gids?);
    Some(Status { name: name?, state: state?, ppid: Pid(ppid?), ids: Ids::of([ruid, euid, rgid, egid]) })
}

fn real_and_effective(text: &[u8]) -> Option<(u32, u32)> {
    let mut ids = text.split(|b| *b == b'\t').map(sys::parse);
    Some((ids.next()??, ids.next()??))
}

impl Status<'_> {
    /// Returns the parent.
    pub(super) const fn ppid(&self) -> Pid {
        self.ppid
    }

    /// Tells whether it was running.
    pub(super) const fn is_running(&self) -> bool {
        stat::is_running(self.state)
    }

    /// Tells whether nothing shows that the process ran another program, exited or lost its parent since `stat` was read.
    /// `comm` is the name of the thread of which this is.
    pub(super) fn still(&self, stat: &Stat, comm: &RawText) -> bool {
        let name = if stat.kernel_thread { stat::steady(self.name) } else { self.name };
        stat::is_zombie(self.state) == stat.is_zombie()
            && self.ppid == stat.ppid
            && is_escaped(name, comm.as_bytes())
    }
}

/// Tells whether `name` is `comm` as the kernel escapes it here (`proc_task_name` in fs/proc/array.c).
fn is_escaped(name: &[u8], comm: &[u8]) -> bool {
    let escaped = comm.iter().flat_map(|b| match b {
        b'\n' => &b"\\n"[..],
        b'\\' => b"\\\\",
        other => std::slice::from_ref(other),
    });
    name.iter().eq(escaped)
}

/// What must hold of any text: the name is one line of it, and who reads it twice reads the same.
#[cfg(any(test, feature = "fuzzing"))]
pub(crate) fn fuzz(text: &[u8]) {
    let Some(status) = parse(text) else { return };
    assert!(!status.name.contains(&b'\n') && status.name.len() < text.len());
    assert_eq!(parse(text), Some(status));
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_cannot_fake_a_line() {
        let text = b"Name:\tx\\nUid:\t0\nState:\tZ (zombie)\nPPid:\t7\nUid:\t1\t2\t3\t4\nGid:\t5\t6\t7\t8\n";
        let status = parse(text).unwrap();
        assert_eq!(status.ids, Ids::of([1, 2, 5, 6]));
        assert!(
            stat::is_zombie(status.state) && !status.is_running() && is_escaped(status.name, b"x\nUid:\t0")
        );
        assert!(is_escaped(b"x\\n\\\\", b"x\n\\") && !is_escaped(b"x", b"x\n"));
        assert_eq!(parse(b"Name:\tx\nState:\tR\nPPid:\t7\nUid:\t1\nGid:\t1\t2"), None);
    }
}
