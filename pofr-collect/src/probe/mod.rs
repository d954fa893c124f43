//! Probe: reads that may never end, done by a child that can be left behind.
//!
//! Some files of `/proc` make their reader wait for another process, or for a filesystem that does not answer: the arguments (for
//! the memory lock, or for a page that a FUSE server or userfaultfd(2) is to deliver), the state of a file, what a poll of a
//! descriptor shows, kcmp(2) and, in new kernels, `stat` during an exec. A thread that waits so cannot be ended, and neither can its process. So a child without
//! a program of its own does these reads, and answers in batches: a round trip for all processes of a tick.
//!
//! A question that is not answered in time is [`Reply::Unreadable`], the child is left behind, and a new one goes on with the
//! rest. No more than [`MOST_LEFT`] are left behind at a time, and [`MOST_OF_USER`] because of one user: beyond that, such questions are
//! not asked, of that user or at all. Who did not answer is asked again later, at growing intervals, or when the child that waited
//! is gone.
//!
//! Where no child can be made this process does the reads itself, and [`Probe::note`] says so.

mod ask;
mod child;
mod hung;
mod watchdog;
mod words;
mod worker;

pub(crate) use ask::{Answer, Ask};
pub(crate) use child::cpu_micros;
pub(crate) use hung::Who;
pub(crate) use watchdog::Watchdog;
pub(crate) use worker::SLOTS;

use crate::{
    HostView,
    sys::{self, area::Area},
};
use ask::Kind;
use child::{Child, Round};
use hung::{Entry, Unreadable};
use pofr_core::{identity::Pid, raw::RawText};
use rustix::{fs::OFlags, io::Errno};
use std::{
    os::fd::{AsFd as _, OwnedFd},
    time::{Duration, Instant},
};
use worker::Worker;

/// Children that may be left behind at a time, and those because of one user.
const MOST_LEFT: usize = 6;
const MOST_OF_USER: usize = 2;
/// How often it is looked whether who is unreadable is still there.
const TIDY: Duration = Duration::from_secs(1);

/// What came of a question.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Reply {
    /// The answer.
    Answered(Answer),
    /// There was none in time, or it was not asked.
    Unreadable,
}

/// Asks children.
#[derive(Debug)]
pub(crate) struct Probe {
    view: HostView,
    worker: Worker,
    way: Way,
    left: Vec<Left>,
    unreadable: Unreadable,
    tidied: Instant,
    buffers: sys::Buffers,
    /// Whether the children are to be quick.
    at_once: bool,
}

/// How it is asked.
#[derive(Debug)]
enum Way {
    /// A child is to be made.
    Unmade,
    Child(Child),
    /// This process reads, for the reason given.
    Direct(Area, String),
}

/// A child that was left behind.
#[derive(Debug)]
struct Left {
    pid: rustix::process::Pid,
    number: Pid,
    uid: u32,
    since: Instant,
}

impl Probe {
    /// Makes a probe of the host of `view`; `at_once` for one whose children run with real-time priority, where that is permitted.
    pub(crate) fn new(view: &HostView, at_once: bool) -> Result<Self, Errno> {
        let proc = view.open_proc(OFlags::PATH)?;
        let way = if view.live { Way::Unmade } else { Way::Direct(Area::new(worker::AREA)?, String::new()) };
        Ok(Self {
            view: view.clone(),
            worker: Worker::new(proc),
            way,
            left: Vec::new(),
            unreadable: Unreadable::default(),
            tidied: Instant::now(),
            buffers: sys::Buffers::default(),
            at_once,
        })
    }

    /// Makes the child now and not at the first question.
    pub(crate) fn begin_child(&mut self) {
        if matches!(self.way, Way::Unmade) {
            match Child::begin(&self.view, &mut self.worker, self.at_once) {
                Ok(child) => self.way = Way::Child(child),
                Err(error) => {
                    let why = std::io::Error::from(error).to_string();
                    tracing::warn!("no child for reads that may wait: {why}");
                    if let Ok(area) = Area::new(worker::AREA) {
                        self.way = Way::Direct(area, why);
                    }
                }
            }
        }
    }

    /// Says why this process itself must do what may wait for ever, if so.
    pub(crate) fn note(&self) -> Option<String> {
        match &self.way {
            Way::Direct(_, why) if !why.is_empty() => {
                Some(format!("reads that may wait are not left to a child: {why}"))
            }
            _ => None,
        }
    }

