//! The recorder with samplers and event sources made for the test: order, bundles, failures, clocks.
#![expect(clippy::unwrap_used, reason = "what a test cannot go on without ends it")]

mod stream;

use pofr_collect::{
    HostView, Recorder, Registry, Settings,
    clock::{Clock, KernelClock, RunClock},
};
use pofr_core::{
    Collector, EventSource, Source,
    collector::{CollectError, Notice, Observation},
    fact::{Custom, Fact},
    gap::{Gap, Severity},
    record::{Event, Record},
    time::WallMicros,
};
use rustix::event::{EventfdFlags, eventfd};
use std::{
    collections::BTreeMap,
    os::fd::{AsFd as _, BorrowedFd, OwnedFd},
    sync::{
        Arc,
        atomic::{AtomicI64, Ordering},
    },
    time::Duration,
};
use stream::{Memory, Shown, gaps, play, record, settings};

fn source(name: &str) -> Source {
    Source::parse(name).unwrap()
}

fn fact(source_name: &str, name: &str) -> Fact {
    Fact::Custom(Custom { source: source(source_name), name: name.into(), attributes: BTreeMap::new() })
}

/// A sampler that does what a function of the tick's number says.
struct Scripted<F>(&'static str, u64, u32, F);

impl<F: FnMut(u32) -> Result<Vec<Fact>, CollectError> + Send> Collector for Scripted<F> {
    fn source(&self) -> Source {
        source(self.0)
    }
    fn every_micros(&self) -> u64 {
        self.1
    }
    fn sample(&mut self, out: &mut Observation) -> Result<(), CollectError> {
        self.2 += 1;
        (self.3)(self.2).map(|facts| out.facts.extend(facts))
    }
}

fn broken() -> CollectError {
    CollectError::Malformed { what: "the test".to_owned(), detail: "asked for it".to_owned() }
}

/// Facts that come and go.
fn changing(tick: u32) -> Result<Vec<Fact>, CollectError> {
    Ok((0..5).filter(|n| !tick.is_multiple_of(n + 2)).map(|n| fact("changing", &n.to_string())).collect())
}

#[test]
fn every_bundle_plays_back_what_was_seen_and_nothing_lies_between_two() {
    let registry = Registry::empty().sampler(Scripted("changing", 0, 0, changing)).sampler(Scripted(
        "cold",
        3_600_000_000,
        0,
        |_| Ok(vec![fact("cold", "x")]),
    ));
    let (memory, seen) = record(HostView::live().unwrap(), registry, settings(5_000, 200_000), 1_000);
    let bundles = memory.bundles();
    assert!(bundles.len() >= 4, "{} bundles", bundles.len());
    let mut played = Shown::new();
    for bundle in &bundles {
        let of_bundle = play(&bundle.records);
        for name in ["changing", "cold"] {
            assert!(
                of_bundle.contains_key(&(source(name), bundle.opening.opened_wall)),
                "a keyframe of each source at the opening"
            );
        }
        assert!(gaps(&bundle.records).iter().all(|gap| gap.severity == Severity::Thin));
        played.extend(of_bundle);
    }
    assert_eq!(played, seen);
    let runs: Vec<_> = bundles.iter().map(|bundle| bundle.opening.run).collect();
    assert!(runs.iter().all(|run| *run == runs[0]));
}

#[test]
fn late_ticks_are_a_thin_gap() {
    let slow = |tick: u32| {
        // The third reading takes as long as five ticks.
        std::thread::sleep(Duration::from_millis(if tick == 3 { 230 } else { 0 }));
        Ok(vec![fact("slow", "x")])
    };
    let registry = Registry::empty().sampler(Scripted("slow", 0, 0, slow));
    let (memory, seen) = record(HostView::live().unwrap(), registry, settings(50_000, 60_000_000), 1_000);
    let bundles = memory.bundles();
    let late = gaps(&bundles[0].records);
    let stamps: Vec<i64> = seen.keys().map(|(_, stamp)| stamp.0).collect();
    let third = late.iter().find(|gap| gap.from.0 == stamps[2]).expect("a gap from the third stamp on");
    assert_eq!(third.severity, Severity::Thin);
    assert!(third.lost >= Some(4) && third.to > Some(third.from));
}

#[test]
fn a_failing_sampler_is_blind_and_comes_back_with_a_keyframe() {
    let failing = |tick: u32| if (5..9).contains(&tick) { Err(broken()) } else { changing(tick) };
    let registry = Registry::empty().sampler(Scripted("changing", 0, 0, failing)).sampler(Scripted(
        "other",
        0,
        0,
        |_| Ok(vec![fact("other", "x")]),
    ));
    let (memory, seen) = record(HostView::live().unwrap(), registry, settings(20_000, 60_000_000), 400);
    let records = &memory.bundles()[0].records;
    // `play` itself checks that a keyframe follows the gap.
    assert_eq!(play(records), seen);
    let blind: Vec<Gap> = gaps(records).into_iter().filter(|gap| gap.severity == Severity::Blind).collect();
    let stamps: Vec<WallMicros> =
        seen.keys().filter(|(s, _)| *s == source("changing")).map(|(_, stamp)| *stamp).collect();
    assert!(blind.iter().all(|gap| gap.source == Some(source("changing"))), "the other one goes on");
    assert_eq!(blind.first().unwrap().from, stamps[3], "from the last good reading");
    assert_eq!(blind.last().unwrap().to, Some(stamps[4]), "to the next good one");
    assert!(blind.windows(2).all(|two| two[0].to == Some(two[1].from)), "in pieces without holes");
    assert!(blind.iter().all(|gap| gap.reason.contains("asked for it")));
}

#[test]
fn a_source_that_stays_blind_is_told_in_every_bundle() {
    let failing = |tick: u32| if tick > 2 { Err(broken()) } else { changing(tick) };
    let registry = Registry::empty().sampler(Scripted("changing", 0, 0, failing)).sampler(Scripted(
        "other",
        0,
        0,
        |_| Ok(vec![fact("other", "x")]),
    ));
    let (memory, _) = record(HostView::live().unwrap(), registry, settings(10_000, 100_000), 500);
    let bundles = memory.bundles();
    assert!(bundles.len() >= 3);
    for bundle in &bundles {
        assert!(gaps(&bundle.records).iter().any(|gap| gap.source == Some(source("changing"))));
    }
}

/// A clock whose wall can be set.
#[derive(Debug, Default)]
struct Settable(AtomicI64);

impl Clock for Settable {
    fn wall_micros(&self) -> i64 {
        KernelClock.wall_micros() + self.0.load(Ordering::Relaxed)
    }
    fn boot_micros(&self) -> i64 {
        KernelClock.boot_micros()
    }
}

#[test]
fn a_step_of_the_wall_clock_begins_a_run_and_a_slew_does_not() {
    let clock = Arc::new(Settable::default());
    let mut view = HostView::live().unwrap();
    view.clock = RunClock::new(clock.clone());
    let step = -7_200_000_000;
    let stepping = move |tick: u32| {
        match tick {
            5 => clock.0.store(90_000, Ordering::Relaxed),
            10 => clock.0.store(step, Ordering::Relaxed),
            _ => {}
        }
        changing(tick)
    };
    let registry = Registry::empty().sampler(Scripted("changing", 0, 0, stepping));
    let (memory, seen) = record(view, registry, settings(20_000, 60_000_000), 500);
    let bundles = memory.bundles();
    assert_eq!(bundles.len(), 2);
    let [old, new] = &bundles[..] else { unreachable!() };
    assert_ne!(old.opening.run, new.opening.run);
    assert!(old.losses.is_some(), "the bundle of the old run is closed");
    let (old_shown, new_shown) = (play(&old.records), play(&new.records));
    assert_eq!(old_shown.len(), 10, "up to the tick that saw the step");
    assert_eq!(old_shown.len() + new_shown.len(), seen.len());
    let gap = gaps(&new.records).remove(0);
    let last_old = old_shown.keys().last().unwrap().1;
    assert_eq!((gap.severity, gap.source.as_ref()), (Severity::Blind, None));
    assert_eq!(gap.to, Some(new.opening.opened_wall));
    // The gap lies on the new clock, and is as long as the time between the two samples was.
    assert!(gap.from < new.opening.opened_wall);
    assert!((gap.from.since(last_old) - step).abs() < 10_000, "{gap:?} after {last_old}");
}

/// An event source that tells what a script says, one notice a time; its descriptor is readable as long as there is more.
struct Told {
    ready: OwnedFd,
    waiting: Vec<Notice>,
    breaks: bool,
}

impl Told {
    fn new(waiting: Vec<Notice>, breaks: bool) -> Self {
        Self { ready: eventfd(1, EventfdFlags::NONBLOCK).unwrap(), waiting, breaks }
    }
}

impl EventSource for Told {
    fn name(&self) -> &str {
        "told"
    }
    fn descriptor(&self) -> BorrowedFd<'_> {
        self.ready.as_fd()
    }
    fn drain(&mut self, out: &mut Vec<Notice>) -> Result<(), CollectError> {
        if !self.waiting.is_empty() {
            out.push(self.waiting.remove(0));
            return Ok(());
        }
        if self.breaks {
            return Err(broken());
        }
        let _ = rustix::io::read(&self.ready, &mut [0; 8]);
        Ok(())
    }
}

