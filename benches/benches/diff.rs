//! Snapshot and diff: facts a second, on a machine of 400 processes × 22 files and 1,000 sockets.

use divan::{Bencher, counter::ItemsCount};
use pofr_benches::{Machine, stamp};
use pofr_core::{diff::Differ, source::Source};

fn main() {
    divan::main();
}

#[divan::bench]
fn observe_processes(bencher: Bencher<'_, '_>) {
    let facts = [Machine::B.processes(0), Machine::B.processes(1)];
    let mut differ = Differ::default();
    let (n, next) = (std::cell::Cell::new(0), std::cell::Cell::new(0));
    bencher
        .counter(ItemsCount::new(facts[0].len()))
        .with_inputs(|| facts[next.replace(next.get() + 1) % 2].clone())
        .bench_local_values(|facts| {
            n.set(n.get() + 1);
            differ.observe(&Source::Process, stamp(n.get()), 0, facts.into())
        });
}
