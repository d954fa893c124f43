//! What tests write into a spool.

use pofr_collect::HostView;
use pofr_core::{
    Source,
    collector::Opening,
    fact::{Custom, Fact},
    identity::RunId,
    raw::RawText,
    record::{Record, Sample},
    time::{WallMicros, ZoneOffset},
};
use std::collections::BTreeMap;

pub(crate) const RUN: RunId = RunId([7; 16]);

pub(crate) fn view() -> HostView {
    HostView::live().unwrap()
}

pub(crate) fn opening(stamp: i64) -> Opening {
    Opening {
        run: RUN,
        boot: view().boot,
        zone: ZoneOffset::parse("-0330").unwrap(),
        interval_micros: 1_000,
        opened_wall: WallMicros(stamp),
        opened_boot_micros: stamp,
        recorder_pids: Vec::new(),
        sources: vec![Source::parse("test").unwrap()],
    }
}

/// A sample with so many bytes that do not compress: a linear congruential generator's.
pub(crate) fn sample(stamp: i64, bytes: usize) -> Record {
    let source = Source::parse("test").unwrap();
    let mut state = stamp as u64;
    let mut next = || {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (state >> 56) as u8
    };
    let noise: Vec<u8> = (0..bytes).map(|_| next()).collect();
    let attributes = BTreeMap::from([("noise".to_owned(), RawText::from(noise))]);
    let fact = Fact::Custom(Custom { source: source.clone(), name: "x".into(), attributes });
    Record::Sample(Sample {
        source,
        stamp: WallMicros(stamp),
        span_micros: 1,
        keyframe: true,
        removed: Vec::new(),
        lost: Vec::new(),
        learned: Vec::new(),
        added: vec![fact.into()],
    })
}
