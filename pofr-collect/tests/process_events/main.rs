//! Process events, heard from the real kernel: what lived shortly, what it was, and that samples and events make one record.
#![expect(clippy::unwrap_used, reason = "what a test cannot go on without ends it")]

#[path = "../stream/mod.rs"]
mod stream;

mod alone;
mod recorded;
mod refused;
mod stopped;
mod vanished;

use pofr_collect::{HostView, Registry, events::ProcessEvents};
use pofr_core::{
    EventSource as _,
    collector::{Notice, Observation},
    fact::{Fact, Process},
    time::WallMicros,
};
use std::{
    process::{Child, Command, Stdio},
    sync::{Mutex, MutexGuard, PoisonError},
};

/// One test at a time: they would be each other's storm.
static ALONE: Mutex<()> = Mutex::new(());

fn alone() -> MutexGuard<'static, ()> {
    ALONE.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Begins to listen, with one sample to begin from; `None`, said aloud, where the kernel lets only the first namespaces do so and
/// we are not there.
fn listen(view: &HostView) -> Option<ProcessEvents> {
    match ProcessEvents::new(view) {
        Ok(mut events) => {
            let mut sampler = Registry::samplers_only(view).into_samplers().remove(0);
            let (mut seen, mut notices) = (Observation::default(), Vec::new());
            events.drain(&mut notices).unwrap();
            sampler.sample(&mut seen).unwrap();
            events.settle(&sampler.source(), &seen, &mut notices).unwrap();
            Some(events)
        }
        Err(error) => {
            eprintln!("NOT RUN: {error}");
            None
        }
    }
}

/// What a process was, and from when to when.
#[derive(Clone, Debug)]
struct Was {
    process: Process,
    began: Option<WallMicros>,
    ended: WallMicros,
}

impl Was {
    fn arguments(&self) -> String {
        self.process.arguments().map(|arguments| arguments.escaped()).unwrap_or_default()
    }
}

/// Returns what came and went of the process with that number, in order.
fn of(notices: &[Notice], pid: u32) -> Vec<Was> {
    let was = |notice: &Notice| {
        let (process, began, ended) = match notice {
            Notice::Passed { fact: Fact::Process(process), began, ended } => (&**process, began, ended),
            Notice::Gone { process, began, at } => (process, began, at),
            _ => return None,
        };
        let was = Was { process: process.clone(), began: *began, ended: *ended };
        (process.key.entity.pid().0 == pid).then_some(was)
    };
    notices.iter().filter_map(was).collect()
}

fn start(program: &str, arguments: &[&str]) -> Child {
    Command::new(program).args(arguments).stdin(Stdio::null()).spawn().unwrap()
}

/// Runs a program and returns its number.
fn run(program: &str, arguments: &[&str]) -> u32 {
    let mut child = start(program, arguments);
    child.wait().unwrap();
    child.id()
}
