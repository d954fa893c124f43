//! The listening thread: hears what the kernel says, looks at newborn processes while they are there, and hands both on.
//!
//! It runs with real-time priority where that is permitted, since a process of 1 ms does not wait to be looked at, and does nothing
//! else. It never waits for the recorder: what that does not take in time is dropped and counted.
//!
//! It keeps to a share of a core of its own ([`Effort`]): the less is left of that the longer it rests between two looks into the
//! kernel's queue, which keeps what comes meanwhile, and the fewer processes are looked at, those of busy users first
//! ([`Users`]).

use super::{
    connector::Connector,
    ear::{Ear, Hearing, Shared},
    endings::Endings,
    exits::Exits,
    glances::Glances,
    heard::{Event, Glance, Heard, Lost},
    message::{self, Message, Task, What},
    moment::{Moment, Stamps},
    names::Names,
    sequence::{Loss, Sequence},
    users::{Closeness, Users, Verdict},
};
use crate::{HostView, allowance::Allowance, effort::Effort, limits, sys};
use crossbeam::channel::{Sender, TrySendError, bounded};
use hashbrown::{HashMap, HashSet};
use pofr_core::collector::CollectError;
use rustix::{
    event::{EventfdFlags, PollFd, PollFlags, Timespec, eventfd, poll},
    io::Errno,
    time::{ClockId, clock_gettime},
};
use std::{os::fd::OwnedFd, sync::Arc};

/// How much may wait for the recorder; beyond that it is dropped.
const HANDED: usize = 1 << 14;
/// How much may wait before the recorder is woken: it takes what there is at each tick in any case.
const ENOUGH: usize = HANDED / 4;
/// How long something may wait before the recorder is woken, µs.
const LONG: i64 = 200_000;
/// How many messages are taken before anybody is looked at.
const BATCH: usize = 256;
/// How many batches are taken before a rest, where much more was used than may be.
const BATCHES: u32 = 8;
/// The longest rest, µs.
const REST: i64 = 250_000;
/// Others do not work longer than this for one look, µs.
const LIKELY: u64 = 500;
/// A look that takes longer than this waits for something: it counts as so long, µs.
const LONG_LOOK: i64 = 20_000;
/// After how long a loss that the kernel announced and no missing number shows is told uncounted, µs.
const UNCOUNTED: i64 = 2_000_000;
/// In a process's exit the last that it used is told some time before its end: who was in between when we began, µs.
const EARLY: i64 = 200_000;

/// Begins to listen.
pub(super) fn listen(view: &HostView, queue_bytes: usize) -> Result<Hearing, CollectError> {
    let unavailable =
        |what: &str, cause: std::io::Error| CollectError::Unavailable { what: what.to_owned(), cause };
    let event = || {
        eventfd(0, EventfdFlags::NONBLOCK | EventfdFlags::CLOEXEC)
            .map(Arc::new)
            .map_err(|error| unavailable("eventfd", error.into()))
    };
    let shared = Arc::new(Shared::default());
    // First, so that no exit is heard of which nothing is told.
    let exits = Exits::open(&view.sys_root, queue_bytes);
    if let Err(error) = &exits {
        shared.note(format!("what exited processes used stays unknown: {error}"));
    }
    let exits = exits.ok();
    let connector = Connector::open(queue_bytes)?;
    let (ready, end) = (event()?, event()?);
    let (hand, hearing) = bounded(HANDED);
    let glances = Glances::new(view)
        .map_err(|error| unavailable(&format!("cannot open {}", view.proc_root.display()), error.into()))?;
    let users = Users::new(view)
        .map_err(|error| unavailable(&format!("cannot open {}", view.proc_root.display()), error.into()))?;
    let began = Stamps::now();
    let mut listener = Listener {
        view: view.clone(),
        users,
        share: Share::new(view.effort.clone(), began),
        endings: Endings::new(exits.is_some()),
        connector,
        exits,
        sequence: Sequence::default(),
        names: Names::default(),
        stamps: Stamps::new(&view.proc_root),
        began,
        glances,
        hand,
        waiting: None,
        dropped: None,
        uncounted: None,
        overflowed: false,
        last: began,
        ready: ready.clone(),
        end: end.clone(),
        shared: shared.clone(),
    };
    let (started, is_started) = bounded(1);
    let thread =
        std::thread::Builder::new().name(sys::LISTENER.to_string_lossy().into_owned()).spawn(move || {
            // Before the thread's priority is made one that no child has.
            listener.glances.begin();
            if let Err(error) = sys::run_at_once() {
                listener
                    .shared
                    .note(format!("new processes are looked at without real-time priority: {error}"));
            }
            if let Err(error) = sys::keep_reading_only() {
                listener.shared.note(format!("the listening thread keeps its capabilities: {error}"));
            }
            // From here on no number of any CPU can go missing unnoticed.
            sys::speak_on_each_cpu();
            // Whoever waits for that goes on only now, when all is said that may give up privileges.
            let _ = started.send(());
            if let Err(error) = listener.run() {
                listener.shared.fail(error.to_string());
            }
            let _ = rustix::io::write(&listener.ready, &1_u64.to_ne_bytes());
        });
    let thread = thread.map_err(|cause| unavailable("make a thread", cause))?;
    let _ = is_started.recv();
    Ok(Hearing { ear: Ear { ready, end, shared, thread: Some(thread) }, hearing })
}

