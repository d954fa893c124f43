//! The ends of sockets, as the kernel announces them, on loopback.

#![expect(clippy::unwrap_used, reason = "what a test cannot go on without ends it")]

mod alone;
mod stream;

use alone::alone;
use pofr_collect::{
    HostView, Recorder, Registry, Settings, Stop,
    events::SocketEvents,
    samplers::{Context, HostSampler},
};
use pofr_core::{
    EventSource, Source,
    collector::{CollectError, Notice},
    fact::{Endpoint, Fact, SocketId, TcpState, Transport},
    identity::RunId,
    lifetime::{Row, Tracker},
    record::{Event, Record},
    time::WallMicros,
};
use rustix::net::sockopt::set_socket_linger;
use std::{
    collections::{HashMap, HashSet, VecDeque},
    io::Write as _,
    net::{SocketAddr, TcpListener, TcpStream, UdpSocket},
    os::fd::AsFd as _,
    process::Command,
    sync::atomic::{AtomicBool, Ordering},
    time::{Duration, Instant},
};
use stream::{Memory, Shown, gaps, play, settings};

/// Joins the groups; where the kernel refuses, says so, and the test has nothing to try but that the recorder says so, too.
fn open(view: &HostView) -> Option<SocketEvents> {
    match SocketEvents::open(view) {
        Ok(events) => Some(events),
        Err(error) => {
            eprintln!("NOT TRIED: {error}");
            None
        }
    }
}

/// Takes what the source tells until `enough` of it has come.
fn drain(events: &mut SocketEvents, enough: impl Fn(&[Notice]) -> bool) -> Vec<Notice> {
    let (mut told, start) = (Vec::new(), Instant::now());
    while !enough(&told) {
        assert!(start.elapsed() < Duration::from_secs(20), "told only {}", told.len());
        events.drain(&mut told).unwrap();
        std::thread::sleep(Duration::from_millis(1));
    }
    told
}

fn closed(notice: &Notice) -> Option<(&Endpoint, WallMicros)> {
    match notice {
        Notice::Closed { endpoint, at } => Some((endpoint, *at)),
        _ => None,
    }
}

#[test]
fn five_thousand_connections_are_told_with_their_ends() {
    const CONNECTIONS: usize = 5_000;
    if !alone("five_thousand_connections_are_told_with_their_ends") {
        return;
    }
    let view = HostView::live().unwrap();
    let Some(mut events) = open(&view) else { return };
    let before = view.clock.now();
    let mut expected: HashMap<(SocketAddr, SocketAddr), u32> = HashMap::new();
    for listener in ["127.0.0.1:0", "[::1]:0"] {
        let listener = TcpListener::bind(listener).unwrap();
        let to = listener.local_addr().unwrap();
        for _ in 0..CONNECTIONS / 2 {
            let here = TcpStream::connect(to).unwrap();
            let (_there, from) = listener.accept().unwrap();
            assert_eq!(here.local_addr().unwrap(), from);
            *expected.entry((from, to)).or_default() += 1;
            *expected.entry((to, from)).or_default() += 1;
        }
    }
    assert_eq!(expected.values().sum::<u32>() as usize, 2 * CONNECTIONS, "both sides");
    let of_the_test = |notice: &Notice| {
        let (endpoint, _) = closed(notice)?;
        let pair = (endpoint.key.local, endpoint.key.remote);
        (endpoint.key.transport == Transport::Tcp && expected.contains_key(&pair)).then_some(pair)
    };
    let told = drain(&mut events, |told| told.iter().filter_map(of_the_test).count() >= 2 * CONNECTIONS);
    let after = view.clock.now();
    let mut found: HashMap<(SocketAddr, SocketAddr), u32> = HashMap::new();
    for notice in &told {
        assert!(!matches!(notice, Notice::Lost(_)), "{notice:?}");
        let (Some(pair), Some((endpoint, at))) = (of_the_test(notice), closed(notice)) else { continue };
        *found.entry(pair).or_default() += 1;
        assert!(before <= at && at <= after);
        assert_eq!((endpoint.key.holder, endpoint.details.uid), (None, None), "the kernel does not tell");
    }
    assert_eq!(found, expected);
}

