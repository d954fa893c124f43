//! Who did not answer: is not asked again at once, and neither is who else belongs to the same user.

use super::ask::Kind;
use pofr_core::{identity::Pid, raw::RawText};
use std::{
    os::fd::OwnedFd,
    time::{Duration, Instant},
};

/// How long after a read that did not answer the next is tried; each time twice as long.
const PAUSE: Duration = Duration::from_secs(1);
const LONGEST_PAUSE: Duration = Duration::from_secs(30);
/// How many processes are remembered.
const MOST: usize = 256;

/// A process: its number and the inode number of its directory, which stays while that is open. (When it started it may not tell.)
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Who {
    pub(crate) pid: Pid,
    pub(crate) inode: u64,
}

/// A process that is unreadable.
#[derive(Debug)]
pub(crate) struct Entry {
    pub(crate) who: Who,
    pub(crate) comm: RawText,
    /// Its directory, kept open.
    _dir: Option<OwnedFd>,
    /// What it does not answer.
    pub(super) kind: Kind,
    /// The child that waits for it still.
    pub(super) child: Option<Pid>,
    /// Whether it kept a child waiting, and was not only passed over.
    hung: bool,
    again: Instant,
    pause: Duration,
}

/// Who is unreadable.
#[derive(Debug, Default)]
pub(super) struct Unreadable {
    pub(super) entries: Vec<Entry>,
    /// Users of whom a process hung in this tick.
    users: Vec<u32>,
}

impl Unreadable {
    /// Begins a tick.
    pub(super) fn begin(&mut self) {
        self.users.clear();
    }

    pub(super) fn find(&self, who: Who, kind: Kind) -> Option<&Entry> {
        self.entries.iter().find(|entry| entry.who == who && entry.kind == kind)
    }

    /// Tells whether a user's process hung in this tick already.
    pub(super) fn has_hung(&self, uid: u32) -> bool {
        self.users.contains(&uid)
    }

    /// Tells whether an unreadable process may be asked again.
    pub(super) fn is_due(&self, who: Who, kind: Kind, now: Instant) -> bool {
        self.find(who, kind).is_none_or(|entry| entry.child.is_none() && entry.again <= now)
    }

    /// Returns who is to be asked again: all that were passed over, and one that hung.
    pub(super) fn due(&self, now: Instant) -> Vec<Who> {
        let due = |entry: &&Entry| entry.child.is_none() && entry.again <= now;
        let one = self.entries.iter().filter(due).filter(|entry| entry.hung).min_by_key(|entry| entry.again);
        let passed = self.entries.iter().filter(due).filter(|entry| !entry.hung);
        passed.chain(one).map(|entry| entry.who).collect()
    }

    /// Takes note that a process kept a child waiting.
    pub(super) fn hang(
        &mut self,
        who: Who,
        kind: Kind,
        uid: u32,
        (comm, dir): (RawText, Option<OwnedFd>),
        child: Pid,
    ) {
        self.users.push(uid);
        let known = self.find(who, kind).filter(|entry| entry.hung);
        let pause = known.map_or(PAUSE, |entry| (entry.pause * 2).min(LONGEST_PAUSE));
        self.answered(who, kind);
        if self.entries.len() >= MOST {
            // Who was only passed over is passed over again.
            let at = self.entries.iter().position(|entry| !entry.hung).unwrap_or(0);
            self.entries.remove(at);
        }
        let again = Instant::now() + pause;
        self.entries.push(Entry { who, comm, _dir: dir, kind, child: Some(child), hung: true, again, pause });
    }

    /// Takes note that a process was passed over.
    pub(super) fn pass_over(&mut self, who: Who, kind: Kind, (comm, dir): (RawText, Option<OwnedFd>)) {
        if self.find(who, kind).is_none() && self.entries.len() < MOST {
            let again = Instant::now() + PAUSE;
            self.entries.push(Entry {
                who,
                comm,
                _dir: dir,
                kind,
                child: None,
                hung: false,
                again,
                pause: PAUSE,
            });
        }
    }

    /// Takes note that a process answered.
    pub(super) fn answered(&mut self, who: Who, kind: Kind) {
        self.entries.retain(|entry| entry.who != who || entry.kind != kind);
    }

    /// Takes note that a child is gone; where it had waited for long, what it waited for is over.
    pub(super) fn child_gone(&mut self, child: Pid, waited: Duration) {
        for entry in self.entries.iter_mut().filter(|entry| entry.child == Some(child)) {
            entry.child = None;
            if waited > PAUSE / 4 {
                entry.again = Instant::now();
            }
        }
    }
}
