//! The live account of a recording: the recorder writes it, whoever asks for the status reads it.

mod kept;
mod rate;
mod socket;

pub(crate) use kept::Kept;
pub(crate) use socket::{Answer, ask, serve};

use crate::{
    plan::Plan,
    privileges,
    report::{Cost, LastBundle, Report, Samples, SpoolReport},
    run_dir::Instance,
};
use pofr_collect::{
    recorder::{Meter as _, Observer, ProcessMeter, Summary, Tick},
    spool::SpoolStatus,
};
use pofr_core::{Source, diff::Shown, time::WallMicros};
use rate::Rates;
use std::{
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::{Instant, SystemTime, UNIX_EPOCH},
};

/// The account. Clones are the same one.
#[derive(Clone, Debug)]
pub(crate) struct Live(Arc<Mutex<Account>>);

#[derive(Debug)]
struct Account {
    meter: ProcessMeter,
    instance: Instance,
    client: String,
    plan: Plan,
    privileges: privileges::Kept,
    started: Instant,
    ticked: Option<Instant>,
    summary: Summary,
    interval_micros: u64,
    over_budget: Option<String>,
    rates: Rates,
    spool: SpoolStatus,
}

impl Live {
    /// Begins an account.
    pub(crate) fn new(plan: Plan, instance: Instance, client: String, kept: privileges::Kept) -> Self {
        Self(Arc::new(Mutex::new(Account {
            meter: ProcessMeter::new(),
            instance,
            client,
            privileges: kept,
            started: Instant::now(),
            ticked: None,
            summary: Summary::default(),
            interval_micros: u64::try_from(plan.interval.as_micros()).unwrap_or(u64::MAX),
            over_budget: None,
            rates: Rates::default(),
            spool: SpoolStatus::default(),
            plan,
        })))
    }

    fn lock(&self) -> MutexGuard<'_, Account> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Takes note of what the spool holds.
    fn spool(&self, status: SpoolStatus) {
        self.lock().spool = status;
    }

    /// Returns an observer of the recorder, which calls `first` at the first tick.
    pub(crate) fn observer(&self, first: impl FnOnce() + Send + 'static) -> impl Observer + 'static {
        Watching { live: self.clone(), first: Some(Box::new(first)) }
    }

    /// Puts the account together as of now.
    pub(crate) fn report(&self) -> Report {
        self.lock().report()
    }
}

impl Account {
    fn ticked(&mut self, tick: &Tick<'_>) {
        self.ticked = Some(Instant::now());
        self.summary.clone_from(tick.summary);
        self.interval_micros = tick.interval_micros;
        self.over_budget.clone_from(&tick.over_budget);
        self.rates.ticked(self.summary.ticks, || self.meter.cpu_micros());
    }

    fn report(&self) -> Report {
        let (plan, summary) = (&self.plan, &self.summary);
        let micros = |micros: u128| u64::try_from(micros).unwrap_or(u64::MAX);
        let cpu_us = self.meter.cpu_micros();
        let (reached, cpu) = self.rates.over_the_last_minute(summary.ticks, cpu_us);
        let mut notes: Vec<String> = self.privileges.missing.clone();
        notes.extend(summary.notes.iter().map(|(name, note)| format!("{name}: {note}")));
        let uptime = self.started.elapsed();
        let now = SystemTime::now();
        Report {
            running: true,
            version: env!("CARGO_PKG_VERSION").to_owned(),
            pid: self.instance.pid,
            start_ticks: self.instance.start,
            uptime_us: micros(uptime.as_micros()),
            started_us: now
                .checked_sub(uptime)
                .and_then(|then| then.duration_since(UNIX_EPOCH).ok())
                .map_or(0, |since| micros(since.as_micros())),
            user: rustix::process::geteuid().as_raw(),
            capabilities: self.privileges.names.iter().map(|name| (*name).to_owned()).collect(),
            client: self.client.clone(),
            server: None,
            shipping: None,
            samples: Samples {
                interval_asked_us: micros(plan.interval.as_micros()),
                interval_us: self.interval_micros,
                rate_asked: 1.0 / plan.interval.as_secs_f64(),
                rate_reached: reached,
                ticks: summary.ticks,
                skipped: summary.skipped,
                readings: summary.samples,
                facts: summary
                    .last
                    .iter()
                    .map(|(source, count)| (source.name().to_owned(), *count))
                    .collect(),
                denied_processes: summary.denied,
                gaps: summary.gaps,
                last_us_ago: self.ticked.map(|at| micros(at.elapsed().as_micros())),
            },
            cost: Cost {
                cpu_share: cpu,
                cpu_us,
                cpu_share_max: plan.max_cpu,
                resident_bytes: self.meter.resident_bytes(),
                resident_bytes_max: Some(plan.max_mem),
                over_budget: self.over_budget.clone(),
            },
            spool: SpoolReport {
                dir: plan.spool.clone(),
                state: plan.state.clone(),
                bundles: self.spool.bundles,
                bytes: self.spool.bytes,
                bytes_max: self.spool.max_bytes.unwrap_or(plan.spool_cap),
                dropped: self.spool.dropped,
                bytes_in_memory: self.spool.bytes_in_memory,
                no_room: self.spool.no_room.clone(),
            },
            last_bundle: self.spool.last.as_ref().map(|last| LastBundle {
                seq: last.seq.0,
                name: last.name.clone(),
                bytes: last.bytes,
            }),
            losses: summary.losses.clone(),
            audits: summary.audits.iter().map(|(source, audit)| (source.name().to_owned(), *audit)).collect(),
            notes,
        }
    }
}

/// Writes what the recorder does into the account.
struct Watching {
    live: Live,
    first: Option<Box<dyn FnOnce() + Send>>,
}

impl Observer for Watching {
    fn saw(&mut self, _: &Source, _: WallMicros, _: Shown<'_>) {}

    fn ticked(&mut self, tick: &Tick<'_>) {
        self.live.lock().ticked(tick);
        if let Some(first) = self.first.take() {
            first();
        }
    }
}