#[test]
fn who_aborts_a_connection_has_forgotten_the_other_end() {
    let view = HostView::live().unwrap();
    let Some(mut events) = open(&view) else { return };
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let here = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
    let (there, from) = listener.accept().unwrap();
    // Closed by a reset.
    set_socket_linger(&here, Some(Duration::ZERO)).unwrap();
    drop(here);
    drop(there);
    let mine = |(endpoint, _): &(&Endpoint, WallMicros)| {
        endpoint.key.transport == Transport::Tcp
            && (endpoint.key.local.port() == from.port() || endpoint.key.remote == from)
    };
    let told = drain(&mut events, |told| told.iter().filter_map(closed).filter(mine).count() == 2);
    let told: Vec<_> = told.iter().filter_map(closed).filter(mine).map(|(e, _)| &e.key).collect();
    println!("{told:#?}");
    // The one that was reset knows both ends, so that the pair of addresses is told all the same.
    assert!(told.iter().any(|key| key.remote == from));
    assert!(told.iter().any(|key| key.local.port() == from.port() && key.remote.port() == 0));
}

#[test]
fn udp_of_both_families_is_told_and_what_never_had_a_port_is_not() {
    let view = HostView::live().unwrap();
    let Some(mut events) = open(&view) else { return };
    let mut addresses = Vec::new();
    for (local, remote) in [("127.0.0.1:0", "127.0.0.1:9"), ("[::1]:0", "[::1]:9")] {
        let socket = UdpSocket::bind(local).unwrap();
        socket.connect(remote).unwrap();
        addresses.push((socket.local_addr().unwrap(), remote.parse::<SocketAddr>().unwrap()));
    }
    let unbound =
        rustix::net::socket(rustix::net::AddressFamily::INET, rustix::net::SocketType::DGRAM, None).unwrap();
    drop(unbound);
    let of_the_test = |(endpoint, _): &(&Endpoint, WallMicros)| {
        addresses.contains(&(endpoint.key.local, endpoint.key.remote))
            && endpoint.key.transport == Transport::Udp
    };
    let told = drain(&mut events, |told| told.iter().filter_map(closed).filter(of_the_test).count() == 2);
    assert!(told.iter().filter_map(closed).all(|(endpoint, _)| endpoint.key.local.port() != 0));
}

/// Plays bundles back as the server does.
fn rows(memory: &Memory) -> Vec<Row> {
    let mut rows = Vec::new();
    for bundle in memory.bundles() {
        let mut tracker = Tracker::new(RunId([1; 16]), bundle.opening.zone);
        bundle.records.iter().for_each(|record| tracker.apply(record.clone()).unwrap());
        rows.extend(tracker.finish().rows);
    }
    rows
}

/// Waits until the endpoints have been sampled so many times more.
fn wait_for_samples(memory: &Memory, more: usize) {
    let is_sample = |r: &Record| matches!(r, Record::Sample(s) if s.source == Source::Endpoint);
    let count = || memory.bundles().iter().flat_map(|b| &b.records).filter(|r| is_sample(r)).count();
    let (before, start) = (count(), Instant::now());
    while count() < before + more {
        assert!(start.elapsed() < Duration::from_secs(30), "no sample comes");
        std::thread::sleep(Duration::from_millis(20));
    }
}

fn endpoint(row: &Row) -> Option<&Endpoint> {
    match &row.fact {
        Fact::Endpoint(endpoint) => Some(endpoint),
        _ => None,
    }
}

/// How many processes hold a connection each.
const HOLDERS: usize = 16;