    /// Tells whether a process is the child at work.
    pub(crate) fn is_child(&self, pid: Pid) -> bool {
        matches!(&self.way, Way::Child(child) if child.number == pid)
    }

    /// Begins a tick: lets children go that are gone.
    pub(crate) fn begin(&mut self) {
        self.unreadable.begin();
        if self.left.is_empty() && self.unreadable.entries.is_empty() {
            return;
        }
        self.reap();
        if self.tidied.elapsed() > TIDY {
            self.tidied = Instant::now();
            let mut entries = std::mem::take(&mut self.unreadable.entries);
            entries.retain(|entry| self.who(entry.who.pid.0) == Some(entry.who));
            self.unreadable.entries = entries;
        }
    }

    /// Returns who is unreadable and may be asked again now.
    pub(crate) fn due(&self) -> Vec<Who> {
        if self.unreadable.entries.is_empty() { Vec::new() } else { self.unreadable.due(Instant::now()) }
    }

    /// Returns who is unreadable.
    pub(crate) fn unreadable(&self) -> &[Entry] {
        &self.unreadable.entries
    }

    /// Tells whether something of a process is unreadable.
    pub(crate) fn is_unreadable(&self, pid: Pid) -> bool {
        !self.unreadable.entries.is_empty()
            && self.who(pid.0).is_some_and(|who| self.unreadable.entries.iter().any(|entry| entry.who == who))
    }

