//! Names: what the DNS says an address is called (PTR, RFC 1035 section 3.5), asked for once and remembered, that there is none
//! included.
//!
//! Whoever has an address decides what its name is: the name is the peer's word, no proof. And whoever serves the zone of an
//! address sees that its name is asked for.

use super::{plain, resolver};
use pofr_core::{identity::Cid, raw::RawText};
use std::{
    collections::{BTreeMap, BTreeSet, HashMap, VecDeque},
    io,
    net::{IpAddr, SocketAddr, UdpSocket},
    sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};

/// How to ask for names.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NamesSettings {
    /// The resolver that is asked; it must resolve for us (recursion).
    pub server: SocketAddr,
    /// How long an answer may take, the second try included.
    pub limit: Duration,
    /// How many addresses are remembered at least; twice as many at most.
    pub remembered: usize,
}

impl NamesSettings {
    /// Asks `server`: two seconds for an answer, 50,000 addresses remembered.
    #[must_use]
    pub const fn of(server: SocketAddr) -> Self {
        Self { server, limit: Duration::from_secs(2), remembered: 50_000 }
    }
}

/// How long an answer holds: a name, that there is none, and that none came.
const NAMED: Duration = Duration::from_secs(24 * 3600);
const NAMELESS: Duration = Duration::from_secs(3600);
const UNANSWERED: Duration = Duration::from_secs(600);

/// How many addresses may wait to be asked for; those beyond are asked for when they are seen again.
const MOST_WAITING: usize = 20_000;

/// How many late names are kept for a client that takes no turn.
const MOST_LATE: usize = 10_000;

/// What came of asking.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Found {
    /// A name, printable.
    Name(RawText),
    /// There is none.
    Nothing,
    /// No answer came, or none that helps.
    Unanswered,
}

/// Asks for names, and remembers them.
#[derive(Debug)]
pub struct Names(Arc<Shared>);

#[derive(Debug)]
pub(super) struct Shared {
    pub(super) settings: NamesSettings,
    state: Mutex<State>,
    wanted: Condvar,
}

#[derive(Debug, Default)]
struct State {
    /// What is known and until when. The older half goes when the newer is full.
    known: [HashMap<IpAddr, (Found, Instant)>; 2],
    /// What is to be asked for.
    queue: VecDeque<IpAddr>,
    /// Who wants to know what has not been answered yet.
    asking: HashMap<IpAddr, BTreeSet<Cid>>,
    /// What has come since, for whom.
    late: BTreeMap<Cid, Vec<(IpAddr, RawText)>>,
    stopped: bool,
}

/// Returns the first resolver of a resolv.conf(5): `nameserver 192.0.2.53`.
#[must_use]
pub fn nameserver(resolv_conf: &str) -> Option<SocketAddr> {
    let mut lines = resolv_conf.lines().map(str::split_whitespace);
    lines.find_map(|mut words| {
        let is_one = words.next() == Some("nameserver");
        let ip = words.next().filter(|_| is_one)?.split('%').next()?.parse().ok()?;
        Some(SocketAddr::new(ip, 53))
    })
}

impl Names {
    /// Begins to ask, in a thread of its own that ends when this goes.
    ///
    /// # Errors
    /// Where there is no socket, or no way to the resolver.
    pub fn begin(settings: NamesSettings) -> io::Result<Self> {
        let any: SocketAddr =
            if settings.server.is_ipv4() { ([0; 4], 0).into() } else { ([0_u16; 8], 0).into() };
        let socket = UdpSocket::bind(any)?;
        // Then what comes from elsewhere does not come in at all.
        socket.connect(settings.server)?;
        let shared = Arc::new(Shared { settings, state: Mutex::default(), wanted: Condvar::new() });
        let theirs = Arc::clone(&shared);
        let work = move || resolver::run(&theirs, &socket);
        std::thread::Builder::new().name("pofr-names".into()).spawn(work)?;
        Ok(Self(shared))
    }

