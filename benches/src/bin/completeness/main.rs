//! Completeness: how much of a storm of short processes, connections and file openings reaches the database.
//!
//! The storm is a program of its own ([`storm`]) that writes down what it did; the truth is therefore known. The same storm is
//! played to the recorder with all its sources, to the recorder that only samples, and to other programs that are installed
//! ([`others`]), one after the other. What the recorder wrote goes the whole way: spool, ingest, SQLite, SQL ([`record`]).
//!
//! `cargo run --release -p pofr-benches --bin completeness`

mod others;
mod record;
mod report;
mod storm;
mod truth;

use anyhow::Context as _;
use clap::{Parser, Subcommand};
use std::{path::PathBuf, process::Command};
use truth::Truth;

/// Measures what is missed.
#[derive(Debug, Parser)]
struct Arguments {
    /// Processes of about 1 ms, as fast as the machine can.
    #[arg(long, default_value_t = 20_000)]
    flood: u32,
    /// Seconds of processes and file openings of 1, 5, 50 and 300 ms at a steady rate.
    #[arg(long, default_value_t = 10)]
    steady: u32,
    /// Processes started in each of those seconds, all lengths together.
    #[arg(long, default_value_t = 400)]
    rate: u32,
    /// TCP connections opened and closed at once over loopback.
    #[arg(long, default_value_t = 5_000)]
    connections: u32,
    /// Time between samples, ms.
    #[arg(long, default_value_t = 300)]
    interval: u64,
    /// Leave out the other programs.
    #[arg(long)]
    alone: bool,
    #[command(subcommand)]
    part: Option<Part>,
}

#[derive(Debug, Subcommand)]
enum Part {
    /// Plays the storm and writes down what it did (this program runs itself so).
    #[command(hide = true)]
    Storm(Plan),
}

/// What a storm is made of.
#[derive(Clone, Debug, clap::Args)]
struct Plan {
    /// Processes as fast as possible.
    flood: u32,
    /// Seconds at a steady rate.
    steady: u32,
    /// Processes a second.
    rate: u32,
    /// Connections.
    connections: u32,
    /// A directory for files to be opened, and where the truth is written.
    dir: PathBuf,
}

impl Plan {
    /// Plays the storm in a process of its own, and returns what it did.
    fn play(&self) -> anyhow::Result<Truth> {
        let status = Command::new(std::env::current_exe()?)
            .arg("storm")
            .args([self.flood, self.steady, self.rate, self.connections].map(|n| n.to_string()))
            .arg(&self.dir)
            .status()
            .context("cannot start the storm")?;
        anyhow::ensure!(status.success(), "the storm failed: {status}");
        Truth::read(&self.dir)
    }
}

fn main() -> anyhow::Result<()> {
    let arguments = Arguments::parse();
    if let Some(Part::Storm(plan)) = &arguments.part {
        return storm::play(plan);
    }
    let dir = tempfile::tempdir()?;
    let plan = |name: &str| -> anyhow::Result<Plan> {
        let dir = dir.path().join(name);
        std::fs::create_dir(&dir)?;
        let Arguments { flood, steady, rate, connections, .. } = arguments;
        Ok(Plan { flood, steady, rate, connections, dir })
    };
    report::machine(&arguments);
    let mut columns = vec![
        record::play("pofr", &plan("pofr")?, arguments.interval, true)?,
        record::play("pofr, samples only", &plan("samples")?, arguments.interval, false)?,
    ];
    if !arguments.alone {
        columns.push(others::forkstat(&plan("forkstat")?)?);
        columns.push(others::auditd(&plan("auditd")?)?);
    }
    report::print(&columns);
    Ok(())
}
