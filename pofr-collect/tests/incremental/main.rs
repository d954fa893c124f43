//! Incremental sampling: whatever happens to a process, what was read of it again comes to what a fresh full scan shows.
//!
//! Each test has processes do one thing that is hard to notice, and then nothing; then it compares. Both interfaces of the kernel
//! that tell who ran are asked, and both that tell what is open.
#![expect(clippy::unwrap_used, reason = "what a test cannot go on without ends it")]

#[path = "../alone/mod.rs"]
mod alone;
mod audit;
mod changes;
mod endpoints;
mod hidden;
mod limits;
mod numbers;
mod open;
mod puppet;
#[path = "../state/mod.rs"]
mod state;
mod still;
mod threads;

use pofr_collect::{
    HostView,
    clock::{Clock, KernelClock, RunClock},
    samplers::{Context, EndpointSampler, ProcessSampler},
};
use pofr_core::{
    Collector,
    collector::Observation,
    fact::{Fact, Process},
};
use state::State;
use std::sync::{
    Arc, PoisonError, RwLock, RwLockReadGuard,
    atomic::{AtomicI64, Ordering},
};

/// Held for writing by the test whose processes the rule for skipping cannot follow, since all others count what is missed.
static OTHERS: RwLock<()> = RwLock::new(());

/// The machine's clock, which can be put forward.
#[derive(Debug, Default)]
struct Ahead(AtomicI64);

impl Clock for Ahead {
    fn wall_micros(&self) -> i64 {
        KernelClock.wall_micros() + self.0.load(Ordering::Relaxed)
    }

    fn boot_micros(&self) -> i64 {
        KernelClock.boot_micros() + self.0.load(Ordering::Relaxed)
    }
}

/// Samplers that go on, and what their readings come to.
struct Machine {
    view: HostView,
    clock: Arc<Ahead>,
    process: ProcessSampler,
    endpoint: EndpointSampler,
    processes: State,
    endpoints: State,
    by_taskstats: (ProcessSampler, State),
    _shared: Option<RwLockReadGuard<'static, ()>>,
}

impl Machine {
    /// Takes the first reading; `None` where this kernel does not let us sample incrementally.
    fn new() -> Option<Self> {
        Self::of(Some(OTHERS.read().unwrap_or_else(PoisonError::into_inner)))
    }

    fn of(shared: Option<RwLockReadGuard<'static, ()>>) -> Option<Self> {
        Self::viewing(HostView::live().unwrap(), shared)
    }

    /// Takes the first reading of a host.
    fn viewing(mut view: HostView, shared: Option<RwLockReadGuard<'static, ()>>) -> Option<Self> {
        let clock = Arc::new(Ahead::default());
        view.clock = RunClock::new(clock.clone());
        let context = Context::new(view.clone());
        let (process, endpoint) = (ProcessSampler::new(&context), EndpointSampler::new(&context));
        let (processes, endpoints) = Default::default();
        let by_taskstats = (ProcessSampler::by_taskstats(&Context::new(view.clone())), State::default());
        let mut machine =
            Self { view, clock, process, endpoint, processes, endpoints, by_taskstats, _shared: shared };
        assert_eq!(machine.tick(), None, "the first reading is a whole one");
        if let Some(note) = machine.process.note().or(machine.by_taskstats.0.note()) {
            assert!(!rustix::process::geteuid().is_root(), "root may sample incrementally: {note}");
            eprintln!("not run: {note}");
            return None;
        }
        Some(machine)
    }

    /// Samples; returns how many processes were reported, `None` for all.
    fn tick(&mut self) -> Option<usize> {
        let reported = self.processes.take(&mut self.process);
        self.by_taskstats.1.take(&mut self.by_taskstats.0);
        self.endpoints.take(&mut self.endpoint);
        reported
    }

    /// Puts the clock forward.
    fn skip(&self, seconds: i64) {
        self.clock.0.fetch_add(seconds * 1_000_000, Ordering::Relaxed);
    }

    /// Returns what is believed of a process.
    fn belief(&self, pid: u32) -> Vec<String> {
        texts(&self.processes.facts(), pid)
    }

    /// Returns what a full scan shows of a process.
    fn truth(&self, pid: u32) -> Vec<String> {
        let mut seen = Observation::default();
        ProcessSampler::full_scan(&Context::new(self.view.clone())).sample(&mut seen).unwrap();
        texts(&seen.facts, pid)
    }

    /// Samples and checks that the belief is the truth; returns it.
    fn check(&mut self, pid: u32) -> Vec<String> {
        self.tick();
        let (belief, truth) = (self.belief(pid), self.truth(pid));
        assert_eq!(belief, truth, "of process {pid}");
        assert_eq!(texts(&self.by_taskstats.1.facts(), pid), truth, "of process {pid}, by taskstats");
        truth
    }

    /// Returns the process.
    fn process(&self, pid: u32) -> Option<Process> {
        self.processes.facts().into_iter().find_map(|fact| match fact {
            Fact::Process(process) if process.key.entity.pid().0 == pid => Some(*process),
            _ => None,
        })
    }
}

/// Writes the facts of a process as text, in order.
fn texts(facts: &[Fact], pid: u32) -> Vec<String> {
    let mut texts: Vec<String> = facts
        .iter()
        .filter_map(|fact| match fact {
            Fact::Process(p) if p.key.entity.pid().0 == pid => Some(format!("{:?}", p.key)),
            Fact::File(f) if f.key.entity.pid().0 == pid => Some(format!("{:?}", f.key)),
            _ => None,
        })
        .collect();
    texts.sort();
    texts
}
