//! What one who has a client's key cannot do.

use crate::client::{Client, Inbox, account, bundle};
use pofr_core::{
    identity::{BundleSeq, Cid, RunId},
    wire::link::{Down, No, Refusal, Request, Service, Splice, Up},
};
use pofr_ingest::receive::{Account, Ended, Landing, Rules};
use std::os::unix::fs::symlink;

fn offer(name: &str, size: u64) -> Up {
    Up::Offer { name: name.to_owned(), size, splice: None }
}

#[track_caller]
fn refused(answer: Down, wanted: No) {
    match answer {
        Down::No { code, .. } => assert_eq!(code, wanted),
        other => panic!("{other:?}"),
    }
}

#[test]
fn names_lead_nowhere() {
    let inbox = Inbox::new();
    let mut client = Client::connect(&inbox);
    client.hello();
    let (good, _) = bundle(1, b"x");
    for name in [
        "../escaped.tar",
        "/etc/cron.d/x",
        "..",
        ".",
        "",
        ".seat",
        ".session.json",
        ".open",
        "quarantine",
        &format!("../{good}"),
        &format!("a/{good}"),
        &format!("{good}\0"),
        &format!("{good}\n"),
        &good.replace(".tar", ".TAR"),
        &good.replace("0000000000000001", "00000000000000-1"),
    ] {
        refused(client.ask(&offer(name, 10)), No::Name);
    }
    let (ended, lines) = client.end();
    assert_eq!(ended.unwrap(), Ended::Left);
    assert!(inbox.files().is_empty() && inbox.parts().is_empty());
    assert!(lines.iter().all(|line| !line.contains(['\n', '\0'])), "a log line is one line: {lines:?}");
}

#[test]
fn nothing_is_overwritten() {
    let inbox = Inbox::new();
    let (name, bytes) = bundle(1, b"the truth");
    // Even where it is not what its name says: that is for ingest to find.
    std::fs::write(inbox.path().join(&name), b"something else").unwrap();
    let mut client = Client::connect(&inbox);
    client.hello();
    assert_eq!(client.give(&name, &bytes, None), Some(Down::Have));
    // One that appears while another is being sent.
    let (other, bytes) = bundle(2, b"the other truth");
    assert!(matches!(client.ask(&offer(&other, bytes.len() as u64)), Down::Send { have: 0 }));
    std::fs::write(inbox.path().join(&other), b"was first").unwrap();
    assert!(matches!(client.send(&bytes), Some(Down::Stored { .. })), "it is there under that name");
    // A link in its place is a name that is taken, and not followed.
    let (linked, bytes) = bundle(3, b"a third");
    let outside = inbox.path().join("outside");
    symlink(&outside, inbox.path().join(&linked)).unwrap();
    assert_eq!(client.give(&linked, &bytes, None), Some(Down::Have));
    drop(client.end());
    assert!(!outside.exists());
    assert_eq!(inbox.files()[&name], b"something else");
    assert_eq!(inbox.files()[&other], b"was first");
    assert!(inbox.parts().is_empty());
}

#[test]
fn an_inbox_that_is_a_link_is_none() {
    let (real, dir) = (Inbox::new(), tempfile::tempdir().unwrap());
    let link = dir.path().join("inbox");
    symlink(real.path(), &link).unwrap();
    let error = Landing::open(&link).unwrap_err().to_string();
    assert!(error.contains("inbox"), "{error}");
    symlink("/etc", real.path().join(".open")).unwrap();
    Landing::open(real.path()).unwrap_err();
}

#[test]
fn sizes_are_kept_to() {
    let inbox = Inbox::new();
    let rules = Rules { max_bundle: 10_000, ..Rules::default() };
    let mut client = Client::connect_with(&inbox, account(), rules, usize::MAX);
    let Down::Welcome { max_bundle_bytes: 10_000, .. } = client.hello() else {
        panic!("not as the rules say")
    };
    let (name, bytes) = bundle(1, &[1; 5000]);
    refused(client.ask(&offer(&name, 10_001)), No::Size);
    refused(client.ask(&offer(&name, 0)), No::Size);
    refused(client.ask(&offer(&name, u64::MAX)), No::Size);
    let beyond = Splice { run: RunId([1; 16]), seq: BundleSeq(1), records_at: 1, records_len: u64::MAX };
    refused(client.ask(&Up::Offer { name: name.clone(), size: 5000, splice: Some(beyond) }), No::Size);
    for (announced, sent) in [(4999, 5000), (5001, 5000), (5000, 9000), (5000, 0)] {
        assert!(matches!(client.ask(&offer(&name, announced)), Down::Send { .. }));
        refused(client.send(&vec![1; sent]).unwrap(), No::Size);
    }
    assert!(matches!(client.ask(&offer(&name, 5000)), Down::Send { .. }));
    refused(client.send(&[2; 5000]).unwrap(), No::Digest);
    assert!(matches!(client.give(&name, &bytes, None), Some(Down::Stored { .. })));
    drop(client.end());
    assert_eq!(inbox.files(), [(name, bytes)].into());
}