#[test]
fn an_end_belongs_to_the_row_of_who_held_the_socket() {
    if !alone("an_end_belongs_to_the_row_of_who_held_the_socket") {
        return;
    }
    let view = HostView::live().unwrap();
    let Some(events) = open(&view) else { return };
    // Both ends are held by processes of their own: the recorder's own sockets are left out.
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let to = listener.local_addr().unwrap();
    let script = format!("exec 3<>/dev/tcp/127.0.0.1/{}; read -r _ <&3", to.port());
    let mut children = Vec::new();
    let mut there = Vec::new();
    for _ in 0..HOLDERS {
        children.push(Command::new("bash").args(["-c", &script]).spawn().unwrap());
        there.push(listener.accept().unwrap());
    }
    let registry = Registry::samplers_only(&view).event_source(events);
    let memory = Memory::default();
    let mut recorder =
        Recorder::new(view.clone(), registry, settings(20_000, 60_000_000), memory.clone()).unwrap();
    let stop = Stop::new().unwrap();
    std::thread::scope(|scope| {
        scope.spawn(|| {
            wait_for_samples(&memory, 2);
            // Many that no sample sees, while others are sampled.
            for _ in 0..300 {
                drop((TcpStream::connect(to).unwrap(), listener.accept().unwrap()));
            }
            for ((stream, _), child) in there.iter_mut().zip(&mut children) {
                stream.write_all(b"end\n").unwrap();
                child.wait().unwrap();
            }
            wait_for_samples(&memory, 2);
            stop.stop();
        });
        recorder.run(&stop, Some(Duration::from_secs(60))).unwrap();
    });
    let rows = rows(&memory);
    let mut exact = 0;
    for (_, from) in &there {
        let held: Vec<&Row> = rows
            .iter()
            .filter(|row| endpoint(row).is_some_and(|e| (e.key.local, e.key.remote) == (*from, to)))
            .collect();
        let live: Vec<_> = held.iter().filter(|row| row.life.first_seen.is_some()).collect();
        let established =
            live.iter().find(|row| endpoint(row).unwrap().key.state == TcpState::Established).unwrap();
        assert!(endpoint(established).unwrap().key.holder.is_some());
        // Until the other side has acknowledged that nothing more comes, which may take 40 ms, the socket is in FIN-WAIT: the end
        // is then that of the row which a sample has made of this.
        assert!(established.life.ended.or(established.life.gone_by).is_some(), "{:?}", established.life);
        exact += usize::from(live.iter().any(|row| row.life.ended.is_some()));
        assert!(
            !held.iter().any(|row| row.life.first_seen.is_none()),
            "the end is no endpoint of its own: {held:#?}"
        );
    }
    // The kernel tells of the end from a work queue: a sample may have found the socket gone by then.
    assert!(exact > HOLDERS / 2, "{exact} of {HOLDERS} ends belong to a row that samples show");
    let passed = rows.iter().filter(|row| {
        row.life.first_seen.is_none()
            && endpoint(row).is_some_and(|e| e.key.local == to || e.key.remote == to)
    });
    // How many were sampled in their moment, the load of the machine decides.
    let passed = passed.count();
    assert!(passed > 50, "{passed} of 600 passed unseen by the samples");
    // One that was first sampled in TIME-WAIT has ended before that; what is left of it outlives the recording.
    let is_left_over = |row: &Row| endpoint(row).is_some_and(|e| e.key.state == TcpState::TimeWait);
    let over =
        rows.iter().filter(|row| row.life.ended.is_some() || row.life.gone_by.is_some() || is_left_over(row));
    let sockets: HashSet<SocketId> = over
        .filter_map(endpoint)
        .filter(|e| e.key.local == to || e.key.remote == to)
        .map(|e| e.key.socket)
        .collect();
    assert!(sockets.len() >= 600, "{} of 600 ended", sockets.len());
}

#[test]
fn every_stamp_plays_back_with_ends_in_between() {
    if !alone("every_stamp_plays_back_with_ends_in_between") {
        return;
    }
    let view = HostView::live().unwrap();
    let Some(events) = open(&view) else { return };
    // Not left out: the sockets of this very process are what is to be seen.
    let registry = Registry::samplers_only(&view).event_source(events);
    let over = AtomicBool::new(false);
    let (memory, seen) = std::thread::scope(|scope| {
        scope.spawn(|| {
            let listener = TcpListener::bind("127.0.0.1:0").unwrap();
            let (to, mut held) = (listener.local_addr().unwrap(), VecDeque::new());
            while !over.load(Ordering::Relaxed) {
                held.push_back((TcpStream::connect(to).unwrap(), listener.accept().unwrap()));
                held.push_back((TcpStream::connect(to).unwrap(), listener.accept().unwrap()));
                drop(held.pop_front());
                if held.len() > 60 {
                    held.clear();
                }
                std::thread::sleep(Duration::from_millis(1));
            }
        });
        let settings = Settings { exclude_self: false, ..settings(20_000, 500_000) };
        let both = stream::record(view.clone(), registry, settings, 2_000);
        over.store(true, Ordering::Relaxed);
        both
    });
    let mut played = Shown::new();
    let (mut ended, mut passed) = (0, 0);
    for bundle in memory.bundles() {
        played.extend(play(&bundle.records));
        ended += bundle.records.iter().filter(|r| matches!(r, Record::Event(Event::Ended { .. }))).count();
        passed += bundle.records.iter().filter(|r| matches!(r, Record::Event(Event::Passed { .. }))).count();
    }
    assert!(played == seen, "what was told is not what was seen");
    println!("{} stamps, {ended} ends of what samples showed, {passed} of what none did", seen.len());
    assert!(ended > 10 && passed > 10, "{ended} ends, {passed} passed");
}

