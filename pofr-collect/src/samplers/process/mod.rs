//! The process sampler: every process with its attributes and its open files.
//!
//! A process is read through one open `/proc/PID` directory. That directory belongs to the process, not to the number:
//! once the process is gone every lookup in it fails, even where the number has been given to another (fs/proc/base.c),
//! so what is put together here never mixes two processes. A process that vanishes while it is read is left out with all its
//! files, as if the sample had come a moment later.

mod files;
mod look;
mod newborn;
mod stat;
mod status;

use super::{Context, SharedHolders, holders::Holders, unavailable};
use crate::{HostView, sys};
use look::Look;
pub(super) use look::namespace_inode;
pub(crate) use newborn::{Brief, Sight, Watcher};
use pofr_core::{
    Collector, Source,
    collector::{CollectError, Observation},
    fact::Fact,
    gap::{Gap, Severity},
    identity::{Pid, StartTicks},
};
use rustix::{
    fs::{CWD, Mode, OFlags},
    io::Errno,
};
use stat::Stat;
use std::os::fd::AsFd;

/// Room for some forty processes at a time: the newest, which stand last and often live shortly, are listed just before they
/// are read and not all when the sample begins.
const LISTING_BYTES: usize = 1 << 10;

/// Samples processes and their open files.
#[derive(Debug)]
pub struct ProcessSampler {
    view: HostView,
    holders: SharedHolders,
    listing: sys::ListingBuffer,
    look: Look,
    /// Whether it has been said that some processes do not even tell who they are.
    said_unread: bool,
}

/// Makes the sampler for the registry.
pub(super) fn make(context: &Context) -> Box<dyn Collector> {
    Box::new(ProcessSampler::new(context))
}

/// Returns a kernel thread's name without what it is at.
pub(crate) fn steady_name(comm: &[u8]) -> &[u8] {
    stat::steady(comm)
}

/// Returns when the process started; `None` where there is none or it does not say.
pub(crate) fn start(view: &HostView, pid: Pid) -> Option<StartTicks> {
    let text = std::fs::read(view.proc_root.join(pid.to_string()).join("stat")).ok()?;
    stat::parse(&text).map(|stat| stat.start)
}

impl ProcessSampler {
    /// Makes a sampler.
    #[must_use]
    pub fn new(context: &Context) -> Self {
        Self {
            view: context.view.clone(),
            holders: context.holders.clone(),
            listing: sys::ListingBuffer::of_bytes(LISTING_BYTES),
            look: Look::default(),
            said_unread: false,
        }
    }

    fn read(&mut self, out: &mut Observation) -> Result<Holders, CollectError> {
        let root = &self.view.proc_root;
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
        let proc = rustix::fs::openat(CWD, root, flags, Mode::empty()).map_err(|e| unavailable(root, e))?;
        let mut holders = Holders::default();
        let mut unread = 0;
        let (look, view) = (&mut self.look, &self.view);
        look.begin();
        let listed = self.listing.numbers(&proc, |name, pid| {
            let dir = match sys::open_place(proc.as_fd(), name) {
                Ok(dir) => dir,
                Err(error) if sys::is_gone(error) => return Ok(()),
                Err(error) if sys::is_denied(error) => {
                    unread += 1;
                    return Ok(());
                }
                Err(error) => return Err(error),
            };
            let (facts, sockets) = (out.facts.len(), holders.mark());
            match look.at(view, &dir, Pid(pid), out, &mut holders) {
                Ok(Some(process)) => {
                    if let Some(namespaces) = process.key.namespaces.known() {
                        holders.namespaces.entry(namespaces.net).or_default().push(Pid(pid));
                    }
                    out.show(Fact::Process(process));
                }
                Ok(None) => {}
                Err(error) => {
                    out.facts.truncate(facts);
                    holders.forget_since(sockets);
                    match error {
                        e if sys::is_gone(e) => {}
                        // Out of descriptors or memory, or no /proc as we know it: that is not about this one process.
                        e @ (Errno::MFILE | Errno::NFILE | Errno::NOMEM | Errno::BADMSG) => return Err(e),
                        _ => unread += 1,
                    }
                }
            }
            Ok(())
        });
        listed.map_err(|error| unavailable(root, error))?;
        self.tell_unread(unread, out);
        Ok(holders)
    }

    /// Says, once, that there are processes of which not even the start time may be read (`hidepid`, proc(5)).
    fn tell_unread(&mut self, unread: u64, out: &mut Observation) {
        if unread > 0 && !self.said_unread {
            self.said_unread = true;
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

impl Collector for ProcessSampler {
    fn source(&self) -> Source {
        Source::Process
    }

    fn sample(&mut self, out: &mut Observation) -> Result<(), CollectError> {
        match self.read(out) {
            Ok(holders) => {
                self.holders.leave(Some(holders));
                Ok(())
            }
            Err(error) => {
                self.holders.leave(None);
                Err(error)
            }
        }
    }
}

impl From<stat::Malformed> for Errno {
    /// A text that cannot be read as what it should be is a reading that failed.
    fn from(_: stat::Malformed) -> Self {
        Self::BADMSG
    }
}