#[test]
fn no_more_than_the_quota() {
    let inbox = Inbox::new();
    let account = Account { quota_bytes: 100_000, ..account() };
    let mut client = Client::connect_with(&inbox, account, Rules::default(), usize::MAX);
    client.hello();
    let mut stored = 0;
    let last = loop {
        let (name, bytes) = bundle(stored, &[u8::try_from(stored).unwrap(); 9000]);
        match client.give(&name, &bytes, None).unwrap() {
            Down::Stored { .. } => stored += 1,
            other => break other,
        }
    };
    assert!(matches!(last, Down::No { code: No::Quota, retry: true, .. }), "{last:?}");
    assert!((2..=11).contains(&stored), "{stored}");
    // Many small files are not free, either.
    let mut small = 0;
    while let (name, bytes) = bundle(1000 + small, &small.to_be_bytes())
        && matches!(client.give(&name, &bytes, None).unwrap(), Down::Stored { .. })
    {
        small += 1;
    }
    assert!(small < 13, "{small}");
    // Nor what is streamed.
    client.open(RunId([1; 16]), 1);
    for i in 0..30 {
        client.say(&Up::Frames { offset: i * 5000, bytes: vec![0; 5000].into() });
    }
    refused(client.ask(&Up::Flush), No::Quota);
    let in_all: usize = inbox.files().values().chain(inbox.streams().values()).map(Vec::len).sum();
    assert!(in_all <= 100_000, "{in_all}");
    // Ingest makes room.
    for name in inbox.files().keys() {
        std::fs::remove_file(inbox.path().join(name)).unwrap();
    }
    let (name, bytes) = bundle(7777, &[7; 9000]);
    assert!(matches!(client.give(&name, &bytes, None), Some(Down::Stored { .. })));
    drop(client.end());
}

#[test]
fn open_bundles_are_few() {
    let inbox = Inbox::new();
    let mut client = Client::connect(&inbox);
    client.hello();
    let mut opened = 0;
    while matches!(client.open(RunId([1; 16]), opened), Down::From { .. }) {
        opened += 1;
    }
    assert!((2..100).contains(&opened), "{opened}");
    assert!(matches!(client.open(RunId([1; 16]), 0), Down::From { bytes: 0 }), "one of them may go on");
    drop(client.end());
}

#[test]
fn another_client_is_not_served() {
    let inbox = Inbox::new();
    for (cid, service) in
        [("other", Service::Receive), ("", Service::Receive), (crate::client::CID, Service::Register)]
    {
        let mut client = Client::connect(&inbox);
        let hello = Up::Hello { version: 1, service, cid: cid.into(), software: String::new() };
        assert!(matches!(client.ask(&hello), Down::Refused { code: Refusal::WrongClient, last: true, .. }));
        assert_eq!(client.end().0.unwrap(), Ended::Refused);
    }
    let mut client = Client::connect(&inbox);
    let hello = Up::Hello {
        version: 0,
        service: Service::Receive,
        cid: crate::client::CID.into(),
        software: String::new(),
    };
    assert!(matches!(client.ask(&hello), Down::Refused { code: Refusal::Version, last: true, .. }));
    drop(client.end());
}

#[test]
fn what_is_out_of_turn_ends_the_session() {
    let hello = Up::hello(Service::Receive, &Cid::parse("victim-1").unwrap(), "");
    let request = Request {
        cid: "a".into(),
        uuid: String::new(),
        public_key: String::new(),
        host_name: String::new(),
        about: String::new(),
    };
    for odd in [Up::Data(vec![1].into()), Up::End, hello, Up::Request(request), Up::Ask { cid: "a".into() }] {
        let inbox = Inbox::new();
        let mut client = Client::connect(&inbox);
        client.hello();
        assert!(matches!(client.ask(&odd), Down::Refused { last: false, .. }), "{odd:?}");
        assert_eq!(client.end().0.unwrap(), Ended::Refused);
    }
    let inbox = Inbox::new();
    let mut client = Client::connect(&inbox);
    assert!(matches!(client.ask(&offer("x", 1)), Down::Refused { .. }), "before hello");
    drop(client.end());
}

#[test]
fn noise_is_answered_and_leaves_nothing() {
    for noise in [&b"GET / HTTP/1.1\r\n\r\n"[..], b"\xff\xff\xff\xff\xff", b"\0\0\0\x01\xee", b"\0\0\0\0"] {
        let inbox = Inbox::new();
        let mut client = Client::connect(&inbox);
        client.hello();
        client.raw(noise);
        assert!(matches!(client.next::<Down>(), Ok(Some(Down::Refused { .. }))), "{noise:?}");
        client.end().0.unwrap_err();
        assert!(inbox.files().is_empty());
    }
}
