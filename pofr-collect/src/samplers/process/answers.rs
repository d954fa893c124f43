//! Answers: what of a process may make its reader wait, as a child reads it ([`probe`](crate::probe)).
//!
//! Before a tick's looks all processes that are to be looked at are asked for at once, in one round trip. `stat` of each is read
//! before that, since a look begins with it; that look and answer are of one process the inode number of its directory tells.

use super::{
    files::{self, Behind},
    stat::{self, Stat},
};
use crate::{
    HostView,
    probe::{Answer, Ask, Probe, Reply, Watchdog},
    programs::FileId,
    sys::{self, Shared},
};
use pofr_core::{
    fact::{Cut, Fact},
    gap::Gap,
    identity::Pid,
    raw::{RawText, Reading},
};
use rustix::io::Errno;
use std::{
    os::fd::OwnedFd,
    time::{Duration, Instant},
};

/// How long an answer may take: a part of the time between ticks, within these bounds.
const PATIENCE: [Duration; 2] = [Duration::from_millis(5), Duration::from_millis(50)];
const PART: u32 = 4;

/// What a child reads of processes.
#[derive(Debug, Default)]
pub(super) struct Answers {
    /// `None` where nothing was asked yet.
    probe: Option<Probe>,
    /// Whether nobody may wait long for an answer.
    at_once: bool,
    patience: Duration,
    /// When the last tick began.
    begun: Option<Instant>,
    /// What was asked ahead, by the processes' numbers.
    ahead: Vec<Ahead>,
    watchdog: Watchdog,
}

/// What is asked of a process.
fn both(view: &HostView, pid: u32) -> [Ask<'static>; 2] {
    let file = view.live && view.programs.is_working();
    [Ask::Stat { pid }, Ask::Process { pid, length: 0, file }]
}

/// Returns the inode number of a process's directory and its `stat`.
fn stat_of(reply: Reply) -> Result<(u64, Stat), Errno> {
    let Reply::Answered(Answer::Stat(read)) = reply else { return Err(Errno::TIME) };
    let (inode, line) = read?;
    Ok((inode, stat::parse(&line).ok_or(stat::Malformed)?))
}

/// Tells whether a reply is yes.
fn is_so(reply: &Reply) -> bool {
    matches!(reply, Reply::Answered(Answer::Is(Ok(true))))
}

/// What was asked of a process ahead of the look at it.
#[derive(Debug)]
struct Ahead {
    pid: u32,
    /// Of its directory.
    inode: u64,
    stat: Stat,
    asked: Option<Asked>,
}

/// What a child read of a process.
#[derive(Clone, Debug, Default)]
pub(super) struct Asked {
    /// The arguments. There is always something in them (execve(2) sees to that), except while a process exchanges its program for
    /// another or exits: then `None`.
    pub(super) arguments: Option<RawText>,
    /// What they were before they were cut.
    pub(super) cut: Option<Cut>,
    /// The state of its program's file, where that was asked for.
    pub(super) file: Option<FileId>,
    /// Whether it did not answer in time.
    pub(super) unreadable: bool,
}

impl Asked {
    /// What a process has that has no program.
    pub(super) fn nothing() -> Self {
        Self { arguments: Some(RawText::default()), ..Self::default() }
    }

    /// Takes a reply. `None`: the process is gone.
    fn of(reply: Reply, length: u64) -> Result<Self, Errno> {
        let Reply::Answered(Answer::Process { arguments, file }) = reply else {
            return Ok(Self { unreadable: true, ..Self::default() });
        };
        match arguments {
            Ok(read) => {
                let cut = read.cut.map(|(bytes, sha256)| {
                    // The whole length is known where all was read, and else by where the arguments end.
                    Cut { bytes: if sha256.is_some() { bytes } else { bytes.max(length) }, sha256 }
                });
                let arguments = (!read.kept.is_empty()).then(|| RawText::from(read.kept));
                Ok(Self { arguments, cut, file, unreadable: false })
            }
            Err(error) if sys::is_gone(error) => Err(error),
            // Not for us, or not now.
            Err(_) => Ok(Self { file, ..Self::default() }),
        }
    }
}

