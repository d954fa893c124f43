//! The shipper against a receiver in the same process, over links that are cut wherever it hurts: every bundle arrives once and
//! whole, in order, and leaves the spool then and not before.
#![expect(clippy::unwrap_used, reason = "what a test cannot go on without ends it")]

mod receiver;
mod recording;
#[path = "../spooled/mod.rs"]
mod spooled;

use pofr_collect::{ShipReport, ShipSettings, Shipper, Stop, ship::SpoolView};
use pofr_core::{identity::Cid, wire::link::No};
use receiver::{Cut, Receiver, Say};
use recording::{Recording, until};
use std::{
    path::Path,
    sync::{Arc, Mutex},
    thread::JoinHandle,
    time::Duration,
};

/// A shipper at work.
struct Shipping {
    stop: Stop,
    thread: JoinHandle<Result<(), String>>,
    report: Arc<Mutex<ShipReport>>,
}

fn settings(spool: &Path) -> ShipSettings {
    ShipSettings {
        retry: (Duration::from_millis(1), Duration::from_millis(20)),
        backlog: None,
        ..ShipSettings::new(Cid::parse("test-1795434795702210").unwrap(), spool)
    }
}

impl Shipping {
    fn start(settings: ShipSettings, receiver: &Receiver) -> Self {
        let stop = Stop::new().unwrap();
        let report = Arc::new(Mutex::new(ShipReport::default()));
        let told = report.clone();
        let mut shipper = Shipper::new(settings, receiver.transport(&stop))
            .telling(move |report| told.lock().unwrap().clone_from(report));
        let ours = stop.clone();
        let thread = std::thread::spawn(move || shipper.run(&ours).map_err(|refused| refused.to_string()));
        Self { stop, thread, report }
    }

    fn report(&self) -> ShipReport {
        self.report.lock().unwrap().clone()
    }

    fn end(self) -> Result<(), String> {
        self.stop.stop();
        self.thread.join().unwrap()
    }
}

#[test]
fn every_bundle_arrives_once_and_whole_in_order_and_leaves_the_spool() {
    let dir = tempfile::tempdir().unwrap();
    let mut recording = Recording::begin(dir.path());
    for _ in 0..5 {
        recording.bundle(3);
    }
    let receiver = Receiver::new();
    let shipping = Shipping::start(settings(&recording.spool), &receiver);
    for _ in 0..5 {
        recording.bundle(3);
    }
    until("all are stored", || receiver.stored().len() == 10);
    until("the spool is empty", || {
        recording.tick();
        recording.waiting() == 0
    });
    let seqs: Vec<u64> = receiver.stored().iter().map(|bundle| bundle.manifest.seq).collect();
    assert_eq!(seqs, (1..=10).collect::<Vec<_>>());
    assert_eq!(shipping.end(), Ok(()));
    assert_eq!(receiver.farewells(), 1);
    assert_eq!(
        std::fs::read_dir(recording.spool.join(".acked")).unwrap().count(),
        0,
        "its words are taken back"
    );
}

#[test]
fn the_open_bundle_is_there_before_it_is_sealed_and_not_sent_again() {
    let dir = tempfile::tempdir().unwrap();
    let mut recording = Recording::begin(dir.path());
    let receiver = Receiver::new();
    let shipping = Shipping::start(settings(&recording.spool), &receiver);
    recording.open();
    recording.samples(40);
    let frames = recording.open_frames();
    until("what is open is there", || receiver.streamed(1) == frames);
    recording.samples(1);
    recording.close();
    until("it is stored", || receiver.stored().len() == 1);
    // The manifest, some headers, and the last frame at most.
    let (sent, whole) = (receiver.data_bytes(), receiver.stored()[0].size);
    assert!(sent < whole / 2, "{sent} of {whole} bytes were sent");
    assert_eq!(shipping.report().streamed.map(|(seq, _)| seq).unwrap_or(1), 1);
    assert_eq!(shipping.end(), Ok(()));
}

#[test]
fn a_stream_that_is_not_the_bundle_is_sent_again_as_a_whole() {
    let dir = tempfile::tempdir().unwrap();
    let mut recording = Recording::begin(dir.path());
    let receiver = Receiver::new();
    recording.bundle(3);
    receiver.plant(1, spooled::RUN, b"these are other bytes");
    let shipping = Shipping::start(settings(&recording.spool), &receiver);
    until("it is stored", || receiver.stored().len() == 1);
    assert_eq!(receiver.said(No::Digest), 1);
    assert_eq!(shipping.end(), Ok(()));
}

#[test]
fn links_cut_anywhere_lose_and_double_nothing() {
    let dir = tempfile::tempdir().unwrap();
    let mut recording = Recording::begin(dir.path());
    let receiver = Receiver::new();
    // Every link breaks after some number of bytes up or of answers down, each time another; in between some live long enough.
    let mut chance = 0x9e37_79b9_u64;
    for _ in 0..60 {
        chance = chance.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
        let at = usize::try_from(chance >> 40).unwrap() % 30_000;
        receiver.cut(if chance & 1 << 20 == 0 { Cut::AfterBytes(at) } else { Cut::BeforeAnswer(at % 6) });
    }
    let shipping = Shipping::start(settings(&recording.spool), &receiver);
    for number in 0..20 {
        recording.bundle(1 + number % 7);
    }
    recording.open();
    recording.samples(5);
    let frames = recording.open_frames();
    until("all are stored", || receiver.stored().len() == 20);
    until("and what is open is streamed", || receiver.streamed(21) == frames);
    until("the spool is empty", || {
        recording.tick();
        recording.waiting() == 0
    });
    let seqs: Vec<u64> = receiver.stored().iter().map(|bundle| bundle.manifest.seq).collect();
    assert_eq!(seqs, (1..=20).collect::<Vec<_>>(), "in order, each once");
    assert!(receiver.sessions() > 10, "the links were cut");
    recording.close();
    until("the last one, too", || receiver.stored().len() == 21);
    assert_eq!(shipping.end(), Ok(()));
}