/// The listening thread.
struct Listener {
    view: HostView,
    connector: Connector,
    exits: Option<Exits>,
    endings: Endings,
    sequence: Sequence,
    names: Names,
    stamps: Stamps,
    began: Moment,
    glances: Glances,
    users: Users,
    share: Share,
    hand: Sender<Heard>,
    /// Since when something waits that the recorder has not been woken for.
    waiting: Option<Moment>,
    /// What could not be handed on.
    dropped: Option<Loss>,
    /// A loss that the kernel announced, and that no missing number has shown yet.
    uncounted: Option<Loss>,
    overflowed: bool,
    /// The last message's moment.
    last: Moment,
    ready: Arc<OwnedFd>,
    end: Arc<OwnedFd>,
    shared: Arc<Shared>,
}

impl Listener {
    /// Listens until it is told to end.
    fn run(&mut self) -> Result<(), Errno> {
        self.share.begin();
        loop {
            self.shared.rest(true);
            if !self.wait()? {
                return Ok(());
            }
            self.shared.rest(false);
            if let Some(rest) = self.share.rest(Stamps::now())
                && !self.rest(rest)?
            {
                return Ok(());
            }
            self.stamps.wake();
            self.hear_out()?;
            if std::mem::take(&mut self.overflowed) {
                // The holes show as soon as every CPU has said something more.
                sys::speak_on_each_cpu();
                self.hear_out()?;
            }
            let now = Stamps::now();
            if self.names.due().is_some_and(|due| due <= now) {
                self.hear_names_again(now)?;
            }
            self.look_again(now);
            self.own_up(now);
            self.wake_recorder(now);
            self.share.worked(Stamps::now());
        }
    }

    /// Hears of names again after they were dropped.
    fn hear_names_again(&mut self, now: Moment) -> Result<(), Errno> {
        self.connector.hear_names(true)?;
        self.names.hear_from(now);
        // From here on a number that is missing means something again.
        sys::speak_on_each_cpu();
        self.hear_out()
    }

    /// Rests; false if this is to end.
    fn rest(&self, micros: i64) -> Result<bool, Errno> {
        let rest = Timespec { tv_sec: micros / 1_000_000, tv_nsec: micros % 1_000_000 * 1_000 };
        match poll(&mut [PollFd::new(&self.end, PollFlags::IN)], Some(&rest)) {
            Ok(ended) => Ok(ended == 0),
            Err(Errno::INTR) => Ok(true),
            Err(error) => Err(error),
        }
    }

    /// Hears out what there is, or as much of it as may be.
    fn hear_out(&mut self) -> Result<(), Errno> {
        let mut batches = 0;
        while self.hear()? {
            batches += 1;
            if batches >= BATCHES && self.share.is_overdrawn(Stamps::now()) {
                break;
            }
        }
        Ok(())
    }

    /// Takes the next look that is due: one at a time, since whoever is new comes first.
    fn look_again(&mut self, now: Moment) {
        let (users, spare) = (&mut self.users, self.share.spare(now));
        let may = |pid| users.closeness(pid, spare, now) == Closeness::Repeatedly;
        let cpu = thread_micros();
        if let Some((pid, mut glance)) = self.glances.next(now, may) {
            let took = (Stamps::now().0 - glance.at.0).min(LONG_LOOK);
            self.share.elsewhere(took, cpu, now);
            self.users.looked(pid, took, Some(&mut glance.sight), now);
            self.hand_on(Heard::Look { pid, glance });
        }
    }