/// What names really are that end like those of deleted files.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Names {
    /// Whether the program's is.
    pub(super) exe: bool,
    /// Whether that is not known of one, which is then told as the kernel tells it.
    pub(super) unreadable: bool,
}

impl Answers {
    /// Makes one for looks that must be quick.
    pub(super) fn at_once() -> Self {
        Self { at_once: true, ..Self::default() }
    }

    /// Makes the child now, with the priority that the calling thread has.
    pub(super) fn begin_child(&mut self, view: &HostView) {
        if let Some(probe) = self.probe(view) {
            probe.begin_child();
        }
    }

    /// Begins a tick.
    pub(super) fn begin(&mut self) {
        let between = self.begun.map_or(PATIENCE[1] * PART, |begun| begun.elapsed());
        self.patience = (between / PART).clamp(PATIENCE[0], PATIENCE[1]);
        self.begun = Some(Instant::now());
        self.ahead.clear();
        if let Some(probe) = &mut self.probe {
            probe.begin();
        }
    }

    fn patience(&self) -> Duration {
        if self.at_once { PATIENCE[0] } else { self.patience.max(PATIENCE[0]) }
    }

    fn probe(&mut self, view: &HostView) -> Option<&mut Probe> {
        if self.probe.is_none() {
            match Probe::new(view, self.at_once) {
                Ok(probe) => self.probe = Some(probe),
                Err(error) => tracing::warn!("arguments: {}", std::io::Error::from(error)),
            }
        }
        self.probe.as_mut()
    }

