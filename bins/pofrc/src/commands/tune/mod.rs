//! `pofrc tune`: records for some seconds into nothing, and says what that costs and which interval fits a budget.

mod measured;
mod verdict;
mod weighed;

use crate::{cli::Tune, exit::Exit, facilities, privileges, signals};
use anyhow::Context as _;
use measured::{Measured, Tally};
use pofr_collect::{
    HostView, RealTime, Recorder, Registry, Settings, Stop,
    recorder::{Meter as _, Observer, ProcessMeter, Tick},
};
use pofr_core::{Source, diff::Shown, time::WallMicros};
use std::{
    sync::{Arc, Mutex, PoisonError},
    time::{Duration, Instant},
};
use verdict::Verdict;
use weighed::Weighed;

/// The time that a bundle covers where nobody says otherwise: what the estimate of bytes goes by.
const BUNDLE: Duration = Duration::from_secs(45);

/// Measures and prints.
pub(super) fn run(args: &Tune) -> anyhow::Result<Exit> {
    signals::block()?;
    // What is measured is what a recorder would do, with what a recorder keeps.
    let opening = privileges::drop_most(None)?;
    let view = HostView::live()?;
    let tally = Arc::new(Mutex::new(Tally::default()));
    let samplers = Registry::samplers_only(&view).hearing_first(&view);
    let priority = RealTime::take();
    let mut missing = opening.drop_rest()?.missing;
    let registry = samplers.hearing(&view).wrapped(
        |sampler| Box::new(Measured::new(sampler, tally.clone())),
        |source| Box::new(Measured::new(source, tally.clone())),
    );
    drop(priority);
    missing.extend(facilities::missing());
    let stop = Stop::new().context("cannot make a stop")?;
    signals::tell(stop.clone())?;
    let settings = Settings {
        interval_micros: u64::try_from(args.interval.as_micros()).unwrap_or(u64::MAX),
        // One bundle, whatever the time: its beginning is counted apart.
        bundle_micros: 86_400_000_000,
        ..Settings::default()
    };
    let clocks = Arc::new(Mutex::new(Clocks::default()));
    let recorder = Recorder::new(view, registry, settings, Weighed::default())?;
    let mut recorder = recorder.observed_by(Watch(clocks.clone(), tally.clone()));
    if !args.json {
        eprintln!("measuring for {} s …", args.seconds);
    }
    let summary = recorder.run(&stop, Some(Duration::from_secs(args.seconds)))?;
    let end = Readings::now();
    let weight = recorder.into_sink().weight();
    let tally = std::mem::take(&mut *tally.lock().unwrap_or_else(PoisonError::into_inner));
    let first = clocks.lock().unwrap_or_else(PoisonError::into_inner).first.take();
    let Some(first) = first.filter(|_| summary.ticks >= 2) else {
        anyhow::bail!(
            "two samples are needed to tell anything: measure for longer, or at a shorter interval"
        );
    };
    missing.extend(summary.notes.iter().map(|(name, note)| format!("{name}: {note}")));
    let verdict = Verdict::of(args, &summary, &tally, (&first, &end), &weight, missing);
    if args.json {
        println!("{}", serde_json::to_string(&verdict)?);
    } else {
        print!("{}", verdict.text());
    }
    Ok(Exit::Done)
}

/// What the clocks showed at one moment.
#[derive(Clone, Debug)]
struct Readings {
    at: Instant,
    /// CPU of the whole process, µs.
    process_micros: u64,
    /// CPU of the recorder's thread, µs.
    thread_micros: u64,
}

impl Readings {
    /// Reads them; to be called in the recorder's thread.
    fn now() -> Self {
        Self {
            at: Instant::now(),
            process_micros: ProcessMeter::new().cpu_micros(),
            thread_micros: measured::thread_nanos() / 1_000,
        }
    }
}

/// The clocks when the first tick was over: it reads everything, and is not what a sample costs later.
#[derive(Debug, Default)]
struct Clocks {
    first: Option<Readings>,
}

struct Watch(Arc<Mutex<Clocks>>, Arc<Mutex<Tally>>);

impl Observer for Watch {
    fn saw(&mut self, _: &Source, _: WallMicros, _: Shown<'_>) {}

    fn ticked(&mut self, _: &Tick<'_>) {
        let mut clocks = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if clocks.first.is_none() {
            self.1.lock().unwrap_or_else(PoisonError::into_inner).first_is_over();
            clocks.first = Some(Readings::now());
        }
    }
}