#[test]
fn sockets_of_what_is_left_out_are_left_out() {
    let view = HostView::live().unwrap();
    let Some(mut events) = open(&view) else { return };
    view.exclude_self();
    let mut samplers = Registry::samplers_only(&view).into_samplers();
    let own = UdpSocket::bind("127.0.0.1:0").unwrap();
    let address = own.local_addr().unwrap();
    let mut readings = 0;
    for sampler in &mut samplers {
        if matches!(sampler.source(), Source::Process | Source::Endpoint) {
            sampler.sample(&mut Default::default()).unwrap();
            readings += 1;
        }
    }
    assert_eq!(readings, 2);
    drop(own);
    let marker = UdpSocket::bind("127.0.0.1:0").unwrap();
    let after = marker.local_addr().unwrap();
    drop(marker);
    let is = |address: SocketAddr| {
        move |notice: &Notice| closed(notice).is_some_and(|(e, _)| e.key.local == address)
    };
    let told = drain(&mut events, |told| told.iter().any(is(after)));
    assert!(!told.iter().any(is(address)), "{told:?}");
}

#[test]
fn a_full_queue_is_counted_and_the_rest_goes_on() {
    if !alone("a_full_queue_is_counted_and_the_rest_goes_on") {
        return;
    }
    let view = HostView::live().unwrap();
    let Some(mut events) = open(&view) else { return };
    // The smallest queue that there is: some messages fit, thousands do not.
    rustix::net::sockopt::set_socket_recv_buffer_size(events.descriptor().as_fd(), 1).unwrap();
    let mut addresses = Vec::new();
    for _ in 0..2_000 {
        addresses.push(UdpSocket::bind("127.0.0.1:0").unwrap().local_addr().unwrap());
    }
    std::thread::sleep(Duration::from_millis(300));
    let mut told = Vec::new();
    events.drain(&mut told).unwrap();
    let lost: Vec<_> = told
        .iter()
        .filter_map(|notice| match notice {
            Notice::Lost(gap) => Some(gap),
            _ => None,
        })
        .collect();
    let [gap] = lost[..] else { panic!("{} gaps", lost.len()) };
    let heard =
        told.iter().filter_map(closed).filter(|(e, _)| addresses.contains(&e.key.local)).count() as u64;
    let lost = gap.lost.expect("the kernel counts");
    assert!(heard < 2_000 && heard + lost >= 2_000, "{heard} heard, {lost} lost");
    assert!(gap.source == Some(Source::Endpoint) && gap.from < gap.to.unwrap(), "{gap:?}");
    // What comes after is heard again.
    let marker = UdpSocket::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    drain(&mut events, |told| told.iter().filter_map(closed).any(|(e, _)| e.key.local == marker));
}

#[test]
fn a_source_that_the_kernel_refuses_is_named_in_every_bundle() {
    let view = HostView::live().unwrap();
    let cause = std::io::Error::from_raw_os_error(1);
    let error = CollectError::Unavailable { what: "sock_diag destroy groups: cannot join".to_owned(), cause };
    let host = HostSampler::new(&Context::new(view.clone()));
    let registry = Registry::empty().sampler(host).offer("socket-events", Err(error));
    let (memory, _) = stream::record(view, registry, settings(20_000, 200_000), 500);
    let bundles = memory.bundles();
    assert!(bundles.len() >= 2);
    for bundle in bundles {
        let named = |gap: &pofr_core::gap::Gap| {
            gap.reason.contains("socket-events") && gap.reason.contains("cannot join")
        };
        assert!(gaps(&bundle.records).iter().any(named));
        assert!(!play(&bundle.records).is_empty(), "the samples go on");
    }
}
