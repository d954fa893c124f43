//! `fleet`: bundles of generated machines, to see what `pofrs` makes of them.
//!
//! `fleet day DIR` writes a day's bundles of one machine. `fleet live DATA_DIR` is many clients at once in real time: it puts a
//! bundle of each into its inbox every 45 s, sees how long it stays there (`pofrs ingest --watch` takes it away when its rows
//! are committed), and what CPU time the processes of `--pid` spend meanwhile: `pofrs`, and the database's server.

use anyhow::{Context as _, ensure};
use clap::{Parser, Subcommand};
use pofr_benches::Machine;
use pofr_core::{
    collector::Closing,
    wire::v2::{self, Sealed},
};
use std::{
    fs,
    path::{Path, PathBuf},
    time::{Duration, Instant},
};

/// Makes bundles of generated machines
#[derive(Parser)]
struct Args {
    #[command(subcommand)]
    what: What,
}

#[derive(Subcommand)]
enum What {
    /// Write a day of one machine
    Day {
        /// Where to
        dir: PathBuf,
        /// How many bundles of 45 s
        #[arg(long, default_value_t = 1920)]
        bundles: u32,
    },
    /// Be many clients in real time
    Live {
        /// The server's data directory
        data_dir: PathBuf,
        /// How many clients
        #[arg(long, default_value_t = 20)]
        clients: u32,
        /// For how long, s
        #[arg(long, default_value_t = 600)]
        seconds: u64,
        /// Whose CPU time to measure
        #[arg(long, required = true)]
        pid: Vec<u32>,
    },
}

/// A bundle's samples, at 3.3 Hz.
const SAMPLES: u32 = 150;
/// A bundle's time.
const BUNDLE: Duration = Duration::from_secs(45);

fn main() -> anyhow::Result<()> {
    match Args::parse().what {
        What::Day { dir, bundles } => day(&dir, bundles),
        What::Live { data_dir, clients, seconds, pid } => live(&data_dir, clients, seconds, &pid),
    }
}

fn sealed(n: u32) -> anyhow::Result<Sealed> {
    let frames = Machine::OFFICE.frames(u64::from(n) + 1, n * SAMPLES, SAMPLES);
    Ok(v2::seal(&frames, true, &Closing::default())?)
}

fn day(dir: &Path, bundles: u32) -> anyhow::Result<()> {
    fs::create_dir_all(dir)?;
    let mut bytes = 0;
    for n in 0..bundles {
        let sealed = sealed(n)?;
        bytes += sealed.tar.len();
        fs::write(dir.join(sealed.name), sealed.tar)?;
    }
    println!("{bundles} bundles, {} samples, {bytes} bytes", bundles * SAMPLES);
    Ok(())
}

/// What a client has sent that is not taken yet.
struct Sent {
    path: PathBuf,
    at: Instant,
}

fn live(data_dir: &Path, clients: u32, seconds: u64, pids: &[u32]) -> anyhow::Result<()> {
    // All clients send the same: how a bundle comes to be is not what is measured.
    let rounds = u32::try_from(seconds / BUNDLE.as_secs()).context("too long")? + 1;
    let bundles = (0..rounds).map(sealed).collect::<anyhow::Result<Vec<_>>>()?;
    let mut due: Vec<(Duration, u32, usize)> = (0..clients)
        .flat_map(|client| (0..bundles.len()).map(move |n| (client, n)))
        .map(|(client, n)| (BUNDLE * u32::try_from(n).unwrap_or(0) + BUNDLE * client / clients, client, n))
        .collect();
    due.sort_unstable();
    let (mut waiting, mut taken): (Vec<Sent>, Vec<Duration>) = Default::default();
    let all = || pids.iter().map(|pid| cpu_millis(*pid)).collect::<anyhow::Result<Vec<_>>>();
    let (start, cpu) = (Instant::now(), all()?);
    let mut next = due.iter().peekable();
    while start.elapsed() < Duration::from_secs(seconds) || !waiting.is_empty() {
        while let Some((_, client, n)) =
            next.next_if(|(at, ..)| *at <= start.elapsed() && at.as_secs() < seconds)
        {
            waiting.push(send(data_dir, *client, &bundles[*n])?);
        }
        waiting.retain(|sent| {
            let there = sent.path.exists();
            if !there {
                taken.push(sent.at.elapsed());
            }
            there
        });
        ensure!(start.elapsed() < Duration::from_secs(seconds * 2), "{} bundles stay", waiting.len());
        std::thread::sleep(Duration::from_millis(20));
    }
    let (spent, seconds_passed) = (all()?, start.elapsed().as_secs_f64());
    taken.sort_unstable();
    let (median, most) = (taken[taken.len() / 2], taken[taken.len() - 1]);
    let late = taken.iter().filter(|took| **took > BUNDLE).count();
    println!("{clients} clients for {seconds} s: {} bundles", taken.len());
    println!("from arrival to commit: median {median:.2?}, most {most:.2?}, {late} longer than a bundle");
    for ((pid, after), before) in pids.iter().zip(spent).zip(cpu) {
        let spent = after - before;
        let share = spent / (seconds_passed * 10.0);
        println!(
            "CPU of process {pid}: {:.1} s, {share:.2} % of a core, {:.3} % for each client",
            spent / 1e3,
            share / f64::from(clients)
        );
    }
    Ok(())
}

/// Puts a bundle into a client's inbox as `receive` does: under another name first.
fn send(data_dir: &Path, client: u32, bundle: &Sealed) -> anyhow::Result<Sent> {
    let inbox = data_dir.join(format!("inbox/fleet-{client}"));
    fs::create_dir_all(&inbox)?;
    let (part, path) = (inbox.join(".part"), inbox.join(&bundle.name));
    fs::write(&part, &bundle.tar)?;
    fs::rename(part, &path)?;
    Ok(Sent { path, at: Instant::now() })
}

/// CPU time of a process, ms (proc_pid_stat(5), fields 14 and 15).
fn cpu_millis(pid: u32) -> anyhow::Result<f64> {
    let stat =
        fs::read_to_string(format!("/proc/{pid}/stat")).with_context(|| format!("no process {pid}"))?;
    let behind_name = stat.rsplit(") ").next().unwrap_or_default();
    let ticks = behind_name.split(' ').skip(11).take(2).filter_map(|ticks| ticks.parse::<u64>().ok());
    Ok(ticks.sum::<u64>() as f64 * 1e3 / rustix::param::clock_ticks_per_second() as f64)
}
