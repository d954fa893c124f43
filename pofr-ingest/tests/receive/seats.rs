//! One session of a client at a time, the newest; and none that says nothing for ever.

use crate::client::{CID, Inbox, account, bundle};
use pofr_core::{
    identity::Cid,
    wire::link::{Down, Reader, Refusal, Service, Up, Writer},
};
use pofr_ingest::receive::{Ended, Ending, Patient, Rules, Seat, serve};
use std::{os::unix::net::UnixStream, time::Duration};

/// More than this test ever waits where things are as they should be.
const LONG: Duration = Duration::from_secs(60);

#[test]
fn a_new_session_takes_the_seat() {
    let inbox = Inbox::new();
    let (mut ours, theirs) = UnixStream::pair().unwrap();
    std::thread::scope(|scope| {
        let (seated, wait) = std::sync::mpsc::channel();
        let inbox = &inbox;
        let old = scope.spawn(move || {
            let landing = inbox.landing();
            let seat = Seat::take(&landing, [1; 16], LONG).unwrap().unwrap();
            seated.send(()).unwrap();
            let up = Patient::new(theirs.try_clone().unwrap(), LONG, Some(&seat));
            serve(up, &theirs, &account(), landing, Rules::default(), &mut |_| {}).unwrap()
        });
        wait.recv().unwrap();
        // It is in the middle of a bundle, and its client is gone without a word.
        let mut writer = Writer::new(&mut ours);
        writer.write(&Up::hello(Service::Receive, &Cid::parse(CID).unwrap(), "")).unwrap();
        let (name, bytes) = bundle(1, &[1; 5000]);
        writer.write(&Up::Offer { name, size: 5000, splice: None }).unwrap();
        writer.write(&Up::Data(bytes[..100].to_vec().into())).unwrap();
        let landing = inbox.landing();
        let seat = Seat::take(&landing, [2; 16], LONG).unwrap().expect("the old one leaves");
        assert_eq!(old.join().unwrap(), Ended::Waiting(Ending::Replaced));
        assert!(seat.is_mine());
        assert!(inbox.parts().is_empty(), "it leaves nothing behind");
        let mut reader = Reader::new(&ours);
        let mut last = None;
        while let Ok(Some(message)) = reader.read::<Down>() {
            last = Some(message);
        }
        assert!(matches!(last, Some(Down::Refused { code: Refusal::Busy, last: false, .. })), "{last:?}");
    });
}

#[test]
fn of_two_who_come_the_later_one_stays() {
    let inbox = Inbox::new();
    let landing = inbox.landing();
    let stubborn = Seat::take(&landing, [1; 16], LONG).unwrap().unwrap();
    assert!(Seat::take(&landing, [2; 16], Duration::from_millis(1)).unwrap().is_none());
    assert!(!stubborn.is_mine(), "it is asked to leave");
    drop(stubborn);
    assert!(Seat::take(&landing, [3; 16], LONG).unwrap().unwrap().is_mine());
}

#[test]
fn silence_ends_a_session() {
    let inbox = Inbox::new();
    let (ours, theirs) = UnixStream::pair().unwrap();
    let up = Patient::new(theirs.try_clone().unwrap(), Duration::from_millis(10), None);
    let ended = serve(up, &theirs, &account(), inbox.landing(), Rules::default(), &mut |_| {}).unwrap();
    assert_eq!(ended, Ended::Waiting(Ending::Idle));
    drop(ours);
}