    /// Asks, and waits for each answer for `patience` at most.
    pub(crate) fn ask(&mut self, asks: &[Ask<'_>], patience: Duration) -> Vec<Reply> {
        let mut replies = Vec::with_capacity(asks.len());
        while replies.len() < asks.len() {
            let rest = &asks[replies.len()..];
            let count = rest.iter().take_while(|ask| self.may_ask(ask)).count();
            if count == 0 {
                self.pass_over(&rest[0]);
                replies.push(Reply::Unreadable);
                continue;
            }
            let (answers, round) = self.round(&rest[..count], patience);
            let none = answers.is_empty();
            for (answer, ask) in answers.into_iter().zip(rest) {
                if !self.unreadable.entries.is_empty()
                    && let Some(who) = self.who(ask.pid())
                {
                    self.unreadable.answered(who, ask.kind());
                }
                replies.push(Reply::Answered(answer));
            }
            // Where the child is gone, or has said nothing, who was asked first has to do with it.
            if (round != Round::Over || none)
                && let Some(ask) = asks.get(replies.len())
            {
                self.leave_behind(ask, patience);
                replies.push(Reply::Unreadable);
            }
        }
        replies
    }

    /// Asks one question.
    pub(crate) fn ask_one(&mut self, ask: Ask<'_>, patience: Duration) -> Reply {
        self.ask(&[ask], patience).pop().unwrap_or(Reply::Unreadable)
    }

    /// Has the child at work answer as many questions as it can at once.
    fn round(&mut self, asks: &[Ask<'_>], patience: Duration) -> (Vec<Answer>, Round) {
        self.begin_child();
        let (area, count, done, round) = match &self.way {
            Way::Unmade => return (Vec::new(), Round::Gone),
            Way::Child(child) => {
                let (count, done, round) = child.ask(&self.view, asks, patience);
                (&child.area, count, done, round)
            }
            Way::Direct(area, _) => {
                let count = child::write(area, asks);
                self.worker.answer(area);
                (area, count, worker::done(area), Round::Over)
            }
        };
        let mut from = words::Reader::new(worker::answers(area));
        let answers = asks[..count.min(done)].iter().map(|ask| Answer::read(ask, &mut from)).collect();
        (answers, round)
    }

    /// Tells whether this may be asked: the process is not known to keep its reader waiting, and its user keeps not too many.
    fn may_ask(&mut self, ask: &Ask<'_>) -> bool {
        if self.left.is_empty() && self.unreadable.entries.is_empty() {
            return true;
        }
        // Who is gone answers that.
        let Some(who) = self.who(ask.pid()) else { return true };
        if self.left.len() >= MOST_LEFT || !self.unreadable.is_due(who, ask.kind(), Instant::now()) {
            return false;
        }
        if let Ask::Share { other, .. } = ask
            && let Some(other) = self.who(*other)
            && self.unreadable.find(other, Kind::Share).is_some()
        {
            return false;
        }
        let uid = self.uid_of(who.pid);
        !self.unreadable.has_hung(uid)
            && self.left.iter().filter(|left| left.uid == uid).count() < MOST_OF_USER
    }

    fn pass_over(&mut self, ask: &Ask<'_>) {
        let kind = ask.kind();
        // Another is the reason why these two are not compared.
        if kind != Kind::Share
            && let Some(who) = self.who(ask.pid())
        {
            let comm = (self.comm_of(who.pid), self.dir_of(who.pid.0));
            self.unreadable.pass_over(who, kind, comm);
        }
    }

    /// Leaves the child behind that waits for an answer.
    fn leave_behind(&mut self, ask: &Ask<'_>, patience: Duration) {
        let mut pid = ask.pid();
        let mut child = self.give_up(pid);
        // Of two that are compared one is held up: the other compared with itself shows which.
        if let Ask::Share { one, other, what } = *ask
            && one != other
            && self.round(&[Ask::Share { one: other, other, what }], patience).1 != Round::Over
        {
            pid = other;
            child = self.give_up(pid);
        }
        tracing::debug!(pid, "a read did not answer in time");
        if let Some(who) = self.who(pid) {
            let (uid, comm) = (self.uid_of(who.pid), (self.comm_of(who.pid), self.dir_of(who.pid.0)));
            self.unreadable.hang(who, ask.kind(), uid, comm, child);
        }
        self.reap();
        if child == Pid(0) {
            self.unreadable.child_gone(child, Duration::ZERO);
        }
    }

    /// Tells the child at work to end, and waits no more for it; returns its number.
    fn give_up(&mut self, pid: u32) -> Pid {
        match std::mem::replace(&mut self.way, Way::Unmade) {
            Way::Child(child) => {
                sys::child::kill(child.pid);
                let (uid, since) = (self.uid_of(Pid(pid)), Instant::now());
                self.left.push(Left { pid: child.pid, number: child.number, uid, since });
                child.number
            }
            other => {
                self.way = other;
                Pid(0)
            }
        }
    }

    /// Lets children go that are gone.
    fn reap(&mut self) {
        let (view, unreadable) = (&self.view, &mut self.unreadable);
        self.left.retain(|left| {
            let ended = sys::child::has_ended(left.pid);
            if ended {
                view.release(left.number);
                unreadable.child_gone(left.number, left.since.elapsed());
            }
            !ended
        });
    }

    fn dir_of(&self, pid: u32) -> Option<OwnedFd> {
        sys::open_process(self.worker.proc.as_fd(), pid).ok()
    }

    /// Returns who has a number; it does not wait.
    fn who(&self, pid: u32) -> Option<Who> {
        let inode = rustix::fs::fstat(self.dir_of(pid)?).ok()?.st_ino;
        Some(Who { pid: Pid(pid), inode })
    }

    /// Returns the real user of a process; it does not wait.
    fn uid_of(&mut self, pid: Pid) -> u32 {
        let field = self.status_of(pid, b"Uid:\t");
        field.and_then(|text| sys::parse(text.split(|b| *b == b'\t').next()?)).unwrap_or(u32::MAX)
    }

    fn comm_of(&mut self, pid: Pid) -> RawText {
        self.status_of(pid, b"Name:\t").map(RawText::from).unwrap_or_default()
    }

    fn status_of(&mut self, pid: Pid, name: &[u8]) -> Option<&[u8]> {
        let dir = sys::open_process(self.worker.proc.as_fd(), pid.0).ok()?;
        let text = self.buffers.read(dir.as_fd(), c"status").ok()?;
        text.split(|b| *b == b'\n').find_map(|line| line.strip_prefix(name))
    }
}

impl Drop for Probe {
    /// Ends the child at work; those left behind end when what they wait for lets them.
    fn drop(&mut self) {
        self.reap();
        let Way::Child(child) = &self.way else { return };
        sys::child::kill(child.pid);
        // It waits for nothing but us.
        for _ in 0..100 {
            if sys::child::has_ended(child.pid) {
                self.view.release(child.number);
                return;
            }
            std::thread::sleep(Duration::from_millis(1));
        }
    }
}
