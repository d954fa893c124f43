//! `levels`: how long levels 2 and 3 take, and how much memory.
//!
//! Archives or makes a period of a client's record as `pofrs` would, in this process, and says how long that took, how many rows a
//! second, and the most memory that was resident.

use anyhow::{Context as _, anyhow};
use clap::{Parser, ValueEnum};
use pofr_benches::memory;
use pofr_core::identity::Cid;
use pofr_ingest::merge;
use pofr_schema::Access;
use std::time::Instant;

/// Measures levels 2 and 3
#[derive(Parser)]
struct Args {
    /// The store: sqlite:DIR or mysql://…
    #[arg(long)]
    db: String,
    /// The client
    #[arg(long, default_value = "synth")]
    client: String,
    /// Which level to make
    level: Which,
}

#[derive(Clone, Copy, ValueEnum)]
enum Which {
    /// Slices to one archive
    Archive,
    /// Archives to one period
    Period,
}

fn main() -> anyhow::Result<()> {
    let args = Args::parse();
    let cid = Cid::parse(&args.client).ok_or_else(|| anyhow!("{} is no client id", args.client))?;
    let store = pofr_schema::open(&args.db, Access::Write)?;
    let start = Instant::now();
    let mut writer = store.write(&cid)?;
    let mut shown = 0;
    let mut progress = |done: u64, of: u64| {
        let now = done * 100 / of.max(1);
        if now > shown {
            shown = now;
            eprint!("\r{now} % after {:.1} s", start.elapsed().as_secs_f64());
        }
    };
    let report = match args.level {
        Which::Archive => {
            let options = merge::Options { force: true, ..merge::Options::default() };
            merge::archive(&mut *writer, &options, &mut progress)?
        }
        Which::Period => merge::period(&mut *writer, None, &mut progress)?,
    };
    let seconds = start.elapsed().as_secs_f64();
    let peak = memory::peak().context("cannot read the peak of memory")?;
    eprintln!();
    println!(
        "{} triads, {} rows in, {} rows out: {seconds:.1} s, {:.0} rows/s in, {:.2} µs a row, peak {} MiB",
        report.inputs,
        report.rows_in,
        report.rows_out,
        report.rows_in as f64 / seconds,
        seconds * 1e6 / report.rows_in.max(1) as f64,
        peak >> 20
    );
    Ok(())
}
