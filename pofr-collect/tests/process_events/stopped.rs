//! A reader that is stopped through a storm: what it missed it counts, and it goes on.

use super::{alone, run};
use pofr_collect::{HostView, events::ProcessEvents};
use pofr_core::{EventSource as _, collector::Notice, fact::Fact};
use rustix::process::{Pid, Signal, kill_process};
use std::{
    collections::BTreeSet,
    env,
    io::{BufRead as _, BufReader, Read as _},
    process::{Command, Stdio},
};

/// Set in the process that is to be stopped.
const READER: &str = "POFR_TEST_READER";

/// What the reader says at its end.
#[derive(Debug, Default)]
struct Account {
    /// Processes of which something was told.
    told: BTreeSet<u32>,
    /// Events that were lost, gap by gap.
    lost: Vec<u64>,
}

impl Account {
    fn read(text: &str) -> Self {
        let mut account = Self::default();
        for line in text.lines() {
            if let Some(pid) = line.strip_prefix("told ") {
                account.told.insert(pid.parse().unwrap());
            } else if let Some(lost) = line.strip_prefix("lost ") {
                account.lost.push(lost.parse().unwrap());
            }
        }
        account
    }
}

/// The reader, if this process was started as one: hears until its standard input ends.
#[test]
fn reader() {
    if env::var_os(READER).is_none() {
        return;
    }
    let view = HostView::live().unwrap();
    // A small queue, so that a small storm fills it.
    let mut events = match ProcessEvents::with_queue(&view, 16 << 10) {
        Ok(events) => events,
        Err(error) => {
            println!("\nrefused {error}");
            return;
        }
    };
    println!("\nready");
    let mut rest = Vec::new();
    std::io::stdin().read_to_end(&mut rest).unwrap();
    // The kernel wakes the recorder some time after the last event.
    std::thread::sleep(std::time::Duration::from_millis(500));
    let mut notices = Vec::new();
    events.drain(&mut notices).unwrap();
    for notice in notices {
        match notice {
            Notice::Lost(gap) => println!("lost {}", gap.lost.expect("it is counted")),
            Notice::Passed { fact: Fact::Process(process), .. } => {
                println!("told {}", process.key.entity.pid());
            }
            Notice::Gone { process, .. } => println!("told {}", process.key.entity.pid()),
            _ => {}
        }
    }
}

#[test]
fn who_is_stopped_through_a_storm_counts_what_was_lost_and_goes_on() {
    let _alone = alone();
    let mut reader = Command::new(env::current_exe().unwrap())
        .args(["--exact", "stopped::reader", "--nocapture"])
        .env(READER, "1")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let pid = Pid::from_child(&reader);
    let mut output = BufReader::new(reader.stdout.take().unwrap());
    let mut line = String::new();
    while line != "ready\n" {
        line.clear();
        assert_ne!(output.read_line(&mut line).unwrap(), 0, "the reader ended");
        if line.starts_with("refused") {
            eprintln!("NOT RUN: {line}");
            drop(reader.stdin.take());
            reader.wait().unwrap();
            return;
        }
    }
    let before = run("/bin/true", &[]);
    kill_process(pid, Signal::STOP).unwrap();
    let storm: Vec<u32> = (0..200).map(|_| run("/bin/true", &[])).collect();
    kill_process(pid, Signal::CONT).unwrap();
    std::thread::sleep(std::time::Duration::from_millis(100));
    let after: Vec<u32> = (0..20).map(|_| run("/bin/true", &[])).collect();
    drop(reader.stdin.take());
    let mut text = String::new();
    output.read_to_string(&mut text).unwrap();
    assert!(reader.wait().unwrap().success());

    let account = Account::read(&text);
    let is_told = |pid: &&u32| account.told.contains(pid);
    assert!(is_told(&&before) && after.iter().any(|pid| is_told(&pid)));
    let untold = storm.iter().chain(&after).filter(|pid| !is_told(pid)).count() as u64;
    assert!(untold > 0, "the queue was large enough for a storm");
    // Of a process of which nothing is told its fork, its program and its exit were lost; or its exit alone, where that was the
    // first to find the queue full.
    let lost: u64 = account.lost.iter().sum();
    assert!(lost >= 2 * untold, "{lost} events lost, {untold} processes untold");
}
