//! The network namespaces that are not ours: found, visited by turns, read, and what has to be said of those that are not.

use super::{
    Context, FAMILIES, Socket, Tick,
    namespace::Namespace,
    pieces::Pieces,
    places::Places,
    strangers::Strangers,
    table,
    turns::Turns,
    visit::{VisitError, Visitor, Wanted, Way},
};
use crate::{HostView, clock};
use pofr_core::time::WallMicros;
use std::collections::{BTreeMap, BTreeSet};

/// How long a namespace may go unread while none of its processes runs, µs; and after how long it has to be said that one was not.
const UNREAD: i64 = 1_000_000;
/// How often it is said what is so for long, µs.
const SAID_EVERY: i64 = 10_000_000;

/// So many ways to a namespace are tried.
const MOST_WAYS: usize = 16;

/// All of them.
#[derive(Debug)]
pub(super) struct Others {
    view: HostView,
    places: Places,
    strangers: Strangers,
    visitor: Visitor,
    turns: Turns,
    all: BTreeMap<u32, Other>,
    /// The stamp of the first tick.
    first: Option<WallMicros>,
    /// The stamp of the tick before.
    before: Option<WallMicros>,
    /// Those that came since that was last said, and since when of each.
    fresh: BTreeMap<u32, WallMicros>,
    came: Pieces,
    late: Pieces,
    unreadable: Pieces,
    unheard: Pieces,
    lost: Pieces,
}

/// One.
#[derive(Debug, Default)]
struct Other {
    told: Namespace,
    /// Whether its owner and its number are known.
    visited: bool,
    owner: Option<u32>,
    /// When it was found: `CLOCK_BOOTTIME`, µs, and the stamp from which on it may have been there.
    found: (i64, WallMicros),
    /// Whether it may have been there long before.
    found_late: bool,
    /// Why it could not be read when it was tried last.
    refused: Option<Refusal>,
}

/// That a namespace could not be read.
#[derive(Debug)]
struct Refusal {
    /// When it was tried last, on `CLOCK_BOOTTIME`, µs.
    at: i64,
    why: String,
    /// How often in a row.
    times: u32,
    /// The last stamp at which it was read, or that at which it was found.
    since: WallMicros,
}

impl Others {
    pub(super) fn new(context: &Context) -> Self {
        Self {
            view: context.view.clone(),
            places: Places::default(),
            strangers: Strangers::default(),
            visitor: Visitor::default(),
            turns: Turns::default(),
            all: BTreeMap::new(),
            first: None,
            before: None,
            fresh: BTreeMap::new(),
            came: Pieces::new(UNREAD),
            late: Pieces::new(UNREAD),
            unreadable: Pieces::new(SAID_EVERY),
            unheard: Pieces::new(SAID_EVERY),
            lost: Pieces::new(SAID_EVERY),
        }
    }

    /// Forgets what was told.
    pub(super) fn restart(&mut self) {
        self.all.clear();
        (self.first, self.before) = (None, None);
        for pieces in
            [&mut self.came, &mut self.late, &mut self.unreadable, &mut self.unheard, &mut self.lost]
        {
            pieces.clear();
        }
    }

    /// Reads those that are due, as far as there is time; `own` is our own and what it has. `last` is when the last tick was.
    pub(super) fn tick(&mut self, own: u32, ours: &Namespace, last: Option<i64>, tick: &mut Tick<'_>) {
        self.first.get_or_insert(tick.stamp);
        self.find(own, ours, tick);
        self.turns.begin(tick.now);
        let mut waiting = Vec::new();
        for (inode, other) in &mut self.all {
            if other.is_due(*inode, tick, last) {
                waiting.push((other.owner, other.tried().unwrap_or(-1), *inode));
            } else {
                other.told.tell_holders(Some(*inode), tick);
            }
        }
        let mut found_late = None;
        while let Some(inode) = self.turns.next(&waiting) {
            let since = self.read(inode, last, tick);
            found_late = found_late.into_iter().chain(since).min();
            waiting.retain(|(.., waits)| *waits != inode);
        }
        if let Some(from) = found_late {
            tick.thin("network namespaces were not read in every tick", from);
        }
        for (.., inode) in &waiting {
            if let Some(other) = self.all.get_mut(inode) {
                other.told.tell_holders(Some(*inode), tick);
            }
        }
        let late =
            waiting.iter().filter_map(|(.., inode)| Some((*inode, self.all.get(inode)?.late(tick.now)?)));
        let late = late.collect();
        self.say(&late, tick);
        self.before = Some(tick.stamp);
    }

