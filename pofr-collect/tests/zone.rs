//! The machine's zone is set to another while it is recorded.

#![expect(clippy::unwrap_used, reason = "what a test cannot go on without ends it")]
#![expect(dead_code, reason = "this test needs little of what tests share")]

mod stream;

use pofr_collect::{
    HostView, Recorder, Registry, Stop,
    samplers::{Context, HostSampler},
};
use pofr_core::{fact::Fact, record::Record};
use std::{
    fs,
    os::unix::fs::symlink,
    time::{Duration, Instant},
};
use stream::{Kept, Memory, settings};

/// A zone without summer time, as RFC 9636 writes it in version 1: no transitions, one type of local time.
fn tzif(seconds_east: i32) -> Vec<u8> {
    let mut text = b"TZif\0".to_vec();
    text.extend([0; 15]);
    for count in [0_u32, 0, 0, 0, 1, 4] {
        text.extend(count.to_be_bytes());
    }
    text.extend(seconds_east.to_be_bytes());
    text.extend(b"\0\0LMT\0");
    text
}

/// What a bundle says of the zone: the offset of its rows, and the name in its host fact.
fn zone(bundle: &Kept) -> (i16, Vec<String>) {
    let samples = bundle.records.iter().filter_map(|record| match record {
        Record::Sample(sample) => Some(&sample.added),
        _ => None,
    });
    let names = samples.flatten().filter_map(|added| match &added.fact {
        Fact::Host(host) => Some(host.timezone.to_string()),
        _ => None,
    });
    (bundle.opening.zone.minutes(), names.collect())
}

#[test]
fn the_bundle_ends_and_the_next_one_has_the_new_zone() {
    let dir = tempfile::tempdir().unwrap();
    let (etc, zones) = (dir.path().join("etc"), dir.path().join("zoneinfo"));
    let kernel = dir.path().join("proc/sys/kernel/random");
    for made in [&etc, &zones, &kernel] {
        fs::create_dir_all(made).unwrap();
    }
    fs::write(kernel.join("boot_id"), "cb7fb6df-ff37-45d6-88e0-73badcb21c38\n").unwrap();
    for (name, seconds) in [("UTC", 0), ("Kathmandu", 20_700)] {
        fs::write(zones.join(name), tzif(seconds)).unwrap();
    }
    let link = |name: &str| {
        symlink(zones.join(name), etc.join("new")).unwrap();
        fs::rename(etc.join("new"), etc.join("localtime")).unwrap();
    };
    link("UTC");
    // What Debian has beside it, and timedatectl(1) leaves as it was.
    fs::write(etc.join("timezone"), "UTC\n").unwrap();
    let view = HostView::of_tree(dir.path()).unwrap();
    let registry = Registry::empty().sampler(HostSampler::new(&Context::new(view.clone())));
    let memory = Memory::default();
    // No bundle ends by its age.
    let mut recorder = Recorder::new(view, registry, settings(20_000, 600_000_000), memory.clone()).unwrap();
    let stop = Stop::new().unwrap();
    std::thread::scope(|scope| {
        scope.spawn(|| {
            let begun = Instant::now();
            let wait_for = |bundles: usize| {
                while memory.bundles().len() < bundles {
                    assert!(begun.elapsed() < Duration::from_secs(30), "only {}", memory.bundles().len());
                    std::thread::sleep(Duration::from_millis(20));
                }
            };
            wait_for(1);
            link("Kathmandu");
            wait_for(2);
            std::thread::sleep(Duration::from_millis(1_500));
            stop.stop();
        });
        recorder.run(&stop, Some(Duration::from_secs(60))).unwrap();
    });
    let zones: Vec<_> = memory.bundles().iter().map(zone).collect();
    assert_eq!(zones, [(0, vec!["UTC".to_owned()]), (345, vec!["Kathmandu".to_owned()])]);
}