    /// Returns an address's name where it is known; else has it asked for, for this client. Addresses that no DNS can know have
    /// none.
    #[must_use]
    pub fn find(&self, cid: &Cid, ip: IpAddr) -> Option<RawText> {
        let ip = plain(ip);
        if is_nobodys(ip) {
            return None;
        }
        let mut state = self.0.state();
        let now = Instant::now();
        if let Some((found, until)) = state.known(ip)
            && now < until
        {
            return match found {
                Found::Name(name) => Some(name),
                Found::Nothing | Found::Unanswered => None,
            };
        }
        let full = state.asking.len() >= MOST_WAITING;
        match state.asking.get_mut(&ip) {
            Some(clients) => {
                clients.insert(cid.clone());
            }
            None if full => {}
            None => {
                state.asking.insert(ip, BTreeSet::from([cid.clone()]));
                state.queue.push_back(ip);
                self.0.wanted.notify_one();
            }
        }
        None
    }

    /// Tells whether something that a client wants to know is still to come.
    pub(super) fn is_asking(&self, cid: &Cid) -> bool {
        self.0.state().asking.values().any(|clients| clients.contains(cid))
    }

    /// Takes what has come for a client since it asked.
    pub(super) fn take(&self, cid: &Cid) -> Vec<(IpAddr, RawText)> {
        self.0.state().late.remove(cid).unwrap_or_default()
    }
}

impl Drop for Names {
    fn drop(&mut self) {
        self.0.state().stopped = true;
        self.0.wanted.notify_all();
    }
}

impl Shared {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Returns up to `most` addresses to ask for; waits for one where the caller is `idle`. `None`: stop.
    pub(super) fn next(&self, most: usize, idle: bool) -> Option<Vec<IpAddr>> {
        let mut state = self.state();
        while idle && state.queue.is_empty() && !state.stopped {
            state = self.wanted.wait(state).unwrap_or_else(PoisonError::into_inner);
        }
        if state.stopped {
            return None;
        }
        let most = most.min(state.queue.len());
        Some(state.queue.drain(..most).collect())
    }

    /// Writes down what came of asking.
    pub(super) fn answer(&self, ip: IpAddr, found: Found) {
        let holds = match &found {
            Found::Name(_) => NAMED,
            Found::Nothing => NAMELESS,
            Found::Unanswered => UNANSWERED,
        };
        let mut state = self.state();
        let clients = state.asking.remove(&ip).unwrap_or_default();
        if let Found::Name(name) = &found {
            for cid in clients {
                let late = state.late.entry(cid).or_default();
                if late.len() < MOST_LATE {
                    late.push((ip, name.clone()));
                }
            }
        }
        state.remember(ip, (found, Instant::now() + holds), self.settings.remembered);
    }
}

impl State {
    fn known(&mut self, ip: IpAddr) -> Option<(Found, Instant)> {
        self.known[1].get(&ip).or_else(|| self.known[0].get(&ip)).cloned()
    }

    fn remember(&mut self, ip: IpAddr, known: (Found, Instant), remembered: usize) {
        if self.known[1].len() >= remembered.max(1) {
            self.known.swap(0, 1);
            self.known[1].clear();
        }
        self.known[0].remove(&ip);
        self.known[1].insert(ip, known);
    }
}

/// Tells whether an address stands for no machine that others know.
fn is_nobodys(ip: IpAddr) -> bool {
    let link_local = match ip {
        IpAddr::V4(ip) => ip.is_link_local() || ip.is_broadcast(),
        IpAddr::V6(ip) => ip.is_unicast_link_local(),
    };
    link_local || ip.is_unspecified() || ip.is_loopback() || ip.is_multicast()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_resolver_is_the_first_that_is_named() {
        let text =
            "# nameserver 192.0.2.1\nsearch example.com\nnameserver fe80::1%eth0\nnameserver 192.0.2.2\n";
        assert_eq!(nameserver(text), Some("[fe80::1]:53".parse().unwrap()));
        assert_eq!(
            nameserver("nameserver\nnameserver x\nnameserver\t192.0.2.2 \n"),
            "192.0.2.2:53".parse().ok()
        );
        assert_eq!(nameserver("options rotate"), None);
    }

    #[test]
    fn what_is_nobodys_is_not_asked_for() {
        for ip in ["0.0.0.0", "::", "127.0.0.1", "::1", "169.254.1.1", "fe80::1", "224.0.0.1", "ff02::1"] {
            assert!(is_nobodys(ip.parse().unwrap()), "{ip}");
        }
        for ip in ["10.0.0.1", "192.0.2.1", "2001:db8::1", "fd00::1"] {
            assert!(!is_nobodys(ip.parse().unwrap()), "{ip}");
        }
    }
}
