//! The stage: starts the actors at their times, and remembers who they were.

use super::actor::Role;
use anyhow::Context as _;
use clap::ValueEnum as _;
use pofr_core::time::WallMicros;
use std::{
    io::{BufRead as _, BufReader},
    os::unix::{fs::symlink, process::CommandExt as _},
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    time::Duration,
};

/// How long the brief processes live, ms; each is played three times.
pub(super) const BRIEF_MILLIS: [u64; 3] = [5, 50, 500];
/// How often each is played.
pub(super) const BRIEF_TIMES: usize = 3;

/// What the actors did.
#[derive(Debug, Default)]
pub(super) struct Cast {
    /// The path that was written and unlinked.
    pub(super) deleted: PathBuf,
    /// Who holds it.
    pub(super) file_pid: u32,
    /// Who listens, and on which port.
    pub(super) listener: (u32, u16),
    /// Who connected.
    pub(super) connector: u32,
    /// Brief processes: pid and how long they lived, ms.
    pub(super) brief: Vec<(u32, u64)>,
    /// From when to when the long parts were all played, by the wall clock.
    pub(super) during: (WallMicros, WallMicros),
}

/// The actors' company. Dropping it ends all who still play.
#[derive(Debug)]
pub(super) struct Stage {
    dir: PathBuf,
    playing: Vec<Child>,
    /// What they did.
    pub(super) cast: Cast,
}

impl Stage {
    /// Begins the long parts: the file and the connection, each for `time` at most.
    pub(super) fn open(dir: &Path, time: Duration) -> anyhow::Result<Self> {
        let mut stage = Self { dir: dir.to_owned(), playing: Vec::new(), cast: Cast::default() };
        stage.cast.deleted = dir.join("secret-plans.txt");
        let path = stage.cast.deleted.clone();
        let (pid, _) = stage.start(Role::File, "pofr-demo-file", time, |c| c.arg("--path").arg(path))?;
        stage.cast.file_pid = pid;
        let (pid, port) = stage.start(Role::Listen, "pofr-demo-srv", time, |c| c)?;
        let port: u16 = port.trim().parse().context("the listening actor told no port")?;
        stage.cast.listener = (pid, port);
        let (pid, _) =
            stage.start(Role::Connect, "pofr-demo-cli", time, |c| c.arg("--port").arg(port.to_string()))?;
        stage.cast.connector = pid;
        stage.cast.during = (now(), now());
        Ok(stage)
    }

    /// Ends the long parts.
    pub(super) fn close(mut self) -> Cast {
        self.cast.during.1 = now();
        std::mem::take(&mut self.cast)
    }

    /// Plays a brief process from its start to its end.
    pub(super) fn brief(&mut self, millis: u64) -> anyhow::Result<()> {
        let mut child = self
            .command(Role::Brief, &format!("pofr-brief-{millis}"), Duration::from_millis(millis))?
            .spawn()
            .context("cannot start an actor")?;
        self.cast.brief.push((child.id(), millis));
        child.wait()?;
        Ok(())
    }

    /// Starts an actor and waits for its first line.
    fn start(
        &mut self,
        role: Role,
        name: &str,
        time: Duration,
        more: impl FnOnce(&mut Command) -> &mut Command,
    ) -> anyhow::Result<(u32, String)> {
        let mut command = self.command(role, name, time)?;
        more(&mut command).stdin(Stdio::piped()).stdout(Stdio::piped());
        let mut child = command.spawn().context("cannot start an actor")?;
        let mut line = String::new();
        if let Some(out) = child.stdout.take() {
            BufReader::new(out).read_line(&mut line)?;
        }
        let pid = child.id();
        self.playing.push(child);
        Ok((pid, line))
    }

    /// Returns the command that plays a role under a name of its own: the kernel names a process by the last part of the path
    /// that was executed.
    fn command(&self, role: Role, name: &str, time: Duration) -> anyhow::Result<Command> {
        let path = self.dir.join(name);
        if path.symlink_metadata().is_err() {
            let this = std::env::current_exe().context("cannot tell where this program is")?;
            symlink(this, &path).with_context(|| format!("cannot make {}", path.display()))?;
        }
        let role = role.to_possible_value().context("every role has a name")?;
        let mut command = Command::new(&path);
        command.arg0(name).args(["demo-actor", role.get_name()]);
        command.args(["--millis", &time.as_millis().to_string()]);
        command.stdin(Stdio::null()).stdout(Stdio::null());
        Ok(command)
    }
}

fn now() -> WallMicros {
    WallMicros(jiff::Timestamp::now().as_microsecond())
}

impl Drop for Stage {
    fn drop(&mut self) {
        for mut child in self.playing.drain(..) {
            drop(child.stdin.take());
            // It ends by itself; a second later at the latest it is made to.
            for _ in 0..100 {
                if !matches!(child.try_wait(), Ok(None)) {
                    break;
                }
                std::thread::sleep(Duration::from_millis(10));
            }
            let _ = child.kill();
            let _ = child.wait();
        }
    }
}
