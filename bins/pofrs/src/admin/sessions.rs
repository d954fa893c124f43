//! Sessions of an account that is to go.

use nix::{
    sys::signal::{Signal, kill},
    unistd::{Pid, Uid},
};
use std::{
    fs,
    os::unix::fs::MetadataExt as _,
    time::{Duration, Instant},
};

/// Ends all processes of a user, and waits until they are gone.
pub(crate) fn end(uid: Uid) -> anyhow::Result<()> {
    if uid.is_root() {
        anyhow::bail!("root's processes are no client's sessions");
    }
    let deadline = Instant::now() + Duration::from_secs(10);
    loop {
        let mut left = 0;
        for entry in fs::read_dir("/proc")?.flatten() {
            let Some(pid) = entry.file_name().to_str().and_then(|name| name.parse::<i32>().ok()) else {
                continue;
            };
            if !is_zombie(pid) && entry.metadata().is_ok_and(|found| found.uid() == uid.as_raw()) {
                left += 1;
                // One that has just ended is what was wanted.
                let _ = kill(Pid::from_raw(pid), Signal::SIGKILL);
            }
        }
        if left == 0 {
            return Ok(());
        }
        if Instant::now() > deadline {
            anyhow::bail!("{left} processes of user {uid} do not end");
        }
        std::thread::sleep(Duration::from_millis(50));
    }
}

/// Tells whether a process has ended and only waits for its parent to notice (proc_pid_stat(5): the state follows the name).
fn is_zombie(pid: i32) -> bool {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
    stat.rsplit_once(") ").is_some_and(|(_, rest)| rest.starts_with('Z'))
}
