//! The listening thread: hears what the kernel says, looks at newborn processes while they are there, and hands both on.
//!
//! It runs with real-time priority where that is permitted, since a process of 1 ms does not wait to be looked at, and does nothing
//! else. It never waits for the recorder: what that does not take in time is dropped and counted.

use super::{
    connector::Connector,
    ear::{Ear, Hearing, Shared},
    endings::Endings,
    exits::Exits,
    glances::Glances,
    heard::{Event, Glance, Heard, Lost},
    message::{self, Message, Task, What},
    moment::{Moment, Stamps},
    sequence::{Loss, Sequence},
};
use crate::{HostView, sys};
use crossbeam::channel::{Sender, TrySendError, bounded};
use hashbrown::{HashMap, HashSet};
use pofr_core::collector::CollectError;
use rustix::{
    event::{EventfdFlags, PollFd, PollFlags, Timespec, eventfd, poll},
    io::Errno,
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
    let mut listener = Listener {
        view: view.clone(),
        endings: Endings::new(exits.is_some()),
        connector,
        exits,
        sequence: Sequence::default(),
        stamps: Stamps::new(&view.proc_root),
        began: Stamps::now(),
        glances,
        hand,
        waiting: None,
        dropped: None,
        uncounted: None,
        overflowed: false,
        last: Stamps::now(),
        ready: ready.clone(),
        end: end.clone(),
        shared: shared.clone(),
    };
    let (started, is_started) = bounded(1);
    let thread =
        std::thread::Builder::new().name(sys::LISTENER.to_string_lossy().into_owned()).spawn(move || {
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
    stamps: Stamps,
    began: Moment,
    glances: Glances,
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
        loop {
            self.shared.rest(true);
            if !self.wait()? {
                return Ok(());
            }
            self.shared.rest(false);
            self.stamps.wake();
            while self.hear()? {}
            if std::mem::take(&mut self.overflowed) {
                // The holes show as soon as every CPU has said something more.
                sys::speak_on_each_cpu();
                while self.hear()? {}
            }
            // One at a time: whoever is new comes first.
            let now = Stamps::now();
            if let Some((pid, glance)) = self.glances.next(now) {
                self.hand_on(Heard::Look { pid, glance });
            }
            self.own_up(now);
            self.wake_recorder(now);
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
        let mut glances = self.look(&batch);
        for (index, message) in batch.iter().enumerate() {
            self.take(message, glances.remove(&index));
        }
        let until = if is_all { before } else { self.last };
        self.shared.heard_until(until);
        Ok(!is_all)
    }

    /// Looks at who ran a program in a batch and has not exited in it, the newest first: that one lives most likely.
    fn look(&mut self, batch: &[Message]) -> HashMap<usize, Glance> {
        let mut done = HashSet::new();
        let mut glances = HashMap::new();
        let is_calm = batch.len() <= 2;
        for (index, message) in batch.iter().enumerate().rev() {
            let at = self.stamps.moment(message.at_nanos);
            match message.what {
                What::Exit { of, .. } if of.leads() => {
                    done.insert(of.process);
                }
                What::Exec(of) if done.insert(of.process) => {
                    let glance = self.glances.executed(of.process, at, is_calm);
                    glances.extend(glance.map(|glance| (index, glance)));
                }
                What::Fork { child, .. } if child.leads() && done.insert(child.process) => {
                    self.glances.expect(child.process, at);
                }
                _ => {}
            }
        }
        glances
    }

    /// Makes of a message what is handed on of it.
    fn take(&mut self, message: &Message, glance: Option<Glance>) {
        let at = self.stamps.moment(message.at_nanos);
        self.last = at;
        if let Some(loss) = self.sequence.hear(message.cpu, message.sequence, at) {
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
        if of.leads() {
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
        if let Some(loss) = self.dropped.take() {
            let heard = Heard::Lost { loss, what: Lost::Handed };
            if self.hand.try_send(heard).is_err() {
                self.dropped = Some(loss);
            }
        }
    }

    /// Hands something on, or counts that it could not be.
    fn hand_on(&mut self, heard: Heard) {
        let events = match &heard {
            Heard::Event { .. } => Some(1),
            // Of what was dropped that is said by itself.
            Heard::Look { .. } => Some(0),
            Heard::Lost { loss, .. } => loss.events,
        };
        match self.hand.try_send(heard) {
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
