//! What a sample costs: a load of our own, and CPU time of three ways to read it, side by side.
//!
//! `cargo run --release -p pofr-benches --bin sample` compares them; `-- audit --seconds 600` has the rolling audit check the
//! incremental way through a mixed load. Both see whatever else runs on the machine; to see the load alone, run the program by
//! `unshare --pid --net --fork --mount-proc sh -c 'ip link set lo up; exec sample'`.

mod audit;
mod compare;
mod first;
mod load;
mod ways;

use clap::{Parser, Subcommand};

/// Measures what a sample costs.
#[derive(Debug, Parser)]
struct Cli {
    #[command(flatten)]
    size: Size,
    /// How long to measure at each rate.
    #[arg(long, default_value_t = 60)]
    seconds: u64,
    /// Time between samples, ms; each is measured after the other.
    #[arg(long, default_values_t = [300, 50])]
    intervals: Vec<u64>,
    /// Leave the other ways out, for a profiler.
    #[arg(long)]
    alone: bool,
    /// Ask taskstats which processes ran, and /proc what they have open, though the kernel may have its iterators.
    #[arg(long, global = true)]
    taskstats: bool,
    #[command(subcommand)]
    what: Option<What>,
}

/// The load.
#[derive(Clone, Copy, Debug, clap::Args)]
struct Size {
    /// Processes.
    #[arg(long, default_value_t = 400)]
    processes: u32,
    /// Descriptors of each.
    #[arg(long, default_value_t = 20)]
    files: u32,
    /// TCP connections, of two sockets each.
    #[arg(long, default_value_t = 500)]
    connections: u32,
    /// How many of the processes wake up ten times a second.
    #[arg(long, default_value_t = 4)]
    active: u32,
}

#[derive(Debug, Subcommand)]
enum What {
    /// Runs a mixed load and counts what the audit finds.
    Audit {
        /// How long.
        #[arg(long, default_value_t = 600)]
        seconds: u64,
        /// Time between samples, ms.
        #[arg(long, default_value_t = 300)]
        interval: u64,
    },
    /// Is the load; for this program's own use.
    #[command(hide = true)]
    Load {
        #[command(subcommand)]
        part: load::Part,
    },
}

fn main() -> anyhow::Result<()> {
    let cli = Cli::parse();
    match cli.what {
        None => compare::run(&cli),
        Some(What::Audit { seconds, interval }) => audit::run(cli.size, seconds, interval, cli.taskstats),
        Some(What::Load { part }) => part.run(),
    }
}
