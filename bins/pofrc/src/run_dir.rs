//! The run directory: by which a recorder is found, and kept from being started twice.
//!
//! - `pofrc.pid`: process id and start ticks (proc(5)), a line each. Who records holds a lock on it (flock(2)); the file stays when
//!   that ends. Readers do not touch the lock, but look whether that very process lives: a reused id is not it.
//! - `pofrc.sock`: tells its status to whoever connects.
//! - `pofrc.log`: what a detached recorder says.
//! - `ship.pid`: the shipper, in the same way. Who starts it writes it down, with the rights of who starts a recorder; the shipper
//!   itself gets no descriptor of it, nor of `ship.lock`, which keeps two from starting one at the same time.
//! - `ship.log`: what the shipper says. `ship/`: that process's own directory.
//! - `last.json`: how the last recording ended. It is removed when one begins, so after a `kill -9` there is none.
//!
//! A pid file of root's, or of who asks, is believed; one of another user's counts for processes of that user alone.

use crate::own_file;
use anyhow::{Context as _, anyhow};
use rustix::{
    fs::{FlockOperation, flock},
    process::geteuid,
};
use serde::{Deserialize, Serialize};
use std::{
    fs::File,
    io::{self, Read as _},
    os::unix::{
        fs::{FileExt as _, MetadataExt as _},
        net::UnixStream,
    },
    path::{Path, PathBuf},
};

/// What a pid file has, bytes. It is written in place, so that a full disk has room for it once it is there.
const PID_FILE: usize = 64;

/// A run directory.
#[derive(Clone, Debug)]
pub(crate) struct RunDir(PathBuf);

/// A process that is the recorder of a run directory.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Instance {
    pub(crate) pid: i32,
    /// When it started, ticks since boot.
    pub(crate) start: u64,
}

/// How a recording ended.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct Ended {
    pub(crate) pid: i32,
    /// When, µs since 1970.
    pub(crate) at_us: i64,
    /// What went wrong; `None` where it was asked to end.
    pub(crate) error: Option<String>,
    /// Bundles sealed in it.
    pub(crate) bundles: u64,
    pub(crate) gaps: u64,
    /// The file name of the last of them.
    pub(crate) last_bundle: Option<String>,
}

/// The right to record; another has it as soon as this is dropped.
#[derive(Debug)]
pub(crate) struct Lock(File);

impl RunDir {
    pub(crate) fn new(path: PathBuf) -> Self {
        Self(path)
    }

    pub(crate) fn path(&self) -> &Path {
        &self.0
    }

    fn pid_file(&self) -> PathBuf {
        self.0.join("pofrc.pid")
    }

    pub(crate) fn socket(&self) -> PathBuf {
        self.0.join("pofrc.sock")
    }

    pub(crate) fn log(&self) -> PathBuf {
        self.0.join("pofrc.log")
    }

    pub(crate) fn last_file(&self) -> PathBuf {
        self.0.join("last.json")
    }

    fn ship_file(&self) -> PathBuf {
        self.0.join("ship.pid")
    }

    pub(crate) fn ship_dir(&self) -> PathBuf {
        self.0.join("ship")
    }

    pub(crate) fn ship_log(&self) -> PathBuf {
        self.0.join("ship.log")
    }

    /// Takes the right to start the shipper, and waits while another has it.
    pub(crate) fn lock_shipper(&self) -> anyhow::Result<File> {
        let path = self.0.join("ship.lock");
        let lock = || -> io::Result<File> {
            let file = own_file::open_to_write(&path, false)?;
            flock(&file, FlockOperation::LockExclusive)?;
            Ok(file)
        };
        lock().with_context(|| format!("cannot lock {}", path.display()))
    }

    /// Writes down the shipper. Whoever has the file before it open has another.
    pub(crate) fn shipper_is(&self, instance: Instance) -> anyhow::Result<()> {
        let path = self.ship_file();
        own_file::replace(&path, instance.text().as_bytes())
            .with_context(|| format!("cannot write {}", path.display()))
    }

    /// Returns the shipper that runs, if one does.
    pub(crate) fn shipper(&self) -> anyhow::Result<Option<Instance>> {
        Instance::read(&self.ship_file())
    }

