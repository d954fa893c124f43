//! Detaching: the recorder goes on when whoever started it ends, and that one learns whether it began.
//!
//! fork(2) alone is no way for a program that may have threads, so the program starts itself again: the parent waits, the child
//! makes a session of its own (setsid(2)), opens everything, and says on its output what the parent is to print. A last byte of
//! 0x06 means that it records; if the output ends without, it failed, and the parent ends as it did. Errors go to the parent's
//! own stderr.

use crate::own_file;
use anyhow::Context as _;
use rustix::stdio::{dup2_stderr, dup2_stdin, dup2_stdout};
use std::{
    fs::{File, OpenOptions},
    io::{Read as _, Write as _},
    os::unix::process::CommandExt as _,
    path::Path,
    process::{Command, Stdio},
};

/// Says that the recorder records: ACK.
const RECORDS: u8 = 6;
/// A log longer than this, bytes, begins anew: it may be in memory, and nobody reads what is old.
const LOG_BYTES: u64 = 1 << 20;

/// Starts this program again with the same arguments and `--detached`; returns its exit code if it ended before it recorded.
pub(crate) fn spawn() -> anyhow::Result<Option<i32>> {
    // Input that has ended; an empty root has no /dev/null.
    let (nothing, _) = std::io::pipe().context("cannot make a pipe")?;
    let mut child = Command::new("/proc/self/exe")
        .arg0("pofrc")
        .args(std::env::args_os().skip(1))
        .arg("--detached")
        .stdin(nothing)
        .stdout(Stdio::piped())
        .spawn()
        .context("cannot start /proc/self/exe")?;
    let mut said = Vec::new();
    let mut out = child.stdout.take().context("the child has no output")?;
    out.read_to_end(&mut said).context("cannot read what the child says")?;
    let records = said.last() == Some(&RECORDS);
    said.truncate(said.len() - usize::from(records));
    std::io::stdout().write_all(&said).context("cannot write")?;
    if records {
        return Ok(None);
    }
    let status = child.wait().context("cannot wait for the child")?;
    Ok(Some(status.code().unwrap_or(1)))
}

/// Leaves the session of whoever started this process, and the directory.
pub(crate) fn leave() -> anyhow::Result<()> {
    nix::unistd::setsid().context("cannot make a session")?;
    // It was started as `exe`.
    rustix::thread::set_name(c"pofrc").context("cannot take the name")?;
    rustix::process::umask(rustix::fs::Mode::from_raw_mode(0o077));
    std::env::set_current_dir("/").context("cannot go to /")
}

/// Lets the parent end, and sends what is said from now on to the log. Without a log it records all the same.
pub(crate) fn let_go(log: &Path) -> anyhow::Result<()> {
    let file = own_file::open_to_write(log, true);
    let opened = file.as_ref().map(|file| trim(log, file));
    let null = OpenOptions::new().read(true).write(true).open("/dev/null");
    // An empty root may have no /dev; then the log is what is left.
    let null = null.or_else(|error| file.as_ref().map_or(Err(error), File::try_clone));
    let null = null.context("cannot open /dev/null")?;
    let mut out = std::io::stdout();
    if let Err(error) = opened {
        tracing::warn!("nothing will be logged: cannot write {}: {error}", log.display());
    }
    out.write_all(&[RECORDS]).and_then(|()| out.flush()).context("cannot tell the parent")?;
    dup2_stdin(&null)
        .and_then(|()| dup2_stdout(&null))
        .and_then(|()| dup2_stderr(file.as_ref().unwrap_or(&null)))
        .context("cannot let go")
}

/// Begins the log anew where it has become long. It is written by appending, so nothing is torn.
pub(crate) fn trim(path: &Path, log: &File) {
    if log.metadata().is_ok_and(|found| found.len() > LOG_BYTES)
        && let Err(error) = log.set_len(0)
    {
        tracing::warn!("cannot begin {} anew: {error}", path.display());
    }
}
