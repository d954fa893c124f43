//! A disk that is full, for a while.

use crate::client::{Inbox, account, bundle};
use pofr_core::{
    identity::RunId,
    wire::link::{Down, No, Up},
};
use pofr_tests::tmpfs::Tmpfs;

#[test]
fn a_full_disk_refuses_for_a_while() {
    let Some(small) = Tmpfs::mount(300) else { return };
    let inbox = Inbox::at(small.path());
    let mut client = crate::client::Client::connect_with(
        &inbox,
        account(),
        pofr_ingest::receive::Rules::default(),
        usize::MAX,
    );
    client.hello();
    let filler = small.fill_but(40);
    let (name, bytes) = bundle(1, &[3; 100_000]);
    let answer = client.give(&name, &bytes, None).unwrap();
    assert!(matches!(answer, Down::No { code: No::Disk, retry: true, .. }), "{answer:?}");
    assert!(inbox.parts().is_empty(), "it gives back what it took");
    client.open(RunId([1; 16]), 1);
    client.say(&Up::Frames { offset: 0, bytes: vec![1; 90_000].into() });
    assert!(matches!(client.ask(&Up::Flush), Down::No { code: No::Disk, retry: true, .. }));
    assert_eq!(client.open(RunId([1; 16]), 1), Down::From { bytes: 0 }, "no part of a frame stays");
    std::fs::remove_file(filler).unwrap();
    assert!(matches!(client.give(&name, &bytes, None), Some(Down::Stored { .. })));
    client.say(&Up::Frames { offset: 0, bytes: vec![1; 90_000].into() });
    assert!(matches!(client.ask(&Up::Flush), Down::Kept(_)));
    drop(client.end());
    assert_eq!(inbox.files(), [(name, bytes)].into());
}
