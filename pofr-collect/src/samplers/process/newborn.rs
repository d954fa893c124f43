//! Looks at single processes that events tell of: a whole one as the sampler takes it, or a brief one where there is little time.

use super::{
    Stat,
    answers::Answers,
    look::{Look, Table, Whom},
};
use crate::{HostView, sys};
use pofr_core::{
    fact::{Cut, Fact, OpenFile, Process},
    identity::{Pid, StartTicks},
    raw::{RawText, Reading},
};
use rustix::{fs::OFlags, io::Errno};
use std::{
    os::fd::{AsFd, OwnedFd},
    time::{Duration, Instant},
};

/// How often children that were left behind are looked after.
const TICK: Duration = Duration::from_millis(100);

/// What a look shows.
#[derive(Debug)]
pub(crate) enum Sight {
    /// All that a sample would show.
    Whole(Box<Process>, Vec<OpenFile>),
    /// What tells most, read first.
    Brief(Brief),
    /// The process is left out of the record.
    Excluded,
}

/// What three files of `/proc/PID` say.
#[derive(Clone, Debug)]
pub(crate) struct Brief {
    /// When it started.
    pub(crate) start: StartTicks,
    /// The parent.
    pub(crate) ppid: Pid,
    /// The name.
    pub(crate) comm: RawText,
    /// The session.
    pub(crate) session: u32,
    /// The controlling terminal.
    pub(crate) tty: u32,
    /// The arguments; `None` where it has none any more, or none yet, or did not answer in time.
    pub(crate) arguments: Option<RawText>,
    /// What they were before they were cut.
    pub(crate) cut: Option<Cut>,
    /// The program.
    pub(crate) exe: Reading<RawText>,
}

/// Looks at processes by their numbers.
#[derive(Debug)]
pub(crate) struct Watcher {
    view: HostView,
    proc: OwnedFd,
    look: Look,
    buffers: sys::Buffers,
    begun: Instant,
}

impl Watcher {
    /// Opens `/proc`.
    pub(crate) fn new(view: &HostView) -> Result<Self, Errno> {
        let proc = view.open_proc(OFlags::PATH)?;
        Ok(Self {
            view: view.clone(),
            proc,
            look: Look::at_once(),
            buffers: sys::Buffers::default(),
            begun: Instant::now(),
        })
    }

    /// Makes the child that reads what may wait, with the priority that the calling thread has.
    pub(crate) fn begin_child(&mut self) {
        self.look.answers.begin_child(&self.view);
    }

    /// Begins a tick now and then.
    fn begin(&mut self) {
        if self.begun.elapsed() > TICK {
            self.begun = Instant::now();
            self.look.begin();
        }
    }

    fn open(&self, pid: u32) -> Result<OwnedFd, Errno> {
        sys::open_process(self.proc.as_fd(), pid)
    }

    /// Takes a whole look; `None` where the process is gone, or will not be read.
    pub(crate) fn whole(&mut self, pid: u32) -> Option<Sight> {
        self.begin();
        let dir = self.open(pid).ok()?;
        let mut facts = Vec::new();
        // A table that it has in common with its parent the samples tell, once.
        let live = self.view.live;
        let mut table = |stat: &Stat, answers: &mut Answers| {
            let pair = (pid, stat.ppid.0, sys::Shared::Files);
            let is_shared = live && !stat.kernel_thread && answers.share(&self.view, &[pair]).contains(&true);
            if is_shared { Table::Elsewhere } else { Table::Own }
        };
        let whom = Whom { thread_of: None, table: &mut table };
        let seen = self.look.at(&self.view, &dir, Pid(pid), whom, &mut facts, &mut Vec::new()).ok()?;
        let Some(process) = seen.process else { return Some(Sight::Excluded) };
        let files = facts.into_iter().filter_map(|fact| match fact {
            Fact::File(file) => Some(file),
            _ => None,
        });
        Some(Sight::Whole(Box::new(process), files.collect()))
    }

    /// Takes a brief look: the arguments first, which go first.
    ///
    /// All is read through one open directory, so it is all of one process; but of two programs, should it exchange them meanwhile:
    /// then another event says so, and another look follows.
    pub(crate) fn brief(&mut self, pid: u32) -> Option<Sight> {
        let dir = self.open(pid).ok()?;
        self.begin();
        let (stat, asked) = self.look.answers.stat(&self.view, Pid(pid)).ok()?;
        let asked = asked.unwrap_or_default();
        let exe = self.buffers.link(dir.as_fd(), c"exe");
        if self.view.leaves_out(Pid(pid), stat.start, stat.ppid) {
            return Some(Sight::Excluded);
        }
        // One that is on its way out has let go of its program: what is missing was there.
        let (arguments, exe) = if stat.kernel_thread {
            (Some(RawText::default()), Reading::Absent)
        } else {
            (asked.arguments, if exe == Reading::Absent { Reading::Unknown } else { exe })
        };
        let cut = asked.cut;
        let Stat { start, ppid, comm, session, tty, .. } = stat;
        Some(Sight::Brief(Brief { start, ppid, comm, session, tty, arguments, cut, exe }))
    }

    /// Returns when the process started, be it that it waits for its parent only.
    pub(crate) fn start(&mut self, pid: u32) -> Option<StartTicks> {
        self.look.answers.stat(&self.view, Pid(pid)).ok().map(|(stat, _)| stat.start)
    }

    /// Tells whether a process whose first thread has exited has others that have not.
    pub(crate) fn has_threads(&self, pid: u32) -> bool {
        let mut listing = sys::ListingBuffer::of_bytes(256);
        let mut threads = 0;
        let listed =
            self.open(pid).and_then(|dir| sys::open_listing(dir.as_fd(), c"task")).and_then(|tasks| {
                listing.numbers(&tasks, |_, _| {
                    threads += 1;
                    Ok(())
                })
            });
        listed.is_ok() && threads > 1
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_brief_look_and_a_whole_one_agree() {
        let mut watcher = Watcher::new(&HostView::live().unwrap()).unwrap();
        let own = std::process::id();
        let Some(Sight::Brief(brief)) = watcher.brief(own) else { panic!("not brief") };
        let Some(Sight::Whole(process, files)) = watcher.whole(own) else { panic!("not whole") };
        assert_eq!(Some(brief.start), process.key.entity.start());
        assert_eq!(
            (brief.ppid, brief.session, brief.tty),
            (process.key.ppid, process.key.session, process.key.tty)
        );
        assert_eq!(
            (brief.comm, brief.arguments, brief.exe),
            (process.key.comm, process.key.arguments, process.key.exe)
        );
        assert!(!files.is_empty());
        assert_eq!(watcher.start(own), Some(brief.start));
        assert!(watcher.has_threads(own), "the test runs in a thread of its own");
        assert!(watcher.brief(u32::MAX).is_none() && watcher.start(u32::MAX).is_none());
    }

    #[test]
    fn who_is_left_out_is_not_looked_at() {
        let view = HostView::live().unwrap();
        view.exclude_self();
        let mut watcher = Watcher::new(&view).unwrap();
        let own = std::process::id();
        assert!(matches!(watcher.brief(own), Some(Sight::Excluded)));
        assert!(matches!(watcher.whole(own), Some(Sight::Excluded)));
    }
}
