//! The budget in a recorder that records: it gives way, says so, comes back, and never stops.
#![expect(clippy::unwrap_used, reason = "what a test cannot go on without ends it")]

use pofr_collect::{
    Budget, HostView, Recorder, Registry, Settings, Stop,
    recorder::{Meter, Summary},
};
use pofr_core::{
    Collector, Sink, Source,
    collector::{CollectError, Observation, Opening},
    gap::{Gap, Severity},
    record::Record,
};
use std::{
    convert::Infallible,
    sync::{
        Arc, Mutex,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

/// The records of every bundle.
#[derive(Clone, Default)]
struct Memory(Arc<Mutex<Vec<Vec<Record>>>>);

impl Sink for Memory {
    type Error = Infallible;
    fn begin(&mut self, _: &Opening) -> Result<Vec<Gap>, Infallible> {
        self.0.lock().unwrap().push(Vec::new());
        Ok(Vec::new())
    }
    fn accept(&mut self, record: &Record) -> Result<(), Infallible> {
        self.0.lock().unwrap().last_mut().unwrap().push(record.clone());
        Ok(())
    }
}

/// A tick every 5 ms into one bundle.
fn settings(budget: Budget) -> Settings {
    Settings { interval_micros: 5_000, bundle_micros: 100_000_000, budget, ..Settings::default() }
}

/// What the recorder is made to believe that it used.
#[derive(Clone, Default)]
struct Account {
    cpu_micros: Arc<AtomicU64>,
    resident_bytes: Arc<AtomicU64>,
}

impl Meter for Account {
    fn cpu_micros(&self) -> u64 {
        self.cpu_micros.load(Ordering::Relaxed)
    }
    fn resident_bytes(&self) -> Option<u64> {
        Some(self.resident_bytes.load(Ordering::Relaxed))
    }
}

/// A sampler of nothing that uses `micros` of the account at each of its first `dear` readings.
struct Slow {
    account: Account,
    micros: u64,
    dear: u64,
}

impl Collector for Slow {
    fn source(&self) -> Source {
        Source::Process
    }
    fn sample(&mut self, _: &mut Observation) -> Result<(), CollectError> {
        if self.dear > 0 {
            self.dear -= 1;
            self.account.cpu_micros.fetch_add(self.micros, Ordering::Relaxed);
        }
        Ok(())
    }
}

fn run(sampler: Slow, settings: Settings, millis: u64) -> (Summary, Vec<Vec<Record>>) {
    let (memory, account) = (Memory::default(), sampler.account.clone());
    let registry = Registry::empty().sampler(sampler);
    let recorder = Recorder::new(HostView::live().unwrap(), registry, settings, memory.clone()).unwrap();
    let mut recorder = recorder.metered_by(account);
    let summary = recorder.run(&Stop::new().unwrap(), Some(Duration::from_millis(millis))).unwrap();
    let bundles = memory.0.lock().unwrap().clone();
    (summary, bundles)
}

fn about(records: &[Vec<Record>], what: &str) -> Vec<Gap> {
    let gap = |record: &Record| match record {
        Record::Gap(gap) if gap.reason.starts_with(what) => Some(gap.clone()),
        _ => None,
    };
    records.iter().flatten().filter_map(gap).collect()
}

#[test]
fn over_the_cpu_budget_it_takes_fewer_samples_says_so_and_recovers() {
    let account = Account::default();
    let budget = Budget { max_cpu: Some(0.5), window_micros: 300_000, max_memory: None };
    // Ten milliseconds a tick of five: every fourth fits. From the eightieth tick on they cost nothing.
    let (summary, bundles) = run(Slow { account, micros: 10_000, dear: 80 }, settings(budget), 5_000);
    let told = about(&bundles, "over the CPU budget of 50 %: a sample every ");
    assert!(told[0].reason.ends_with(" ms instead of every 5 ms"), "{}", told[0].reason);
    assert!(
        told.iter().all(|gap| gap.severity == Severity::Thin && gap.source.is_none() && gap.to.is_some())
    );
    let lost: u64 = told.iter().filter_map(|gap| gap.lost).sum();
    assert!(lost > 80, "{told:?}");
    // It came back: the last samples lie behind the last of these gaps, and are many.
    let back = told.last().unwrap().to.unwrap();
    let after = bundles.iter().flatten().filter(|r| matches!(r, Record::Sample(s) if s.stamp > back)).count();
    assert!(after as u64 > summary.ticks / 2, "{after} of {}", summary.ticks);
}

#[test]
fn within_the_budget_nothing_is_said() {
    let budget = Budget { max_cpu: Some(0.5), window_micros: 300_000, max_memory: Some(1) };
    let sampler = Slow { account: Account::default(), micros: 100, dear: u64::MAX };
    assert_eq!(about(&run(sampler, settings(budget), 500).1, "over the "), []);
}

#[test]
fn over_the_memory_budget_the_bundle_ends_and_the_recording_goes_on() {
    let account = Account::default();
    account.resident_bytes.store(3 << 20, Ordering::Relaxed);
    let budget = Budget { max_memory: Some(2 << 20), ..Budget::default() };
    let (summary, bundles) = run(Slow { account, micros: 0, dear: 0 }, settings(budget), 500);
    let told = about(&bundles, "over the memory budget of 2048 KiB (3072 KiB are resident): ");
    assert!(told[0].reason.ends_with("the bundle ends early") && told[1].reason.ends_with("begin anew"));
    // It does not help, so it is not tried at every tick, and nothing stops.
    assert_eq!((told.len(), bundles.len()), (2, 2), "{told:?}");
    assert!(summary.ticks > 3);
}
