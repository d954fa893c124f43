//! Fuzzing without a fuzzer: mutates good bytes, on any compiler, for so many runs or seconds.
//!
//! `drive [TARGET…] [--runs N] [--seconds N] [--seed N]`; without a target, all of them. What a run is given before a check fails
//! is written to `artifacts/`.

#![allow(clippy::print_stdout, reason = "a program that says how far it is")]

use pofr_fuzz::{Target, target, targets};
use pofr_tests::mutate::Mutator;
use std::{
    fs, panic,
    path::PathBuf,
    process::ExitCode,
    time::{Duration, Instant, SystemTime, UNIX_EPOCH},
};

/// Nothing longer is tried.
const MOST: usize = 64 << 10;

struct Plan {
    targets: Vec<Target>,
    runs: u64,
    time: Duration,
    seed: u64,
}

fn main() -> ExitCode {
    let plan = match plan() {
        Ok(plan) => plan,
        Err(why) => {
            eprintln!("{why}");
            return ExitCode::from(2);
        }
    };
    println!("seed {}", plan.seed);
    let failed = plan.targets.iter().filter(|target| !run(target, &plan)).count();
    if failed == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

fn plan() -> Result<Plan, String> {
    let clock = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |t| u64::from(t.subsec_nanos()));
    let mut plan = Plan { targets: Vec::new(), runs: u64::MAX, time: Duration::MAX, seed: clock };
    let mut words = std::env::args().skip(1);
    while let Some(word) = words.next() {
        let mut number =
            || words.next().and_then(|n| n.parse::<u64>().ok()).ok_or(format!("{word} takes a number"));
        match word.as_str() {
            "--runs" => plan.runs = number()?,
            "--seconds" => plan.time = Duration::from_secs(number()?),
            "--seed" => plan.seed = number()?,
            name => plan.targets.push(target(name).ok_or_else(|| format!("no target {name}: {}", names()))?),
        }
    }
    if plan.targets.is_empty() {
        plan.targets = targets();
    }
    if plan.runs == u64::MAX && plan.time == Duration::MAX {
        plan.runs = 100_000;
    }
    Ok(plan)
}

fn names() -> String {
    targets().iter().map(|(name, ..)| *name).collect::<Vec<_>>().join(" ")
}

fn dir(name: &str) -> PathBuf {
    [env!("CARGO_MANIFEST_DIR"), name].iter().collect()
}

/// Runs one target; tells whether nothing was found.
fn run((name, check, seeds): &Target, plan: &Plan) -> bool {
    let kept = fs::read_dir(dir("corpus").join(name)).into_iter().flatten().flatten();
    let mut corpus = seeds();
    corpus.extend(kept.filter_map(|entry| fs::read(entry.path()).ok()));
    let pieces = corpus.len();
    let mut mutator = Mutator::new(plan.seed, corpus.clone(), MOST);
    let (began, mut runs) = (Instant::now(), 0);
    let mut whole = corpus.into_iter();
    while runs < plan.runs && began.elapsed() < plan.time {
        let bytes = whole.next().unwrap_or_else(|| mutator.next_bytes());
        if panic::catch_unwind(|| check(&bytes)).is_err() {
            let path = dir("artifacts").join(format!("{name}-{}-{runs}", plan.seed));
            let kept = fs::create_dir_all(dir("artifacts")).and_then(|()| fs::write(&path, &bytes));
            println!("{name}: FOUND after {runs} runs: {} ({kept:?})", path.display());
            return false;
        }
        runs += 1;
    }
    println!(
        "{name}: {runs} runs in {:.1} s, from {pieces} pieces, nothing found",
        began.elapsed().as_secs_f64()
    );
    true
}