    /// Waits for something to do; false if that is to end.
    fn wait(&self) -> Result<bool, Errno> {
        let now = Stamps::now();
        let due = [
            self.glances.due(),
            self.waiting.map(|since| since.plus(LONG)),
            self.uncounted.map(|loss| loss.to.plus(UNCOUNTED)),
            self.dropped.map(|_| now.plus(LONG)),
            self.users.due(),
            self.names.due(),
        ];
        let timeout = due.into_iter().flatten().min().map(|due| {
            let micros = (due.0 - now.0).max(0);
            Timespec { tv_sec: micros / 1_000_000, tv_nsec: micros % 1_000_000 * 1_000 }
        });
        let mut fds = [PollFd::new(&self.connector, PollFlags::IN), PollFd::new(&self.end, PollFlags::IN)];
        match poll(&mut fds, timeout.as_ref()) {
            Ok(_) | Err(Errno::INTR) => Ok(fds[1].revents().is_empty()),
            Err(error) => Err(error),
        }
    }

    /// Hears out a batch of messages; false where there is none.
    fn hear(&mut self) -> Result<bool, Errno> {
        let mut batch = Vec::new();
        let before = Stamps::now();
        let mut is_all = false;
        while batch.len() < BATCH {
            match self.connector.take() {
                Ok(Some(message)) => batch.push(message),
                Ok(None) => {
                    is_all = true;
                    break;
                }
                Err(Errno::NOBUFS) => {
                    let loss = Loss { from: self.last, to: Stamps::now(), events: None };
                    self.uncounted = Some(self.uncounted.map_or(loss, |before| before.with(loss)));
                    self.overflowed = true;
                }
                Err(error) => return Err(error),
            }
        }
        if batch.iter().any(|message| matches!(message.what, What::Exit { .. }))
            && let Some(exits) = &mut self.exits
        {
            let endings = &mut self.endings;
            exits.take(|end| endings.hear(end))?;
        }
        let now = Stamps::now();
        let names = batch.iter().filter(|message| matches!(message.what, What::Name { .. } | What::Other));
        if self.names.hear(names.count(), now) && self.connector.hear_names(false).is_ok() {
            let (span, user) = (self.names.drop_from(now), self.users.most_named(&batch, now));
            self.hand_on(Heard::Unheard { span, user });
        }
        let verdicts: Vec<_> = batch.iter().map(|message| self.users.judge(message, now)).collect();
        let mut glances = self.look(&batch, &verdicts);
        for (index, (message, verdict)) in batch.iter().zip(verdicts).enumerate() {
            self.take(message, verdict, glances.remove(&index));
        }
        let until = if is_all { before } else { self.last };
        self.shared.heard_until(until);
        Ok(!is_all)
    }

    /// Looks at who ran a program in a batch and has not exited in it, the newest first: that one lives most likely.
    fn look(&mut self, batch: &[Message], verdicts: &[Verdict]) -> HashMap<usize, Glance> {
        let mut done = HashSet::new();
        let mut glances = HashMap::new();
        let is_calm = batch.len() <= 2;
        for (index, (message, verdict)) in batch.iter().zip(verdicts).enumerate().rev() {
            let at = self.stamps.moment(message.at_nanos);
            match message.what {
                What::Exit { of, .. } if of.leads() => {
                    done.insert(of.process);
                }
                What::Exec(of) if done.insert(of.process) && *verdict == Verdict::Tell => {
                    let glance = self.look_at(of.process, at, is_calm);
                    glances.extend(glance.map(|glance| (index, glance)));
                }
                What::Fork { child, .. }
                    if child.leads() && done.insert(child.process) && *verdict == Verdict::Tell =>
                {
                    let now = Stamps::now();
                    let spare = self.share.spare(now);
                    if self.users.closeness(child.process, spare, now) == Closeness::Repeatedly {
                        self.glances.expect(child.process, at);
                    }
                }
                _ => {}
            }
        }
        glances
    }

