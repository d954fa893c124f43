//! Ticks that come seldom: what events tell between them does not wait for the next.
#![expect(clippy::unwrap_used, reason = "what a test cannot go on without ends it")]

use pofr_collect::{HostView, Recorder, Registry, Settings, Stop};
use pofr_core::{
    Collector, EventSource, Sink, Source,
    collector::{CollectError, Notice, Observation},
    gap::{Gap, Severity},
    record::Record,
    time::WallMicros,
};
use rustix::event::{EventfdFlags, eventfd};
use std::{
    convert::Infallible,
    os::fd::{AsFd as _, BorrowedFd, OwnedFd},
    sync::Arc,
    time::{Duration, Instant},
};

/// An event source that says something once its descriptor is written to.
struct Bell(Arc<OwnedFd>);

impl EventSource for Bell {
    fn name(&self) -> &str {
        "bell"
    }
    fn descriptor(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
    }
    fn drain(&mut self, out: &mut Vec<Notice>) -> Result<(), CollectError> {
        if rustix::io::read(&self.0, &mut [0; 8]).is_ok() {
            let (source, lost, to) = (None, Some(1), None);
            let reason = "the bell".to_owned();
            out.push(Notice::Lost(Gap {
                source,
                severity: Severity::Thin,
                reason,
                from: WallMicros(1),
                to,
                lost,
            }));
        }
        Ok(())
    }
}

struct Nothing;

impl Collector for Nothing {
    fn source(&self) -> Source {
        Source::Process
    }
    fn sample(&mut self, _: &mut Observation) -> Result<(), CollectError> {
        Ok(())
    }
}

/// Stops the recorder when the sink is told, after the bell, that nothing comes for long.
struct Waiting {
    stop: Stop,
    rung: bool,
    bell: Arc<OwnedFd>,
}

impl Sink for Waiting {
    type Error = Infallible;
    fn idle(&mut self, micros: u64) -> Result<(), Infallible> {
        if self.rung {
            assert!(micros > 100_000_000, "until the limit");
            self.stop.stop();
        } else {
            rustix::io::write(&self.bell, &1u64.to_ne_bytes()).unwrap();
        }
        Ok(())
    }
    fn accept(&mut self, record: &Record) -> Result<(), Infallible> {
        self.rung |= matches!(record, Record::Gap(gap) if gap.reason == "the bell");
        Ok(())
    }
}

#[test]
fn the_sink_may_write_what_an_event_told_long_before_the_next_tick() {
    let (stop, bell) = (Stop::new().unwrap(), Arc::new(eventfd(0, EventfdFlags::NONBLOCK).unwrap()));
    let sink = Waiting { stop: stop.clone(), rung: false, bell: bell.clone() };
    let registry = Registry::empty().sampler(Nothing).event_source(Bell(bell));
    let settings = Settings { interval_micros: 3_600_000_000, ..Settings::default() };
    let mut recorder = Recorder::new(HostView::live().unwrap(), registry, settings, sink).unwrap();
    let began = Instant::now();
    let summary = recorder.run(&stop, Some(Duration::from_secs(300))).unwrap();
    assert_eq!(summary.ticks, 1);
    assert!(began.elapsed() < Duration::from_secs(290), "it was the limit that ended it");
}
