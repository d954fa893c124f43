//! A link that is cut thirty times wherever it hurts, while sshd, the shipper and the recorder are killed: every bundle arrives
//! once, in the chain.

use super::site::Site;
use pofr_tests::sshd::kill;
use std::{
    io::{Read, Write},
    net::{Shutdown, TcpListener, TcpStream},
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
};

/// How many links are cut.
const CUTS: usize = 30;

/// Between client and sshd: passes bytes on, and cuts the first links after some of them.
struct Wire {
    port: u16,
    links: Arc<AtomicUsize>,
}

impl Wire {
    fn to(server: u16) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        let links = Arc::new(AtomicUsize::new(0));
        let counted = links.clone();
        std::thread::spawn(move || {
            for client in listener.incoming() {
                let number = counted.fetch_add(1, Ordering::SeqCst);
                let client = client.unwrap();
                // sshd is down: so is the link.
                let Ok(server) = TcpStream::connect(("127.0.0.1", server)) else { continue };
                let most = if number < CUTS { budget(number) } else { usize::MAX };
                pass(client, server, most);
            }
        });
        Self { port, links }
    }

    fn links(&self) -> usize {
        self.links.load(Ordering::SeqCst)
    }
}

/// Says after how many bytes a link is cut: every third within the handshake, which has some 5,000, the others anywhere behind it.
fn budget(number: usize) -> usize {
    let mut chance = number as u64 + 1;
    for _ in 0..4 {
        chance = chance.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
    }
    let chance = usize::try_from(chance >> 33).unwrap();
    if number.is_multiple_of(3) { chance % 5_000 } else { 6_000 + chance % 150_000 }
}

/// Passes bytes on in both directions until `most` have passed in all.
fn pass(client: TcpStream, server: TcpStream, most: usize) {
    let left = Arc::new(AtomicUsize::new(most));
    for (mut from, mut to) in [(client.try_clone().unwrap(), server.try_clone().unwrap()), (server, client)] {
        let left = left.clone();
        std::thread::spawn(move || {
            let mut buffer = [0; 4_096];
            loop {
                let room = left.load(Ordering::SeqCst).min(buffer.len());
                let n = if room == 0 { 0 } else { from.read(&mut buffer[..room]).unwrap_or(0) };
                left.fetch_update(Ordering::SeqCst, Ordering::SeqCst, |l| Some(l.saturating_sub(n))).unwrap();
                if n == 0 || to.write_all(&buffer[..n]).is_err() {
                    let _ = (from.shutdown(Shutdown::Both), to.shutdown(Shutdown::Both));
                    return;
                }
            }
        });
    }
}

#[test]
fn a_link_cut_thirty_times_loses_and_doubles_nothing() {
    let mut wire = None;
    let mut site = Site::behind(|sshd| wire.insert(Wire::to(sshd.port())).port);
    let wire = wire.unwrap();
    site.start();
    for (links, what) in [(8, "sshd"), (16, "shipper"), (24, "recorder")] {
        site.until("links were cut", || wire.links() >= links);
        match what {
            "sshd" => {
                site.sshd.down();
                let waiting = site.waiting();
                site.until("more waits", || site.waiting() > waiting);
                site.sshd.up();
            }
            "shipper" => {
                kill(site.shipper());
                site.until("it is gone", || site.status()["shipping"]["pid"].is_null());
                site.start();
            }
            _ => {
                let pid = site.status()["pid"].as_u64().unwrap();
                kill(u32::try_from(pid).unwrap());
                site.until("it is gone", || site.status()["running"] == false);
                // As long as the kernel has not done away with it, it holds its lock, and is taken to run.
                site.until("another records", || {
                    site.start();
                    site.status()["running"] == true
                });
            }
        }
    }
    site.until("all links to be cut were", || wire.links() > CUTS);
    site.until("it is connected", || site.status()["shipping"]["report"]["connected"] == true);
    site.until("all that waited is sent", || site.waiting() <= 1);
    assert!(site.pofrc(&["stop"]).status.success());
    assert_eq!(site.waiting_unacknowledged(), 0);
    let received = site.received();
    site.check_chain();
    let incomplete = received.iter().filter(|bundle| !bundle.manifest.complete).count();
    assert!(incomplete <= 1, "the recorder was killed once: {incomplete}");
}
