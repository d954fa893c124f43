//! Every `ssh` stays our child, and ends with its session.
//!
//! `ssh -f` leaves who started it, so that its parent would be init, and the recorder could not tell that it is ours. A child
//! subreaper (prctl(2)) gets such processes as its own children; they are killed and waited for when a session is over. What a
//! shipper that was killed left behind ends by itself: its client sees the end of its input, and its master has nobody to
//! serve.

use anyhow::Context as _;
use rustix::process::{Pid, Signal, WaitOptions, getpid, kill_process, set_child_subreaper, wait};
use std::path::Path;

/// Becomes the parent of whatever our children leave behind.
pub(crate) fn adopt() -> anyhow::Result<()> {
    set_child_subreaper(Some(getpid())).context("cannot become a subreaper")
}

/// Kills all children and waits for them. For when no session is under way: it would be killed, too.
pub(crate) fn end_all() {
    // Each may leave some of its own to us.
    for _ in 0..8 {
        let children = children();
        if children.is_empty() {
            break;
        }
        for child in children {
            let _ = kill_process(child, Signal::KILL);
        }
        while let Ok(Some(_)) = wait(WaitOptions::NOHANG) {}
        std::thread::sleep(std::time::Duration::from_millis(10));
    }
    while let Ok(Some(_)) = wait(WaitOptions::NOHANG) {}
}

/// Returns our children: the processes whose parent we are.
fn children() -> Vec<Pid> {
    let us = getpid().as_raw_nonzero().get();
    let Ok(entries) = std::fs::read_dir("/proc") else { return Vec::new() };
    let pid = |name: std::ffi::OsString| name.to_str()?.parse::<i32>().ok();
    let is_ours = |pid: &i32| parent(*pid) == Some(us);
    entries.filter_map(|e| pid(e.ok()?.file_name())).filter(is_ours).filter_map(Pid::from_raw).collect()
}

/// Returns the parent of a process: field 4 of proc_pid_stat(5).
fn parent(pid: i32) -> Option<i32> {
    let text = std::fs::read(format!("/proc/{pid}/stat")).ok()?;
    let behind = text.iter().rposition(|b| *b == b')')? + 1;
    std::str::from_utf8(&text[behind..]).ok()?.split_whitespace().nth(1)?.parse().ok()
}

/// Removes what a shipper that was killed left in its control directory.
pub(crate) fn sweep(dir: &Path) {
    let Ok(entries) = std::fs::read_dir(dir) else { return };
    for entry in entries.flatten() {
        if entry.file_name().to_string_lossy().starts_with(".ssh-connection") {
            let _ = std::fs::remove_dir_all(entry.path());
        }
    }
}