    /// Looks at a process that ran a program, as closely as its user has left.
    fn look_at(&mut self, pid: u32, since: Moment, is_calm: bool) -> Option<Glance> {
        let now = Stamps::now();
        let closeness = self.users.closeness(pid, self.share.spare(now), now);
        if closeness == Closeness::Not {
            self.users.unlooked(pid, now);
            return None;
        }
        let cpu = thread_micros();
        let mut glance = self.glances.executed(pid, since, is_calm && closeness >= Closeness::Once);
        let took = (Stamps::now().0 - now.0).min(LONG_LOOK);
        self.share.elsewhere(took, cpu, now);
        self.users.looked(pid, took, glance.as_mut().map(|glance| &mut glance.sight), now);
        glance
    }

    /// Makes of a message what is handed on of it.
    fn take(&mut self, message: &Message, verdict: Verdict, glance: Option<Glance>) {
        let at = self.stamps.moment(message.at_nanos);
        self.last = at;
        if let Some(loss) = self.sequence.hear(message.cpu, message.sequence, at)
            && !self.names.explain(loss)
        {
            self.uncounted = None;
            self.hand_on(Heard::Lost { loss, what: Lost::Events });
        }
        let (of, event) = match message.what {
            What::Fork { parent, child } => {
                if child.leads() {
                    self.endings.forked(child.process);
                }
                (child, Event::Forked { parent: parent.process })
            }
            What::Exec(of) => {
                self.endings.executed(of.process);
                (of, Event::Executed)
            }
            What::Users { of, real, effective } => (of, Event::Users(real, effective)),
            What::Groups { of, real, effective } => (of, Event::Groups(real, effective)),
            What::Session(of) => (of, Event::Session),
            What::Name { of, name } => (of, Event::Named(message::text(&name).into())),
            What::Exit { of, code } => {
                let glances = &self.glances;
                let Some(ending) = self.endings.exited(of, code, || glances.has_threads(of.process)) else {
                    return;
                };
                let start = self.glances.ended(of.process);
                self.users.ended(of.process);
                match verdict {
                    Verdict::EndIfShown => {
                        let ended = Event::Ended(Box::new(ending), start);
                        return self.hand_on(Heard::EndIfShown { at, pid: of.process, event: ended });
                    }
                    Verdict::EndNamed(name) => {
                        let event = Event::Named(message::text(&name).into());
                        self.hand_on(Heard::Event { at, pid: of.process, event, glance: None });
                    }
                    _ => {}
                }
                // Whichever thread was the last, it is the process that ends.
                let process = Task { thread: of.process, process: of.process };
                (process, Event::Ended(Box::new(ending), start))
            }
            What::Answer(_) | What::Other => return,
        };
        // What other threads call themselves, and whose rights they take, is not told of the process; whoever takes others than it
        // has, the next sample looks at.
        if !of.leads() && matches!(event, Event::Users(..) | Event::Groups(..)) {
            self.view.suspect(of.process, of.thread);
        }
        if of.leads() && verdict != Verdict::Count {
            self.hand_on(Heard::Event { at, pid: of.process, event, glance });
        }
    }

    /// Says what of all this is known to be missing.
    fn own_up(&mut self, now: Moment) {
        let missed = self.endings.take_missed();
        if missed > 0 && now > self.began.plus(EARLY) {
            let loss = Loss { from: self.last.plus(-1), to: now, events: Some(missed) };
            self.hand_on(Heard::Lost { loss, what: Lost::Totals });
        }
        if let Some(loss) = self.uncounted.take_if(|loss| loss.to.plus(UNCOUNTED) < now) {
            self.hand_on(Heard::Lost { loss, what: Lost::Events });
        }
        for flood in self.users.take_floods(now) {
            self.hand_on(Heard::Flood(flood));
        }
        if let Some(loss) = self.dropped.take() {
            let heard = Heard::Lost { loss, what: Lost::Handed };
            let weight = heard.weight();
            self.shared.put(weight);
            if self.hand.try_send(heard).is_err() {
                self.shared.taken(weight);
                self.dropped = Some(loss);
            }
        }
    }