    /// Takes the lock and writes down who has it; `None` where another process has it.
    pub(crate) fn lock(&self) -> anyhow::Result<Option<Lock>> {
        let path = self.pid_file();
        let lock = || -> io::Result<Option<Lock>> {
            let Some(file) = take(&path)? else { return Ok(None) };
            let us = Instance::of(i32::try_from(std::process::id()).map_err(io::Error::other)?)?;
            let written =
                file.write_all_at(us.text().as_bytes(), 0).and_then(|()| file.set_len(PID_FILE as u64));
            if let Err(error) = written {
                // The lock holds all the same, and the socket tells who we are.
                tracing::error!("cannot write {}: {error}", path.display());
            }
            Ok(Some(Lock(file)))
        };
        let lock = lock().with_context(|| format!("cannot lock {}", path.display()))?;
        if lock.is_some() {
            remove(&self.last_file())?;
        }
        Ok(lock)
    }

    /// Returns the recorder that runs, if one does.
    pub(crate) fn instance(&self) -> anyhow::Result<Option<Instance>> {
        Ok(Instance::read(&self.pid_file())?.or_else(|| self.listener()))
    }

    /// Returns the process that the kernel says listens on the socket: there may have been no room for the pid file.
    fn listener(&self) -> Option<Instance> {
        let owner = self.0.metadata().ok()?.uid();
        if owner != 0 && owner != geteuid().as_raw() {
            return None;
        }
        let stream = UnixStream::connect(self.socket()).ok()?;
        let pid = rustix::net::sockopt::socket_peercred(&stream).ok()?.pid;
        Instance::of(pid.as_raw_nonzero().get()).ok().filter(Instance::is_alive)
    }

    /// Writes down how the recording ended.
    pub(crate) fn ended(&self, ended: &Ended) -> anyhow::Result<()> {
        let path = self.last_file();
        let json = serde_json::to_vec(ended).context("cannot write down how it ended")?;
        own_file::replace(&path, &json).with_context(|| format!("cannot write {}", path.display()))
    }

    /// Returns how the last recording ended, where that is known.
    pub(crate) fn last(&self) -> Option<Ended> {
        let json = own_file::read(&self.last_file(), own_file::SHORT).ok()??;
        serde_json::from_slice(&json).ok()
    }

    /// Tells whether a recording ended without a word: there was one, and nothing says how it ended.
    pub(crate) fn ended_silently(&self) -> bool {
        self.last().is_none() && self.pid_file().metadata().is_ok_and(|found| found.len() > 0)
    }
}

impl Lock {
    /// Gives the pid file to the user whom the recorder becomes.
    pub(crate) fn file(&self) -> &File {
        &self.0
    }
}

/// Opens a file and takes its lock; `None` where another has it.
fn take(path: &Path) -> io::Result<Option<File>> {
    let file = own_file::open_to_write(path, false)?;
    match flock(&file, FlockOperation::NonBlockingLockExclusive) {
        Err(rustix::io::Errno::WOULDBLOCK) => Ok(None),
        other => Ok(other.map(|()| Some(file))?),
    }
}

impl Instance {
    /// Returns the process that has the id now.
    pub(crate) fn of(pid: i32) -> io::Result<Self> {
        let (_, start) =
            stat(pid).ok_or_else(|| io::Error::other(format!("cannot read /proc/{pid}/stat")))?;
        Ok(Self { pid, start })
    }

    /// What a pid file says of the process: two lines, filled up with spaces.
    fn text(self) -> String {
        format!("{:<PID_FILE$}", format!("{}\n{}\n", self.pid, self.start))
    }

    /// Reads which process a file names, if it lives, and the file may name it.
    fn read(path: &Path) -> anyhow::Result<Option<Self>> {
        let read = || -> io::Result<Option<(String, u32)>> {
            let file = match own_file::open_to_read(path) {
                Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
                other => other?,
            };
            let mut text = String::new();
            (&file).take(own_file::SHORT).read_to_string(&mut text)?;
            Ok(Some((text, file.metadata()?.uid())))
        };
        let Some((text, owner)) = read().with_context(|| format!("cannot read {}", path.display()))? else {
            return Ok(None);
        };
        let mut lines = text.lines();
        let pid = lines.next().and_then(|line| line.parse().ok());
        let start = lines.next().and_then(|line| line.parse().ok());
        let found = pid.zip(start).map(|(pid, start)| Self { pid, start });
        let is_believed = owner == 0 || owner == geteuid().as_raw();
        Ok(found.filter(|found| found.is_alive() && (is_believed || user(found.pid) == Some(owner))))
    }

