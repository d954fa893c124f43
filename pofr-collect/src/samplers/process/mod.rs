//! The process sampler: every process with its attributes and its open files.
//!
//! A process is read through one open `/proc/PID` directory. That directory belongs to the process, not to the number:
//! once the process is gone every lookup in it fails, even where the number has been given to another (fs/proc/base.c),
//! so what is put together here never mixes two processes. A process that vanishes while it is read is left out with all its
//! files, as if the sample had come a moment later.
//!
//! Where the kernel tells which processes ran, only those are read again ([`incremental`]), else all are at every tick ([`scan`]).

mod ahead;
mod answers;
mod audit;
mod births;
mod crowd;
mod files;
mod incremental;
mod known;
mod look;
mod newborn;
mod prints;
mod quota;
mod scan;
mod sharing;
pub(crate) mod stat;
pub(crate) mod status;
mod table;
mod tables;
mod threads;

use super::{Context, SharedHolders, unavailable};
use crate::{HostView, iterators::Iterators};
use incremental::Incremental;
pub(crate) use newborn::{Brief, Sight, Watcher};
use pofr_core::{
    Collector, Source,
    collector::{CollectError, Observation},
    gap::{Gap, Severity},
    identity::{Pid, StartTicks},
};
pub(crate) use quota::cut_arguments;
use rustix::io::Errno;
use scan::Scan;
use stat::Stat;

/// Samples processes and their open files.
#[derive(Debug)]
pub struct ProcessSampler {
    view: HostView,
    holders: SharedHolders,
    way: Way,
    /// Of how many processes it was said last that they do not even tell who they are.
    said_unread: u64,
}

/// How processes are read.
#[derive(Debug)]
enum Way {
    /// It is not known yet what the kernel lets us do: that is found out when privileges are what they will be. The iterators alone
    /// must be had before.
    Unknown(Iterators),
    /// Only those are read that may have changed.
    Incremental(Box<Incremental>),
    /// All are read at every tick, for the reason given.
    Scan(Box<Scan>, String),
}

/// Makes the sampler for the registry.
pub(super) fn make(context: &Context) -> Box<dyn Collector> {
    Box::new(ProcessSampler::new(context))
}

/// Returns a kernel thread's name without what it is at.
pub(crate) fn steady_name(comm: &[u8]) -> &[u8] {
    stat::steady(comm)
}

/// Returns the state letter of a process's `stat`.
pub(crate) fn state_of(line: &[u8]) -> Option<u8> {
    stat::state(line)
}

/// Returns when the process started; `None` where there is none or it does not say.
pub(crate) fn start(view: &HostView, pid: Pid) -> Option<StartTicks> {
    let text = std::fs::read(view.proc_root.join(pid.to_string()).join("stat")).ok()?;
    stat::parse(&text).map(|stat| stat.start)
}

/// Returns when the process whose directory this is started.
pub(crate) fn start_in(dir: &std::os::fd::OwnedFd) -> Option<StartTicks> {
    let mut buffers = crate::sys::Buffers::default();
    stat::parse(buffers.read(std::os::fd::AsFd::as_fd(dir), c"stat").ok()?).map(|stat| stat.start)
}

impl ProcessSampler {
    /// Makes a sampler that reads only what may have changed, where the kernel and our privileges allow.
    #[must_use]
    pub fn new(context: &Context) -> Self {
        let way = if context.view.live {
            Way::Unknown(Iterators::open(&context.view.sys_root))
        } else {
            Way::scan("this is a captured tree")
        };
        Self::of(context, way)
    }

    /// Makes the same, which asks taskstats who ran, and `/proc` what is open, although the kernel may have its iterators.
    #[must_use]
    pub fn by_taskstats(context: &Context) -> Self {
        Self::of(context, Way::Unknown(Iterators::default()))
    }

    /// Makes a sampler that reads everything at every tick.
    #[must_use]
    pub fn full_scan(context: &Context) -> Self {
        Self::of(context, Way::scan("as asked for"))
    }

    fn of(context: &Context, way: Way) -> Self {
        Self { view: context.view.clone(), holders: context.holders.clone(), way, said_unread: 0 }
    }

    /// Says that there are processes of which not even the start time may be read (`hidepid`, proc(5)), whenever there are more than
    /// was said.
    fn tell_unread(&mut self, unread: u64, out: &mut Observation) {
        if unread > self.said_unread {
            self.said_unread = unread;
            out.gaps.push(Gap {
                source: Some(Source::Process),
                severity: Severity::Thin,
                reason: format!("{unread} processes could not be read at all and are left out (hidepid?)"),
                from: self.view.clock.now(),
                to: None,
                lost: None,
            });
        }
    }
}

impl Way {
    fn scan(why: impl Into<String>) -> Self {
        let why = why.into();
        tracing::info!("full scan of /proc at every tick: {why}");
        Self::Scan(Box::default(), why)
    }

    /// Returns what looks at processes.
    fn look(&mut self) -> Option<&mut look::Look> {
        match self {
            Self::Unknown(_) => None,
            Self::Incremental(way) => Some(&mut way.look),
            Self::Scan(way, _) => Some(&mut way.look),
        }
    }

    /// Finds out which way there is.
    fn find(view: &HostView, iterators: Iterators) -> Self {
        Incremental::open(view, iterators).map_or_else(Self::scan, |way| Self::Incremental(Box::new(way)))
    }
}

impl Collector for ProcessSampler {
    fn source(&self) -> Source {
        Source::Process
    }

    fn sample(&mut self, out: &mut Observation) -> Result<(), CollectError> {
        if let Way::Unknown(iterators) = &mut self.way {
            self.way = Way::find(&self.view, std::mem::take(iterators));
        }
        let (view, way, mut unread) = (&self.view, &mut self.way, 0);
        let read = self.holders.update(|holders| {
            unread = match way {
                Way::Unknown(_) => unreachable!("it has been found"),
                Way::Incremental(way) => way.sample(view, out, holders)?,
                Way::Scan(way, _) => way.sample(view, out, holders)?,
            };
            Ok::<_, Errno>(())
        });
        if let Way::Incremental(way) = &self.way
            && let Some(why) = way.broken()
        {
            self.way = Way::scan(why);
        }
        if let Some(look) = self.way.look() {
            out.gaps.extend(look.answers.watch(&self.view));
        }
        read.map_err(|error| unavailable(&self.view.proc_root, error))?;
        self.tell_unread(unread, out);
        Ok(())
    }

    fn restart(&mut self) {
        if let Some(look) = self.way.look() {
            look.answers.restart();
        }
        if let Way::Incremental(way) = &mut self.way {
            way.restart();
        }
    }

    fn note(&self) -> Option<String> {
        let (scan, answers) = match &self.way {
            Way::Scan(scan, why) => {
                (Some(format!("full scan at every tick: {why}")), scan.look.answers.note())
            }
            Way::Incremental(way) => (None, way.look.answers.note()),
            Way::Unknown(_) => (None, None),
        };
        let given = self.view.no_own_proc();
        let given =
            given.map(|why| format!("processes may be hidden by mounts over the system's /proc: {why}"));
        let notes: Vec<_> = scan.into_iter().chain(given).chain(answers).collect();
        (!notes.is_empty()).then(|| notes.join("; "))
    }
}

impl From<stat::Malformed> for Errno {
    /// A text that cannot be read as what it should be is a reading that failed.
    fn from(_: stat::Malformed) -> Self {
        Self::BADMSG
    }
}
