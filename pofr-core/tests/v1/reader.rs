//! Reading what changed from one snapshot to the next comes to reading each one whole.

use crate::fixture::HALVES;
use pofr_core::{
    collector::Extent,
    digest::KeyDigest,
    fact::Subject,
    wire::v1::{RawSnapshot, Reader, decode, pair},
};
use std::collections::{BTreeMap, BTreeSet};

/// What is shown of each subject, kept up by observations.
#[derive(Default)]
struct Shown(BTreeMap<Subject, BTreeSet<KeyDigest>>);

/// Reads all snapshots both ways; returns how many facts the reader told of.
fn read_both_ways(snapshots: &[RawSnapshot]) -> usize {
    let (mut reader, mut shown, mut told) = (Reader::default(), Shown::default(), 0);
    for raw in snapshots {
        let whole = decode(raw).unwrap();
        let changed = reader.read(raw).unwrap();
        assert_eq!((changed.pid_only, changed.undecidable), (whole.pid_only, whole.undecidable));
        let digests = |facts: &[pofr_core::Fact]| facts.iter().map(|f| f.digest()).collect::<BTreeSet<_>>();
        let ends = |facts: &Option<Vec<pofr_core::Fact>>| facts.as_deref().map(digests);
        assert_eq!(ends(&changed.endpoints), ends(&whole.endpoints));
        assert_eq!(changed.processes.is_some(), whole.processes.is_some());
        let (Some(seen), Some(all)) = (changed.processes, whole.processes) else { continue };
        match seen.extent {
            Extent::Whole => shown.0.clear(),
            Extent::Subjects(read) => read.iter().for_each(|r| drop(shown.0.remove(&r.subject))),
        }
        told += seen.facts.len();
        for fact in &seen.facts {
            shown.0.entry(fact.subject()).or_default().insert(fact.digest());
        }
        let now: BTreeSet<KeyDigest> = shown.0.values().flatten().copied().collect();
        assert_eq!(now, digests(&all), "{:?}", raw.stamp);
    }
    told
}

#[test]
fn the_real_snapshots() {
    let snapshots = pair(HALVES.iter().cloned()).snapshots;
    let told = read_both_ways(&snapshots);
    let whole: usize =
        snapshots.iter().map(|raw| decode(raw).unwrap().processes.map_or(0, |facts| facts.len())).sum();
    assert!(told * 3 < whole, "{told} of {whole}");
}

#[test]
fn records_that_stand_twice_come_back_or_are_of_one_process() {
    let a = "9,8###7###1###0###0###0###0###x###x\0###/a \n";
    // The same process with another file, as a second record; and a recorder with a socket.
    let b = "9,8###7###1###0###0###0###0###x###x\0###/b \n";
    let c = "9,8###5###1###0###0###0###0###y###y\0###socket:[77] \n";
    let recorder = "9,8###9###1###0###0###0###0###p###p\0###socket:[78] \n";
    let gone = "9,8###6#####################--NOCMDARGENTRY--###POFRv1NOOPENFILES \n";
    let halves = [
        vec![a, c],
        vec![a, a, c],
        vec![a, b, gone],
        vec![b],
        vec![a, b, recorder],
        vec![a, b, c, gone, gone],
    ];
    let snapshot = |(n, records): (usize, &Vec<&str>)| RawSnapshot {
        stamp: pofr_core::time::WallMicros(n as i64),
        zone: Default::default(),
        proc: (n != 2).then(|| records.concat().into_bytes()),
        net: None,
    };
    let snapshots: Vec<_> = halves.iter().enumerate().map(snapshot).collect();
    read_both_ways(&snapshots);
    let [first, .., last] = snapshots.as_slice() else { unreachable!() };
    read_both_ways(&[first.clone(), last.clone(), first.clone()]);
}