    /// Hands something on, or counts that it could not be: what a look showed goes first where there is no room for its bytes.
    fn hand_on(&mut self, mut heard: Heard) {
        if !self.shared.has_room(heard.weight()) {
            match heard {
                Heard::Look { .. } => return,
                Heard::Event { pid, glance: ref mut glance @ Some(_), .. } => {
                    *glance = None;
                    self.users.unlooked(pid, Stamps::now());
                }
                _ => {}
            }
        }
        let events = match &heard {
            Heard::Event { .. } | Heard::EndIfShown { .. } | Heard::Unheard { .. } => Some(1),
            // Of what was dropped that is said by itself.
            Heard::Look { .. } => Some(0),
            Heard::Lost { loss, .. } => loss.events,
            Heard::Flood(flood) => Some(flood.lost().max(1)),
        };
        let weight = heard.weight();
        self.shared.put(weight);
        let result = self.hand.try_send(heard);
        if result.is_err() {
            self.shared.taken(weight);
        }
        match result {
            Ok(()) => self.waiting = self.waiting.or_else(|| Some(Stamps::now())),
            Err(TrySendError::Full(_)) if events == Some(0) => {}
            Err(TrySendError::Full(_) | TrySendError::Disconnected(_)) => {
                let loss = Loss { from: self.last, to: Stamps::now(), events };
                self.dropped = Some(self.dropped.map_or(loss, |dropped| dropped.with(loss)));
            }
        }
    }

    /// Wakes the recorder if much is waiting for it, or something for long.
    fn wake_recorder(&mut self, now: Moment) {
        let is_long = self.waiting.is_some_and(|since| since.plus(LONG) <= now);
        if self.hand.is_empty() {
            self.waiting = None;
        } else if is_long || self.hand.len() >= ENOUGH {
            let _ = rustix::io::write(&self.ready, &1_u64.to_ne_bytes());
            self.waiting = None;
        }
    }
}

/// The listening thread's share of a core.
#[derive(Debug)]
struct Share {
    effort: Effort,
    /// What was reckoned with last, µs a second.
    rate: u64,
    left: Allowance,
    /// The thread's CPU time when that was last looked at, and how much the last turn took, µs.
    cpu: u64,
    turn: u64,
}

impl Share {
    fn new(effort: Effort, now: Moment) -> Self {
        let rate = effort.listener();
        Self { left: Allowance::new(rate, limits::WINDOW_SECONDS, now.0), effort, rate, cpu: 0, turn: 0 }
    }

    /// Begins in the thread whose time is counted.
    fn begin(&mut self) {
        self.cpu = thread_micros();
    }

    /// Takes note of a look that took so long, µs, and began when the thread's CPU time was `cpu`: what it waited others worked for it,
    /// as far as that is likely.
    fn elsewhere(&mut self, took: i64, cpu: u64, now: Moment) {
        let own = thread_micros().saturating_sub(cpu);
        let others = took.max(0).unsigned_abs().saturating_sub(own).min(LIKELY);
        self.left.spend(others, now.0);
    }

    /// Takes note of what was done since the last time.
    fn worked(&mut self, now: Moment) {
        let cpu = thread_micros();
        self.turn = cpu.saturating_sub(self.cpu);
        self.cpu = cpu;
        let rate = self.effort.listener();
        if rate != self.rate {
            (self.rate, self.left) = (rate, Allowance::new(rate, limits::WINDOW_SECONDS, now.0));
        }
        self.left.spend(self.turn, now.0);
    }

    /// Returns what is left, in percent.
    fn spare(&mut self, now: Moment) -> i64 {
        self.left.percent(now.0)
    }

    /// Tells whether much more was used than may be.
    fn is_overdrawn(&mut self, now: Moment) -> bool {
        self.spare(now) < -50
    }

    /// Returns how long to rest before the next turn, µs, so that one turn takes more messages at once, and at last only as many as
    /// the share allows.
    fn rest(&mut self, now: Moment) -> Option<i64> {
        match self.spare(now) {
            50.. => None,
            25..50 => Some(2_000),
            0..25 => Some(5_000),
            -50..0 => Some(20_000),
            _ => {
                let fits = self.turn.saturating_mul(1_000_000) / self.rate.max(1);
                Some(i64::try_from(fits).unwrap_or(REST).clamp(20_000, REST))
            }
        }
    }
}

/// Returns the CPU time of this thread, µs.
fn thread_micros() -> u64 {
    let time = clock_gettime(ClockId::ThreadCPUTime);
    time.tv_sec.unsigned_abs() * 1_000_000 + time.tv_nsec.unsigned_abs() / 1_000
}
