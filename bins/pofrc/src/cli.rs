//! The command line: the one definition that help, man pages and completions are made of.

use crate::{exit, units};
use clap::{Args, Parser, Subcommand};
use clap_complete::Shell;
use std::{path::PathBuf, time::Duration};

/// The flight recorder for Linux machines: the client
#[derive(Debug, Parser)]
#[command(name = "pofrc", version, about, after_help = "See `pofrc record --help` for examples.")]
pub(crate) struct Cli {
    #[command(subcommand)]
    pub(crate) command: Command,
}

/// What to do
#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Record this machine into bundles, without any server
    Record(Record),
    /// Print the completions for a shell
    Completions {
        /// The shell
        shell: Shell,
    },
    /// Print the man page
    Man {
        /// Write the pages of all commands into this directory instead
        #[arg(long, value_name = "DIR")]
        dir: Option<PathBuf>,
    },
}

const EXAMPLES: &str = "\
Examples:
  Half a minute, ten times a second:
    pofrc record --out record --for 30s --interval 100ms
  Until Ctrl-C, a bundle every ten seconds, at most 512 MiB of them, the state on the disk:
    pofrc record --out /dev/shm/pofr --state /var/lib/pofr --bundle 10s --max-bytes 512MiB
  With every snapshot as the samplers believed it, one JSON object a line:
    pofrc record --out record --for 10s --snapshots snapshots.ndjson

An ordinary user sees all processes, but the open files, programs and directories only of their own.";

/// Record this machine into bundles, without any server
#[derive(Debug, Args)]
#[command(after_help = format!("{EXAMPLES}\n\n{}", exit::HELP))]
pub(crate) struct Record {
    /// Where the bundles go; made where it is not there
    #[arg(long, value_name = "DIR")]
    pub(crate) out: PathBuf,

    /// How long to record [default: until Ctrl-C]
    #[arg(long = "for", value_name = "DURATION", value_parser = units::duration)]
    pub(crate) limit: Option<Duration>,

    /// The time between samples, from 100us to 1h
    #[arg(long, value_name = "DURATION", value_parser = units::duration, default_value = "300ms")]
    pub(crate) interval: Duration,

    /// The time that a bundle covers, from 100ms to 1d
    #[arg(long, value_name = "DURATION", value_parser = units::duration, default_value = "45s")]
    pub(crate) bundle: Duration,

    /// Also write every snapshot into this file, as NDJSON
    #[arg(long, value_name = "FILE")]
    pub(crate) snapshots: Option<PathBuf>,

    /// Where numbers, client id and the head of the chain are kept [default: DIR/.state]
    #[arg(long, value_name = "DIR")]
    pub(crate) state: Option<PathBuf>,

    /// Drop the oldest bundles beyond so many bytes [default: keep all]
    #[arg(long, value_name = "SIZE", value_parser = units::size)]
    pub(crate) max_bytes: Option<u64>,
}
