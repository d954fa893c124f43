//! Glances: when to look at which newborn process, and how closely.
//!
//! A process is looked at as soon as it runs a program, and again some ms later, when it has opened what it works with. One
//! that was just made is what its parent is, and is about to run a program as a rule: it is looked at some ms later only. Where
//! there are too many for whole looks, brief ones are taken, so that at least their arguments are known.

use super::{
    heard::Glance,
    moment::{Moment, Stamps},
};
use crate::{
    HostView,
    samplers::{Sight, Watcher},
};
use hashbrown::HashMap;
use pofr_core::identity::StartTicks;
use rustix::io::Errno;
use std::collections::VecDeque;

/// How long after a process was made, or ran a program, to look at it again, µs.
const AGAIN: [i64; 3] = [2_000, 10_000, 50_000];
/// A span in which whole looks may take up so much time, µs: more, and new processes come too fast for them.
const SPAN: i64 = 100_000;
const SHARE: i64 = 5_000;
/// If more processes than this run a program in a span, those after get a brief look first.
const FEW: u32 = 5;

/// Looks at processes.
#[derive(Debug)]
pub(super) struct Glances {
    watcher: Watcher,
    /// Newborn processes and when each was last new.
    young: HashMap<u32, Young>,
    /// Looks that are due, one queue for each time: what is put in last is due last.
    due: [VecDeque<(Moment, u32, Moment)>; AGAIN.len()],
    /// When the present span began, and how long whole looks took in it.
    span: Moment,
    spent: i64,
    /// How many processes ran a program in it.
    executed: u32,
}

#[derive(Clone, Copy, Debug)]
struct Young {
    since: Moment,
    /// Whether its start time has been read.
    started: bool,
}

impl Glances {
    pub(super) fn new(view: &HostView) -> Result<Self, Errno> {
        Ok(Self {
            watcher: Watcher::new(view)?,
            young: HashMap::new(),
            due: Default::default(),
            span: Moment::default(),
            spent: 0,
            executed: 0,
        })
    }

    /// Makes the child that reads what may wait for others, with the priority that the calling thread has.
    pub(super) fn begin(&mut self) {
        self.watcher.begin_child();
    }

    /// Looks at a process that ran a program at `since`; later looks follow.
    pub(super) fn executed(&mut self, pid: u32, since: Moment, closely: bool) -> Option<Glance> {
        self.expect(pid, since);
        self.executed += 1;
        let glance = self.look(pid, closely && self.executed <= FEW);
        if let (Some(_), Some(young)) = (&glance, self.young.get_mut(&pid)) {
            young.started = true;
        }
        glance
    }

    /// Has a process looked at later on.
    pub(super) fn expect(&mut self, pid: u32, since: Moment) {
        self.young
            .entry(pid)
            .and_modify(|young| young.since = since)
            .or_insert(Young { since, started: false });
        for (due, micros) in self.due.iter_mut().zip(AGAIN) {
            due.push_back((since.plus(micros), pid, since));
        }
    }

    /// Forgets a process that exited; returns its start time if that is not known yet and can still be read.
    pub(super) fn ended(&mut self, pid: u32) -> Option<StartTicks> {
        match self.young.remove(&pid) {
            Some(Young { started: false, .. }) => self.watcher.start(pid),
            _ => None,
        }
    }

    /// Takes the next look that is due, at one that `may` be looked at.
    pub(super) fn next(&mut self, now: Moment, mut may: impl FnMut(u32) -> bool) -> Option<(u32, Glance)> {
        loop {
            let queue =
                self.due.iter_mut().find(|queue| queue.front().is_some_and(|(due, ..)| *due <= now))?;
            let (_, pid, since) = queue.pop_front()?;
            let is_last = std::ptr::eq(queue, &raw const self.due[AGAIN.len() - 1]);
            if self.young.get(&pid).is_none_or(|young| young.since != since) {
                continue;
            }
            if !may(pid) {
                if is_last {
                    self.young.remove(&pid);
                }
                continue;
            }
            let glance = self.look(pid, true);
            if is_last || glance.is_none() {
                self.young.remove(&pid);
            } else if let Some(young) = self.young.get_mut(&pid) {
                young.started = true;
            }
            if let Some(glance) = glance {
                return Some((pid, glance));
            }
        }
    }

    /// Returns when the next look is due.
    pub(super) fn due(&self) -> Option<Moment> {
        self.due.iter().filter_map(|queue| queue.front()).map(|(due, ..)| *due).min()
    }

    /// Tells whether a process has threads that have not exited, though its first has.
    pub(super) fn has_threads(&self, pid: u32) -> bool {
        self.watcher.has_threads(pid)
    }

    fn look(&mut self, pid: u32, closely: bool) -> Option<Glance> {
        let at = Stamps::now();
        if at > self.span.plus(SPAN) {
            (self.span, self.spent, self.executed) = (at, 0, 0);
        }
        let sight = if closely && self.spent < SHARE {
            let sight = self.watcher.whole(pid);
            self.spent += Stamps::now().0 - at.0;
            sight
        } else {
            self.watcher.brief(pid)
        };
        sight.map(|sight: Sight| Glance { at, sight })
    }
}
