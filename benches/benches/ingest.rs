//! Ingest up to the rows: a bundle's bytes verified, opened and tracked, on one core. Items are seconds of record, so items a
//! second are how many times real time.

use divan::{Bencher, counter::ItemsCount};
use pofr_benches::{Machine, v1};
use pofr_core::{
    collector::Closing,
    identity::Cid,
    time::WallMicros,
    wire::{v1 as wire_v1, v2},
};
use pofr_ingest::{
    track::{track_v1, track_v2, v1_run},
    verify::{Contents, verify},
};

fn main() {
    divan::main();
}

/// 45 s at 3.3 Hz.
const SAMPLES: u32 = 150;
const SECONDS: u32 = 45;

#[divan::bench]
fn v2_to_rows(bencher: Bencher<'_, '_>) {
    let frames = Machine::OFFICE.frames(1, 0, SAMPLES);
    let sealed = v2::seal(&frames, true, &Closing::default()).expect("good frames");
    bencher.counter(ItemsCount::new(SECONDS)).bench(|| {
        let verified = verify(&sealed.name, &sealed.tar, v2::Limits::default()).expect("a good bundle");
        let Contents::V2(bundle) = verified.contents else { panic!("a v2 bundle") };
        track_v2(&verified.name, &bundle, WallMicros(0)).expect("a good bundle").rows.len()
    });
}

#[divan::bench]
fn v1_to_rows(bencher: Bencher<'_, '_>) {
    let (name, tar) = v1::bundle(&Machine::OFFICE, 0, SAMPLES);
    let run = v1_run(&Cid::parse("bench").expect("a good id"));
    bencher.counter(ItemsCount::new(SECONDS)).bench(|| {
        let verified = verify(&name, &tar, v2::Limits::default()).expect("a good bundle");
        let Contents::V1(halves) = verified.contents else { panic!("a v1 bundle") };
        let paired = wire_v1::pair(halves);
        let tracked = track_v1(&verified.name, run, &paired.snapshots, WallMicros(0), false);
        tracked.expect("a good bundle").rows.len()
    });
}