    /// Looks for namespaces, and forgets those that are gone.
    fn find(&mut self, own: u32, ours: &Namespace, tick: &mut Tick<'_>) {
        let Self { view, places, strangers, all, .. } = self;
        places.look(view, tick.holders, tick.now);
        if view.live {
            strangers.look(&view.proc_root, tick.holders, &tick.changed, tick.now, || {
                let read = all.values().map(|other| &other.told).chain([ours]);
                read.flat_map(Namespace::inodes).collect()
            });
        }
        let lived_in = tick.holders.namespaces().keys().map(|inode| (*inode, true));
        let by_sockets = strangers.namespaces().map(|inode| (inode, false));
        let there: BTreeMap<u32, bool> = by_sockets.chain(places.namespaces()).chain(lived_in).collect();
        for (inode, at_once) in &there {
            if *inode != own && *inode != 0 {
                all.entry(*inode).or_insert_with(|| {
                    let found_late = !at_once && self.first != Some(tick.stamp);
                    let since = self.first.filter(|_| found_late).unwrap_or(tick.stamp);
                    Other { found: (tick.now, since), found_late, ..Other::default() }
                });
            }
        }
        let gone: Vec<u32> = all.keys().filter(|inode| !there.contains_key(inode)).copied().collect();
        for inode in gone {
            if let Some(mut other) = all.remove(&inode) {
                other.told.tell(Some(inode), &mut Vec::new(), None, tick);
            }
            view.peers.leave(inode);
        }
    }

    /// Reads one; returns since when what is new in it may have been so, where that is not the tick before.
    fn read(&mut self, inode: u32, last: Option<i64>, tick: &mut Tick<'_>) -> Option<WallMicros> {
        let begun = clock::thread_micros();
        let ways = self.ways(inode, tick);
        let mut elsewhere = 0;
        let sockets = self.sockets(inode, &ways, &mut elsewhere);
        let other = self.all.get_mut(&inode)?;
        let mut since = None;
        match sockets {
            Ok(mut sockets) => {
                other.refused = None;
                // A namespace that was read in the tick before has nothing in it that could have been there for longer.
                since = match other.told.read() {
                    Some((boot, stamp)) => last.is_some_and(|last| boot < last).then_some(stamp),
                    None => other.found_late.then_some(other.found.1),
                };
                let before = tick.read.len();
                other.told.tell(Some(inode), &mut sockets, since, tick);
                since = since.filter(|_| tick.read.len() > before);
            }
            Err(error) => {
                let before = other.refused.take();
                let since =
                    before.as_ref().map_or(other.told.read().unwrap_or(other.found).1, |before| before.since);
                let times = before.map_or(1, |before| before.times + 1);
                // Whoever lived there may have gone in this moment: what is so at the next try will be told.
                if times == 2 {
                    other.told.tell(Some(inode), &mut Vec::new(), None, tick);
                }
                other.refused = Some(Refusal { at: tick.now, why: error.to_string(), times, since });
            }
        }
        let owner = other.owner;
        self.turns.charge(owner, clock::thread_micros() - begun + elsewhere);
        since
    }

    /// Returns the ways to a namespace, the best first.
    fn ways(&self, inode: u32, tick: &Tick<'_>) -> Vec<Way> {
        let lives = tick.holders.namespaces().get(&inode).into_iter().flatten().map(|task| Way::Task(*task));
        let names = self.places.names(inode).map(|path| Way::Name(path.to_owned()));
        let socket = self.strangers.way(inode).map(|(pid, fd)| Way::Socket(pid, fd));
        lives.chain(names).chain(socket).take(MOST_WAYS).collect()
    }

    /// Lists the sockets of a namespace, by the first way that leads there.
    fn sockets(&mut self, inode: u32, ways: &[Way], micros: &mut i64) -> Result<Vec<Socket>, VisitError> {
        let mut failure = VisitError::Empty;
        let may_enter = self.view.live && self.visitor.may_enter();
        let is_visited = self.all.get(&inode).is_none_or(|other| other.visited);
        if self.view.live && (may_enter || !is_visited) {
            let number = !is_visited && self.view.peers.why_not().is_none();
            for way in ways {
                let wanted = Wanted { number, sockets: may_enter };
                let visit = match self.visitor.visit(&self.view.proc_root, way, inode, wanted) {
                    Ok(visit) => visit,
                    Err(error) => {
                        failure = error;
                        continue;
                    }
                };
                *micros += visit.micros;
                self.meet(inode, &visit);
                match visit.sockets {
                    Some(Ok(sockets)) => return Ok(sockets),
                    Some(Err(error)) => failure = error,
                    None => {}
                }
                break;
            }
            // Who could enter does not go by the tables for once: they know other names of the sockets.
            if may_enter && !matches!(failure, VisitError::Enter(_) | VisitError::Refused(_)) {
                return Err(failure);
            }
        }
        for way in ways {
            let Way::Task(task) = way else { continue };
            let net = self.view.proc_root.join(task.to_string()).join("net");
            let mut sockets = Vec::new();
            let read = FAMILIES
                .iter()
                .try_for_each(|family| table::read(&net.join(family.table), *family, &mut sockets));
            match read {
                Ok(()) => return Ok(sockets),
                Err(error) => failure = VisitError::Read(error),
            }
        }
        Err(failure)
    }

