//! The stream of the open bundle.

use crate::client::{Client, Inbox, bundle};
use pofr_core::{
    identity::{BundleSeq, RunId},
    wire::link::{Down, No, OpenAt, Splice, Up},
};

const RUN: RunId = RunId([9; 16]);

fn frames(offset: u64, bytes: &[u8]) -> Up {
    Up::Frames { offset, bytes: bytes.to_vec().into() }
}

#[test]
fn a_stream_is_taken_up_where_it_was_left() {
    let inbox = Inbox::new();
    let mut client = Client::connect(&inbox);
    let Down::Welcome { open: None, .. } = client.hello() else { panic!("nothing is open") };
    assert_eq!(client.open(RUN, 3), Down::From { bytes: 0 });
    client.say(&frames(0, b"one"));
    client.say(&frames(3, b"two"));
    let kept = OpenAt { run: RUN, seq: BundleSeq(3), bytes: 6 };
    assert_eq!(client.ask(&Up::Flush), Down::Kept(kept));
    drop(client.end());
    let mut client = Client::connect(&inbox);
    let Down::Welcome { open, .. } = client.hello() else { panic!("not welcome") };
    assert_eq!(open, Some(kept));
    assert_eq!(client.open(RUN, 3), Down::From { bytes: 6 });
    client.say(&frames(6, b"three"));
    assert_eq!(client.ask(&Up::Flush), Down::Kept(OpenAt { bytes: 11, ..kept }));
    drop(client.end());
    assert_eq!(std::fs::read(inbox.stream_path(RUN, 3)).unwrap(), b"onetwothree");
}

#[test]
fn a_stream_only_grows() {
    let inbox = Inbox::new();
    let mut client = Client::connect(&inbox);
    client.hello();
    client.open(RUN, 1);
    client.say(&frames(0, b"evidence"));
    assert!(matches!(client.ask(&Up::Flush), Down::Kept(_)));
    for offset in [0, 4, 100] {
        client.say(&frames(offset, b"XXXX"));
        client.say(&frames(8, b"dropped as well, until it is opened again"));
        assert!(matches!(client.ask(&Up::Flush), Down::No { code: No::Chain, retry: true, .. }));
        assert!(matches!(client.ask(&Up::Flush), Down::No { code: No::Chain, .. }), "nothing is open");
        assert_eq!(client.open(RUN, 1), Down::From { bytes: 8 });
    }
    drop(client.end());
    assert_eq!(inbox.streams().into_values().collect::<Vec<_>>(), [b"evidence"]);
}

#[test]
fn what_was_streamed_is_not_sent_again() {
    let inbox = Inbox::new();
    let tar: Vec<u8> = (0..2000u32).map(|i| u8::try_from(i % 250).unwrap()).collect();
    let splice = Splice { run: RUN, seq: BundleSeq(1), records_at: 512, records_len: 1000 };
    let mut client = Client::connect(&inbox);
    client.hello();
    client.open(RUN, 1);
    client.say(&frames(0, &tar[512..1212]));
    let (name, tar) = bundle(5, &tar);
    // A bundle and the stream may be sent in turns.
    let offer = Up::Offer { name: name.clone(), size: 2000, splice: Some(splice) };
    assert_eq!(client.ask(&offer), Down::Send { have: 700 });
    client.say(&Up::Data(tar[..512].to_vec().into()));
    client.open(RUN, 2);
    client.say(&frames(0, b"the next bundle"));
    assert!(matches!(client.ask(&Up::Flush), Down::Kept(OpenAt { seq: BundleSeq(2), bytes: 15, .. })));
    assert!(matches!(client.send(&tar[1212..]), Some(Down::Stored { .. })));
    drop(client.end());
    assert_eq!(inbox.files(), [(name, tar)].into());
    assert_eq!(inbox.streams().into_values().collect::<Vec<_>>(), [b"the next bundle"]);
}

#[test]
fn a_stream_that_is_not_the_bundles_is_not_taken_for_it() {
    let inbox = Inbox::new();
    let mut client = Client::connect(&inbox);
    client.hello();
    client.open(RUN, 1);
    client.say(&frames(0, &[1; 900]));
    assert!(matches!(client.ask(&Up::Flush), Down::Kept(_)));
    let (name, tar) = bundle(5, &[2; 2000]);
    let splice = Splice { run: RUN, seq: BundleSeq(1), records_at: 512, records_len: 1000 };
    assert!(matches!(
        client.give(&name, &tar, Some(splice)),
        Some(Down::No { code: No::Digest, retry: true, .. })
    ));
    assert!(inbox.files().is_empty() && inbox.parts().is_empty());
    assert!(matches!(client.give(&name, &tar, None), Some(Down::Stored { .. })));
    drop(client.end());
    assert_eq!(inbox.files(), [(name, tar)].into());
    // What was streamed stays, and ingest will say that there were two.
    assert_eq!(inbox.streams().len(), 1);
}