    /// Tells whether the process lives: the id is in use, by the same one, and not by its corpse.
    pub(crate) fn is_alive(&self) -> bool {
        stat(self.pid).is_some_and(|(state, start)| start == self.start && !matches!(state, b'Z' | b'X'))
    }

    /// Tells whether the process is stopped (SIGSTOP), and so cannot answer.
    pub(crate) fn is_stopped(&self) -> bool {
        stat(self.pid).is_some_and(|(state, start)| start == self.start && matches!(state, b'T' | b't'))
    }
}

/// Returns state and start ticks of a process: `812 (a b) S 1 …`, fields 3 and 22 of proc_pid_stat(5).
fn stat(pid: i32) -> Option<(u8, u64)> {
    let text = std::fs::read(format!("/proc/{pid}/stat")).ok()?;
    let behind = text.iter().rposition(|b| *b == b')')? + 1;
    let mut fields = std::str::from_utf8(&text[behind..]).ok()?.split_whitespace();
    let state = *fields.next()?.as_bytes().first()?;
    Some((state, fields.nth(18)?.parse().ok()?))
}

/// Returns the real user of a process: the first number behind `Uid:` in proc_pid_status(5).
fn user(pid: i32) -> Option<u32> {
    let text = std::fs::read(format!("/proc/{pid}/status")).ok()?;
    let line = text.split(|b| *b == b'\n').find_map(|line| line.strip_prefix(b"Uid:"))?;
    std::str::from_utf8(line).ok()?.split_whitespace().next()?.parse().ok()
}

/// Removes a file; one that is not there is removed.
pub(crate) fn remove(path: &Path) -> anyhow::Result<()> {
    match std::fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => {
            Err(anyhow!(error).context(format!("cannot remove {}", path.display())))
        }
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_very_process_is_the_recorder() {
        let dir = tempfile::tempdir().unwrap();
        let run = RunDir::new(dir.path().to_owned());
        assert_eq!(run.instance().unwrap(), None);
        assert!(!run.ended_silently());
        let lock = run.lock().unwrap().unwrap();
        let us = run.instance().unwrap().unwrap();
        assert_eq!(us.pid.unsigned_abs(), std::process::id());
        assert!(us.is_alive() && !us.is_stopped());
        assert!(run.lock().unwrap().is_none());
        drop(lock);
        assert!(run.lock().unwrap().is_some());
        // The same id with another start is another process.
        std::fs::write(run.pid_file(), format!("{}\n{}\n", us.pid, us.start + 1)).unwrap();
        assert_eq!(run.instance().unwrap(), None);
        assert!(run.ended_silently());
        std::fs::write(run.pid_file(), "1").unwrap();
        assert_eq!(run.instance().unwrap(), None);
    }

    #[test]
    fn a_pid_file_of_another_user_names_that_users_processes_alone() {
        if !geteuid().is_root() {
            eprintln!("SKIPPED: without root no file can be another's");
            return;
        }
        let dir = tempfile::tempdir().unwrap();
        let run = RunDir::new(dir.path().to_owned());
        let _lock = run.lock().unwrap().unwrap();
        assert!(run.instance().unwrap().is_some());
        for path in [dir.path(), &run.pid_file()] {
            std::os::unix::fs::chown(path, Some(65_534), None).unwrap();
        }
        assert_eq!(run.instance().unwrap(), None, "we are not that user");
        let sleep = || {
            use std::os::unix::process::CommandExt as _;
            std::process::Command::new("sleep").arg("1000").uid(65_534).spawn().unwrap()
        };
        let mut theirs = sleep();
        let named = Instance::of(i32::try_from(theirs.id()).unwrap()).unwrap();
        std::fs::write(run.pid_file(), named.text()).unwrap();
        assert_eq!(run.instance().unwrap(), Some(named));
        theirs.kill().unwrap();
        theirs.wait().unwrap();
        assert_eq!(run.instance().unwrap(), None);
    }

    #[test]
    fn how_it_ended_is_remembered_until_it_begins_again() {
        let dir = tempfile::tempdir().unwrap();
        let run = RunDir::new(dir.path().to_owned());
        let ended =
            Ended { pid: 1, at_us: 2, error: Some("x".into()), bundles: 3, gaps: 4, last_bundle: None };
        run.ended(&ended).unwrap();
        assert_eq!(run.last(), Some(ended));
        let _lock = run.lock().unwrap().unwrap();
        assert_eq!(run.last(), None);
    }
}
