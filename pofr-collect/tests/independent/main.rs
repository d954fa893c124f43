//! An independent look: on a stopped workload the sampled facts equal what ps(1), lsof(8) and ss(8) say.
//!
//! Nothing of the samplers is used on the other side: their facts are written as text the way those programs write theirs, and
//! the texts are compared.
#![expect(clippy::unwrap_used, reason = "what a test cannot go on without ends it")]

mod lsof;
mod ps;
mod ss;
mod workload;

use pofr_collect::{HostView, Registry};
use pofr_core::{Source, collector::Observation, fact::Fact};
use std::process::Command;

/// Samples processes with files, and endpoints, as a recorder would in one tick.
fn sample() -> Vec<Fact> {
    let view = HostView::live().unwrap();
    let mut facts = Vec::new();
    for mut sampler in Registry::samplers_only(&view).into_samplers() {
        if matches!(sampler.source(), Source::Process | Source::Endpoint) {
            let mut seen = Observation::default();
            sampler.sample(&mut seen).unwrap();
            facts.extend(seen.facts);
        }
    }
    facts
}

/// Runs a program and returns what it prints.
fn output(program: &str, args: &[&str]) -> Vec<u8> {
    let output = Command::new(program).args(args).env("LC_ALL", "C").output();
    let output = output.unwrap_or_else(|e| panic!("{program} is needed for this test: {e}"));
    assert!(!output.stdout.is_empty(), "{program}: {}", String::from_utf8_lossy(&output.stderr));
    output.stdout
}
