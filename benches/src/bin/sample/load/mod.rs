//! The load: processes with files and connections, most of which sleep; and, for the audit, some of every kind that is hard to
//! follow.
//!
//! Every part is this program again. A part ends when its standard input does, so none outlives the measurement.

mod machine;
mod mixed;

use anyhow::{Context as _, ensure};
use std::{
    io::{BufRead as _, BufReader, Read as _},
    path::PathBuf,
    process::{Child, ChildStdin, Command, Stdio},
};

/// A part of the load.
#[derive(Debug, clap::Subcommand)]
pub(crate) enum Part {
    /// Starts the processes and serves their connections.
    Machine {
        #[command(flatten)]
        size: crate::Size,
    },
    /// One process.
    Process { files: u32, connections: u32, port: u16, active: u32, dir: PathBuf },
    /// Starts everything that is hard to follow.
    Mixed { dir: PathBuf },
    /// Has threads that replace a descriptor and exit.
    Threads { dir: PathBuf },
    /// Runs this program again and again.
    Again { turn: u64 },
}

impl Part {
    /// Is the part until standard input ends.
    pub(crate) fn run(self) -> anyhow::Result<()> {
        match self {
            Self::Machine { size } => machine::run(size),
            Self::Process { files, connections, port, active, dir } => {
                machine::process(files, connections, port, active > 0, &dir)
            }
            Self::Mixed { dir } => mixed::run(&dir),
            Self::Threads { dir } => mixed::threads(&dir),
            Self::Again { turn } => mixed::again(turn),
        }
    }
}

/// A part that runs; it ends when this is dropped.
#[derive(Debug)]
pub(crate) struct Running {
    child: Child,
    stdin: Option<ChildStdin>,
}

impl Running {
    /// Starts a part and waits until it says that it is ready.
    pub(crate) fn start(args: &[String]) -> anyhow::Result<Self> {
        let mut command = Command::new(std::env::current_exe()?);
        command.arg("load").args(args).stdin(Stdio::piped()).stdout(Stdio::piped());
        let mut child = command.spawn().context("cannot start the load")?;
        let mut line = String::new();
        BufReader::new(child.stdout.take().context("no output")?).read_line(&mut line)?;
        let stdin = child.stdin.take();
        let this = Self { child, stdin };
        ensure!(line == "ready\n", "the load {args:?} did not begin");
        Ok(this)
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        drop(self.stdin.take());
        let _ = self.child.wait();
    }
}

/// Says that this part has begun.
fn ready() {
    println!("ready");
}

/// Waits for the end of standard input.
fn wait_for_the_end() {
    let _ = std::io::stdin().read_to_end(&mut Vec::new());
}