#[test]
fn what_events_tell_comes_before_the_sample_that_follows_and_into_the_old_bundle() {
    let at = WallMicros(1);
    let lost = Gap {
        source: None,
        severity: Severity::Thin,
        reason: "overflow".to_owned(),
        from: at,
        to: Some(at),
        lost: Some(7),
    };
    let events = Told::new(
        vec![
            Notice::Passed { fact: fact("changing", "flash"), began: Some(at), ended: at },
            Notice::Began(fact("changing", "begun"), at),
            Notice::Lost(lost),
        ],
        false,
    );
    let sampler =
        Scripted("changing", 0, 0, |_| Ok(vec![fact("changing", "begun"), fact("changing", "always")]));
    let registry = Registry::empty().sampler(sampler).event_source(events);
    let (memory, seen) = record(HostView::live().unwrap(), registry, settings(50_000, 200_000), 600);
    let bundles = memory.bundles();
    let first = &bundles[0];
    assert_eq!(first.losses, Some(BTreeMap::from([("told".to_owned(), 7)])));
    assert_eq!(bundles[1].losses, Some(BTreeMap::new()));
    let passed = |r: &Record| matches!(r, Record::Event(Event::Passed { .. }));
    assert!(first.records.iter().any(passed) && !bundles[1].records.iter().any(passed));
    let mut played = Shown::new();
    bundles.iter().for_each(|bundle| played.extend(play(&bundle.records)));
    assert_eq!(played, seen);
}

