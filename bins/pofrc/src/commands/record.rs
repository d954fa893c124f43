//! `pofrc record`: records this machine into bundles.

use crate::{cli::Record, exit::Exit, observer::Watch, signals};
use anyhow::Context as _;
use nix::sys::resource::{UsageWho, getrusage};
use pofr_collect::{HostView, Recorder, Registry, Settings, Spool, SpoolSettings, Stop, Summary};
use std::time::{Duration, Instant};

/// Records until the time is over or a signal comes.
pub(super) fn run(args: &Record) -> anyhow::Result<Exit> {
    let stop = Stop::new().context("cannot make a stop")?;
    signals::block()?;
    signals::tell(stop.clone())?;
    let view = HostView::live()?.with_own_proc();
    let mut spool = SpoolSettings::beside(&args.out);
    spool.max_bytes = args.max_bytes;
    if let Some(state) = &args.state {
        spool.state_dir.clone_from(state);
    }
    let spool = Spool::open(&view, spool)?;
    let cid = spool.cid();
    let settings = Settings {
        interval_micros: micros(args.interval),
        bundle_micros: micros(args.bundle),
        ..Settings::default()
    };
    let (watch, failure) = Watch::new(args.snapshots.as_deref(), args.limit).with_context(|| {
        let path = args.snapshots.as_deref().unwrap_or(std::path::Path::new("")).display();
        format!("cannot write {path}")
    })?;
    let registry = Registry::built_in(&view);
    let started = Instant::now();
    let mut recorder = Recorder::new(view, registry, settings, spool)?.observed_by(watch);
    let summary = recorder.run(&stop, args.limit)?;
    let bytes = recorder.into_sink().bytes_sealed();
    println!("{}", describe(&summary, bytes, started.elapsed()));
    println!("client {cid}, bundles in {}", args.out.display());
    tell_unseen(&summary);
    match failure.take() {
        Some(cause) => {
            eprintln!("pofrc: the snapshots are not whole: {cause}");
            Ok(Exit::NoSnapshots)
        }
        None => Ok(Exit::Done),
    }
}

fn micros(duration: Duration) -> u64 {
    u64::try_from(duration.as_micros()).unwrap_or(u64::MAX)
}

/// Says in one line what the recording came to.
fn describe(summary: &Summary, bytes: u64, elapsed: Duration) -> String {
    let cpu = getrusage(UsageWho::RUSAGE_SELF).map_or(0.0, |usage| {
        [usage.user_time(), usage.system_time()]
            .iter()
            .map(|t| t.tv_sec() as f64 + t.tv_usec() as f64 / 1e6)
            .sum()
    });
    let share = 100.0 * cpu / elapsed.as_secs_f64().max(f64::MIN_POSITIVE);
    format!(
        "{} samples at {} ticks ({} skipped), {} facts, {} bundles, {bytes} bytes, {} gaps, {cpu:.2} s CPU ({share:.1} % of a core)",
        summary.samples, summary.ticks, summary.skipped, summary.facts, summary.bundles, summary.gaps,
    )
}

/// Says what the kernel did not show us.
fn tell_unseen(summary: &Summary) {
    if summary.denied == 0 {
        return;
    }
    eprintln!(
        "note: of {} processes the open files were denied, and with them program, directory and namespaces; \
         their sockets have no known holder",
        summary.denied
    );
    if !nix::unistd::geteuid().is_root() {
        eprintln!("hint: run pofrc as root or grant CAP_SYS_PTRACE and CAP_DAC_READ_SEARCH");
    }
}