#[test]
fn what_is_not_acknowledged_stays() {
    let dir = tempfile::tempdir().unwrap();
    let mut recording = Recording::begin(dir.path());
    recording.bundle(2);
    let receiver = Receiver::new();
    // All is sent and taken, and nothing is said: neither then, nor when it is offered again.
    receiver.cut(Cut::BeforeAnswer(2));
    for _ in 0..4 {
        receiver.cut(Cut::BeforeAnswer(1));
    }
    receiver.say_from_then_on(Say::NoSession);
    let shipping = Shipping::start(settings(&recording.spool), &receiver);
    until("the links were cut", || receiver.sessions() > 6);
    recording.tick();
    assert_eq!(recording.waiting(), 1);
    assert_eq!(shipping.report().bundles, 0);
    assert!(!shipping.report().connected && shipping.report().trouble.is_some());
    assert_eq!(shipping.end(), Ok(()));
}

#[test]
fn a_server_that_is_full_holds_the_bundles_and_not_the_stream() {
    let dir = tempfile::tempdir().unwrap();
    let mut recording = Recording::begin(dir.path());
    recording.bundle(2);
    let receiver = Receiver::new();
    receiver.say_from_then_on(Say::No(No::Disk, true));
    let shipping = Shipping::start(settings(&recording.spool), &receiver);
    recording.open();
    recording.samples(2);
    let frames = recording.open_frames();
    until("what is open is there", || receiver.streamed(2) == frames);
    until("it was said", || shipping.report().trouble.is_some_and(|trouble| trouble.contains("just now")));
    assert_eq!(recording.waiting(), 1);
    receiver.say_from_then_on(Say::Yes);
    until("it is stored", || receiver.stored().len() == 1);
    assert_eq!(shipping.end(), Ok(()));
}

#[test]
fn a_bundle_that_is_not_taken_holds_up_no_other() {
    let dir = tempfile::tempdir().unwrap();
    let mut recording = Recording::begin(dir.path());
    recording.bundle(2);
    recording.bundle(2);
    let receiver = Receiver::new();
    receiver.refuse(1);
    let shipping = Shipping::start(settings(&recording.spool), &receiver);
    until("the other is stored", || receiver.stored().len() == 1);
    recording.tick();
    assert_eq!(recording.waiting(), 1);
    until("it is said", || shipping.report().not_taken.len() == 1);
    assert_eq!(shipping.end(), Ok(()));
}

#[test]
fn a_word_that_it_is_useless_ends_it() {
    let dir = tempfile::tempdir().unwrap();
    let mut recording = Recording::begin(dir.path());
    recording.bundle(2);
    for say in [Say::Refused, Say::OtherKey] {
        let receiver = Receiver::new();
        receiver.say_from_then_on(say);
        let shipping = Shipping::start(settings(&recording.spool), &receiver);
        until("it ends", || shipping.thread.is_finished());
        let report = shipping.report();
        assert!(report.refused && !report.connected && report.next_attempt_us.is_none(), "{report:?}");
        assert!(shipping.end().is_err());
        assert_eq!((receiver.sessions(), receiver.stored().len()), (1, 0), "it did not try again");
    }
    assert_eq!(recording.waiting(), 1);
}

#[test]
fn told_to_stop_it_sends_what_there_is_first() {
    let dir = tempfile::tempdir().unwrap();
    let mut recording = Recording::begin(dir.path());
    let receiver = Receiver::new();
    let shipping =
        Shipping::start(ShipSettings { backlog: Some(1), ..settings(&recording.spool) }, &receiver);
    until("it is welcome", || shipping.report().connected);
    for _ in 0..4 {
        recording.bundle(2);
    }
    // The pace of a backlog would keep it for hours.
    assert_eq!(shipping.end(), Ok(()));
    assert_eq!(receiver.stored().len(), 4);
}

#[test]
fn the_view_shows_bundles_by_their_numbers_and_the_open_one() {
    let dir = tempfile::tempdir().unwrap();
    let mut recording = Recording::begin(dir.path());
    let mut view = SpoolView::new(&recording.spool);
    assert!(view.open_other(None).unwrap().is_none());
    recording.bundle(1);
    recording.bundle(1);
    recording.open();
    let seqs = |view: &mut SpoolView| -> Vec<u64> {
        view.sealed().unwrap().iter().map(|waiting| waiting.splice.seq.0).collect()
    };
    assert_eq!(seqs(&mut view), [1, 2]);
    let open = view.open_other(None).unwrap().unwrap();
    assert_eq!((open.run, open.seq.0), (spooled::RUN, 3));
    assert!(view.open_other(Some(open.seq)).unwrap().is_none());
    let first = view.sealed().unwrap().remove(0);
    view.acknowledge(&first.name).unwrap();
    assert_eq!(seqs(&mut view), [2]);
    // One that begins later knows it, too.
    assert_eq!(seqs(&mut SpoolView::new(&recording.spool)), [2]);
}