    fn ask(&mut self, view: &HostView, asks: &[Ask<'_>]) -> Vec<Reply> {
        let patience = self.patience();
        match self.probe(view) {
            Some(probe) => probe.ask(asks, patience),
            None => asks.iter().map(|_| Reply::Unreadable).collect(),
        }
    }

    /// Returns who did not answer and may be asked again now.
    pub(super) fn due(&self) -> Vec<Pid> {
        let due = self.probe.as_ref().map(Probe::due).unwrap_or_default();
        due.into_iter().map(|who| who.pid).collect()
    }

    /// Asks ahead of the processes that are to be looked at, in the order of their numbers.
    pub(super) fn ask_ahead(&mut self, view: &HostView, pids: impl Iterator<Item = u32>) {
        let pids: Vec<u32> = pids.collect();
        let asks: Vec<_> = pids.iter().flat_map(|pid| both(view, *pid)).collect();
        if asks.is_empty() {
            return;
        }
        let mut replies = self.ask(view, &asks).into_iter();
        for pid in pids {
            let (Some(stat), Some(asked)) = (replies.next(), replies.next()) else { return };
            if let Ok((inode, stat)) = stat_of(stat) {
                let asked = Asked::of(asked, stat.arguments).ok();
                self.ahead.push(Ahead { pid, inode, stat, asked });
            }
        }
    }

    /// Reads `stat` of a process, and asks for the rest.
    ///
    /// # Errors
    /// `ETIME` where it does not answer; then nothing is known of it but that it is there.
    pub(super) fn stat(&mut self, view: &HostView, pid: Pid) -> Result<(Stat, Option<Asked>), Errno> {
        let mut replies = self.ask(view, &both(view, pid.0)).into_iter();
        let (_, stat) = stat_of(replies.next().unwrap_or(Reply::Unreadable))?;
        let asked = Asked::of(replies.next().unwrap_or(Reply::Unreadable), stat.arguments)?;
        Ok((stat, Some(asked)))
    }

    /// Takes what was asked ahead of the process in `dir`.
    pub(super) fn take(&mut self, dir: &OwnedFd, pid: Pid) -> Option<(Stat, Option<Asked>)> {
        let at = self.ahead.binary_search_by_key(&pid.0, |ahead| ahead.pid).ok()?;
        let ahead = &mut self.ahead[at];
        let inode = rustix::fs::fstat(dir).ok()?.st_ino;
        if std::mem::take(&mut ahead.inode) != inode {
            return None;
        }
        Some((ahead.stat.clone(), ahead.asked.take()))
    }

    /// Asks for the arguments of a process whose `stat` is known.
    pub(super) fn of_process(&mut self, view: &HostView, pid: Pid, stat: &Stat) -> Result<Asked, Errno> {
        let [_, ask] = both(view, pid.0);
        let reply = self.ask(view, &[ask]).pop().unwrap_or(Reply::Unreadable);
        Asked::of(reply, stat.arguments)
    }

    /// Finds out of which names that end like a deleted file's that is the end of the name, and takes it off the others.
    pub(super) fn names(
        &mut self,
        view: &HostView,
        pid: Pid,
        exe: &Reading<RawText>,
        files: &mut [Fact],
    ) -> Result<Names, Errno> {
        let exe = exe.known().filter(|exe| files::unmarked(exe.as_bytes()).is_some()).cloned();
        let of_file = |fact: &Fact| match fact {
            Fact::File(file) => {
                files::unmarked(file.key.path.as_bytes()).map(|_| (file.key.fd, file.key.path.clone()))
            }
            _ => None,
        };
        let marked: Vec<_> = files.iter().map(of_file).collect();
        let mut asks = Vec::new();
        asks.extend(exe.as_ref().map(|text| Ask::Named { pid: pid.0, fd: None, text: text.as_bytes() }));
        asks.extend(marked.iter().flatten().map(|(fd, text)| Ask::Named {
            pid: pid.0,
            fd: Some(*fd),
            text: text.as_bytes(),
        }));
        if asks.is_empty() {
            return Ok(Names::default());
        }
        let mut replies = self.ask(view, &asks).into_iter();
        let mut names = Names::default();
        let mut is_named = || match replies.next() {
            Some(Reply::Answered(Answer::Is(Ok(named)))) => named,
            Some(Reply::Answered(_)) => false,
            Some(Reply::Unreadable) | None => {
                names.unreadable = true;
                false
            }
        };
        let exe = exe.is_some() && is_named();
        for (fact, _) in files.iter_mut().zip(&marked).filter(|(_, marked)| marked.is_some()) {
            if let Fact::File(file) = fact
                && !is_named()
                && let Some(path) = files::unmarked(file.key.path.as_bytes())
            {
                (file.key.path, file.key.deleted) = (RawText::from(path), true);
            }
        }
        Ok(Names { exe, ..names })
    }

    /// Tells what is behind the descriptors of a process, as `/proc` has it.
    pub(super) fn behind(&mut self, view: &HostView, pid: Pid) -> Option<Behind> {
        match self.ask(view, &[Ask::Behind { pid: pid.0 }]).pop() {
            Some(Reply::Answered(Answer::Behind(print))) => print.map(Behind::Mount),
            _ => None,
        }
    }

    /// Tells of each of some pairs whether they share something. Who may not be asked, or does not answer, shares nothing.
    pub(super) fn share(&mut self, view: &HostView, pairs: &[(u32, u32, Shared)]) -> Vec<bool> {
        let asks: Vec<_> = pairs
            .iter()
            .map(|(one, other, what)| Ask::Share { one: *one, other: *other, what: *what })
            .collect();
        let replies = self.ask(view, &asks).into_iter();
        replies.map(|reply| is_so(&reply)).collect()
    }

    /// Tells whether something of a process is unreadable.
    pub(super) fn is_unreadable(&self, pid: Pid) -> bool {
        self.probe.as_ref().is_some_and(|probe| probe.is_unreadable(pid))
    }

    /// Tells whether a process is the child at work, which holds nothing but pipes.
    pub(super) fn is_child(&self, pid: Pid) -> bool {
        self.probe.as_ref().is_some_and(|probe| probe.is_child(pid))
    }

    /// Tells, at the end of a sample, who is unreadable.
    pub(super) fn watch(&mut self, view: &HostView) -> Vec<Gap> {
        match &self.probe {
            Some(probe) => self.watchdog.look(probe, view.clock.now()),
            None => Vec::new(),
        }
    }

    /// Begins a run on another clock.
    pub(super) fn restart(&mut self) {
        self.watchdog.restart();
    }

    /// Says what is not as it should be.
    pub(super) fn note(&self) -> Option<String> {
        self.probe.as_ref().and_then(Probe::note)
    }
}
