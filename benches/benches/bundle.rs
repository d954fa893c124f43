//! Bundles: records to frames, frames to a sealed tar, and all the way back to rows. Items are samples.

use divan::{Bencher, counter::ItemsCount};
use pofr_benches::{Machine, RUN, header};
use pofr_core::{collector::Closing, lifetime::Tracker, time::ZoneOffset, wire::v2};

fn main() {
    divan::main();
}

/// 45 s at 3.3 Hz.
const SAMPLES: u32 = 150;

#[divan::bench]
fn encode(bencher: Bencher<'_, '_>) {
    let records = Machine::B.records(0, SAMPLES);
    bencher.counter(ItemsCount::new(SAMPLES)).bench(|| {
        let mut encoder = v2::Encoder::new(&header(1));
        let mut bytes = 0;
        for chunk in records.chunks(6) {
            chunk.iter().for_each(|record| encoder.push(record));
            bytes += encoder.flush().map_or(0, |frame| frame.len());
        }
        bytes
    });
}

#[divan::bench]
fn seal(bencher: Bencher<'_, '_>) {
    let frames = Machine::B.frames(1, 0, SAMPLES);
    bencher.counter(ItemsCount::new(SAMPLES)).bench(|| v2::seal(&frames, true, &Closing::default()));
}

#[divan::bench]
fn open_and_track(bencher: Bencher<'_, '_>) {
    let frames = Machine::B.frames(1, 0, SAMPLES);
    let sealed = v2::seal(&frames, true, &Closing::default()).expect("good frames");
    bencher.counter(ItemsCount::new(SAMPLES)).bench(|| {
        let bundle = v2::open(&sealed.tar, v2::Limits::default()).expect("a good bundle");
        let mut tracker = Tracker::new(RUN, ZoneOffset::UTC);
        for record in bundle.records().expect("good records") {
            tracker.apply(record.expect("a good record")).expect("a good stream");
        }
        tracker.finish().rows.len()
    });
}