    /// Takes note of what a visit told of a namespace.
    fn meet(&mut self, inode: u32, visit: &super::visit::Visit) {
        let Some(other) = self.all.get_mut(&inode).filter(|other| !other.visited) else { return };
        other.visited = true;
        other.owner = visit.owner;
        match &visit.number {
            None => {}
            Some(Ok(number)) => self.view.peers.introduce(*number, inode),
            Some(Err(error)) => {
                tracing::warn!("ends of sockets in network namespace {inode} are not heard of: {error}");
            }
        }
    }

    /// Says of which namespaces nothing is known before this tick.
    fn say_who_came(&mut self, at: (i64, WallMicros), tick: &mut Tick<'_>) {
        let Some(before) = self.before else { return };
        let came = self.all.iter().filter(|(_, other)| other.found.0 == tick.now);
        self.fresh.extend(
            came.map(|(inode, other)| (*inode, if other.found_late { other.found.1 } else { before })),
        );
        if !self.came.is_due(tick.now) {
            return;
        }
        let reason =
            "network namespaces came, and what sockets there had ended by the first reading is not known: {}";
        let fresh = std::mem::take(&mut self.fresh);
        tick.out.gaps.extend(self.came.say(reason, &fresh, at, |inode| inode.to_string()));
        self.came.forget();
    }

    /// Says what is not known.
    fn say(&mut self, late: &BTreeMap<u32, WallMicros>, tick: &mut Tick<'_>) {
        let at = (tick.now, tick.stamp);
        self.say_who_came(at, tick);
        let Self { all, view, .. } = self;
        let of_whom = |inode: u32| {
            let owner = all.get(&inode).and_then(|other| other.owner);
            owner.map_or_else(|| inode.to_string(), |uid| format!("{inode} (of uid {uid})"))
        };
        let reason =
            "flood: more network namespaces than there is time for; endpoints of these were not read: {}";
        tick.out.gaps.extend(self.late.say(reason, late, at, of_whom));
        let of = |chosen: &dyn Fn(u32, &Other) -> bool| -> BTreeMap<u32, WallMicros> {
            let chosen = all.iter().filter(|(inode, other)| chosen(**inode, other));
            let since = |other: &Other| other.refused.as_ref().map_or(other.found.1, |refused| refused.since);
            chosen.map(|(inode, other)| (*inode, since(other))).collect()
        };
        let refused = of(&|_, other| other.is_refused());
        let why = |inode: u32| {
            let refused = all.get(&inode).and_then(|other| other.refused.as_ref());
            refused.map_or_else(|| inode.to_string(), |refused| format!("{inode} ({})", refused.why))
        };
        let reason = "unreadable: endpoints of network namespaces are unknown: {}";
        tick.out.gaps.extend(self.unreadable.say(reason, &refused, at, why));
        if view.live {
            let unheard =
                of(&|inode, other| (other.visited || other.is_refused()) && !view.peers.is_heard(inode));
            let why = view.peers.why_not().map_or_else(String::new, |why| format!(" ({why})"));
            let reason = format!(
                "ends of sockets in network namespaces are not announced to us{why}, and connections there that are shorter than the \
                 time between two readings are not seen: {{}}"
            );
            tick.out.gaps.extend(self.unheard.say(&reason, &unheard, at, |inode| inode.to_string()));
        }
        let lost: BTreeSet<u32> = self.strangers.lost().iter().map(|pid| pid.0).collect();
        let lost = lost.into_iter().map(|pid| (pid, tick.stamp)).collect();
        let reason = "unreadable: sockets of a network namespace that was not found, held by processes {}";
        tick.out.gaps.extend(self.lost.say(reason, &lost, at, |pid| pid.to_string()));
    }
}

impl Other {
    /// Returns when it was last read, or tried.
    fn tried(&self) -> Option<i64> {
        self.told.read().map(|(boot, _)| boot).max(self.refused.as_ref().map(|refused| refused.at))
    }

    /// Tells whether it cannot be read: one that was gone when its turn came is not there at the next.
    fn is_refused(&self) -> bool {
        self.refused.as_ref().is_some_and(|refused| refused.times > 1)
    }

    /// Tells whether it has to be read in this tick.
    fn is_due(&self, inode: u32, tick: &Tick<'_>, last: Option<i64>) -> bool {
        let next = tick.now + last.map_or(0, |last| tick.now - last);
        tick.stirred.contains(&inode) || self.tried().is_none_or(|tried| next > tried + UNREAD)
    }

    /// Returns since when it was not read, if that is too long.
    fn late(&self, now: i64) -> Option<WallMicros> {
        let (boot, stamp) = self.told.read().unwrap_or(self.found);
        (now - self.tried().unwrap_or(boot) > UNREAD).then_some(stamp)
    }
}
