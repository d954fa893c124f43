//! The link may be cut anywhere, and the server killed: every bundle arrives exactly once.

use crate::client::{Client, Inbox, account, bundle};
use pofr_core::{
    identity::{BundleSeq, RunId},
    wire::link::{Down, Splice, Up},
};
use pofr_ingest::receive::Rules;
use proptest::prelude::*;
use std::{collections::BTreeMap, time::Duration};

const RUN: RunId = RunId([7; 16]);
/// Where the records stand in the bundles of this test, and what follows them.
const HEAD: usize = 512;
const TAIL: usize = 300;

/// A bundle with records of some size.
fn made(seq: u64, records: usize) -> (String, Vec<u8>, Splice) {
    let byte = |i: usize| u8::try_from((i * 31 + usize::try_from(seq).unwrap() * 7) % 251).unwrap();
    let bytes: Vec<u8> = (0..HEAD + records + TAIL).map(byte).collect();
    let (name, bytes) = bundle(1_795_412_776_000_000 + i64::try_from(seq).unwrap(), &bytes);
    let splice =
        Splice { run: RUN, seq: BundleSeq(seq), records_at: HEAD as u64, records_len: records as u64 };
    (name, bytes, splice)
}

/// Does what a client does until its link breaks; returns how many bundles it knows to be stored.
fn work(client: &mut Client, bundles: &[(String, Vec<u8>, Splice)], mut acknowledged: usize) -> usize {
    if !matches!(client.try_hello(), Some(Down::Welcome { .. })) {
        return acknowledged;
    }
    while let Some((name, bytes, splice)) = bundles.get(acknowledged) {
        // While it grows …
        let records = &bytes[HEAD..bytes.len() - TAIL];
        let Some(Down::From { bytes: from }) = client.try_ask(&Up::Open { run: splice.run, seq: splice.seq })
        else {
            return acknowledged;
        };
        let from = usize::try_from(from).unwrap();
        assert!(from <= records.len(), "the server has what was never sent");
        for (i, piece) in records[from..].chunks(700).enumerate() {
            let frames = Up::Frames { offset: (from + i * 700) as u64, bytes: piece.to_vec().into() };
            if client.writer.write(&frames).is_err() {
                return acknowledged;
            }
        }
        if !matches!(client.try_ask(&Up::Flush), Some(Down::Kept(_))) {
            return acknowledged;
        }
        // … and when it is sealed.
        match client.give(name, bytes, Some(*splice)) {
            Some(Down::Stored { .. } | Down::Have) => acknowledged += 1,
            Some(other) => panic!("{other:?}"),
            None => return acknowledged,
        }
    }
    acknowledged
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 60, ..ProptestConfig::default() })]

    #[test]
    fn every_bundle_arrives_exactly_once(
        sizes in proptest::collection::vec(1..6_000usize, 1..5),
        cuts in proptest::collection::vec(0..14_000usize, 0..12),
    ) {
        let inbox = Inbox::new();
        let bundles: Vec<_> = (1..).zip(&sizes).map(|(seq, size)| made(seq, *size)).collect();
        let mut acknowledged = 0;
        for cut in cuts.into_iter().chain([usize::MAX]) {
            let mut client = Client::connect_with(&inbox, account(), Rules::default(), cut);
            let before = acknowledged;
            acknowledged = work(&mut client, &bundles, acknowledged);
            let (_, lines) = client.end();
            // What the client knows to be stored is there, byte for byte.
            let files = inbox.files();
            for (name, bytes, _) in &bundles[before..acknowledged] {
                prop_assert_eq!(&files[name], bytes);
            }
            prop_assert!(lines.iter().all(|line| line.starts_with("stored ")), "{:?}", lines);
        }
        let wanted: BTreeMap<_, _> = bundles.iter().map(|(name, bytes, _)| (name.clone(), bytes.clone())).collect();
        prop_assert_eq!(inbox.files(), wanted);
        inbox.landing().sweep(Duration::ZERO).unwrap();
        prop_assert!(inbox.parts().is_empty());
        prop_assert!(inbox.streams().is_empty(), "what was streamed is in the bundles");
    }
}

#[test]
fn what_a_killed_server_left_is_swept() {
    let inbox = Inbox::new();
    let (name, bytes) = bundle(1, &[5; 3000]);
    std::fs::write(inbox.path().join(".part-99-1"), &bytes[..1000]).unwrap();
    assert_eq!(inbox.landing().sweep(Duration::from_secs(3600)).unwrap(), 0, "it may be another session's");
    assert_eq!(inbox.landing().sweep(Duration::ZERO).unwrap(), 1);
    let mut client = Client::connect(&inbox);
    client.hello();
    assert!(matches!(client.give(&name, &bytes, None), Some(Down::Stored { .. })));
    assert_eq!(client.give(&name, &bytes, None), Some(Down::Have), "it is there already");
    drop(client.end());
    assert_eq!(inbox.files(), [(name, bytes)].into());
    assert!(inbox.parts().is_empty());
}