#[test]
fn a_broken_event_source_is_named_at_the_head_of_every_later_bundle() {
    let registry = Registry::empty()
        .sampler(Scripted("changing", 0, 0, changing))
        .event_source(Told::new(Vec::new(), true));
    let (memory, seen) = record(HostView::live().unwrap(), registry, settings(10_000, 100_000), 450);
    let bundles = memory.bundles();
    assert!(bundles.len() >= 3);
    for bundle in &bundles {
        let named = gaps(&bundle.records).into_iter().find(|gap| gap.reason.contains("told")).unwrap();
        assert_eq!(named.severity, Severity::Thin, "the samples go on");
    }
    assert!(seen.len() > 10);
}

#[test]
fn what_cannot_work_is_refused() {
    let view = || HostView::live().unwrap();
    let one = || Registry::empty().sampler(Scripted("changing", 0, 0, changing));
    let refused = |registry, settings| {
        Recorder::new(view(), registry, settings, Memory::default()).map(drop).unwrap_err().to_string()
    };
    assert_eq!(refused(Registry::empty(), Settings::default()), "no sampler is registered");
    let two = one().sampler(Scripted("changing", 0, 0, changing));
    assert_eq!(refused(two, Settings::default()), "two samplers speak of changing");
    assert_eq!(
        refused(one(), settings(99, 45_000_000)),
        "the interval must be from 100 to 3600000000 µs, not 99"
    );
}
