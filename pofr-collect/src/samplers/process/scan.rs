//! The full scan: every process is read at every tick. It needs nothing of the kernel but `/proc`.

use super::{
    answers::Answers,
    crowd::Crowd,
    incremental::is_covered,
    look::{Look, Seen, Table, Whom},
    quota::Quota,
    stat::Stat,
};
use crate::{HostView, samplers::holders::Holders, sys};
use hashbrown::HashSet;
use pofr_core::{collector::Observation, fact::Fact, identity::Pid};
use rustix::{fs::OFlags, io::Errno};
use std::os::fd::{AsFd as _, OwnedFd};

/// Room for some forty processes at a time: the newest, which stand last and often live shortly, are listed just before they
/// are read and not all when the sample begins.
const LISTING_BYTES: usize = 1 << 10;

/// Scans everything.
#[derive(Debug)]
pub(super) struct Scan {
    listing: sys::ListingBuffer,
    pub(super) look: Look,
    sockets: Vec<u64>,
    there: HashSet<Pid>,
    crowd: Crowd,
    quota: Option<Quota>,
}

impl Default for Scan {
    fn default() -> Self {
        Self {
            listing: sys::ListingBuffer::of_bytes(LISTING_BYTES),
            look: Look::keeping(),
            sockets: Vec::new(),
            there: HashSet::new(),
            crowd: Crowd::default(),
            quota: None,
        }
    }
}

impl Scan {
    /// Reads all processes; returns how many could not be read at all.
    pub(super) fn sample(
        &mut self,
        view: &HostView,
        out: &mut Observation,
        holders: &mut Holders,
    ) -> Result<u64, Errno> {
        let proc = open_proc(view)?;
        let mut unread = 0;
        let (look, sockets, there) = (&mut self.look, &mut self.sockets, &mut self.there);
        let crowd = &mut self.crowd;
        let quota = self.quota.get_or_insert_with(|| Quota::new(view.effort.clone()));
        quota.begin();
        look.begin();
        crowd.begin();
        there.clear();
        self.listing.numbers(&proc, |_, pid| {
            let before = out.facts.len();
            sockets.clear();
            let dir = sys::open_process(proc.as_fd(), pid);
            let mut table = |stat: &Stat, answers: &mut Answers| crowd.table_of(view, pid, stat, answers);
            let whom = Whom { thread_of: None, table: &mut table };
            match dir.and_then(|dir| look.at(view, &dir, Pid(pid), whom, &mut out.facts, sockets)) {
                Ok(mut seen) => {
                    if let Some(process) = &mut seen.process {
                        quota.admit(process, &mut out.facts, before, sockets);
                    }
                    crowd.saw(view, pid, &seen);
                    hold(holders, pid, &seen, sockets);
                    there.insert(Pid(pid));
                    out.facts.extend(seen.process.map(Fact::from));
                }
                Err(error) => {
                    out.facts.truncate(before);
                    unread += u64::from(is_covered(proc.as_fd(), pid, error) || pass_over(error)?);
                }
            }
            Ok(())
        })?;
        for (process, thread) in crowd.apart(proc.as_fd(), view.clock.boot_micros()) {
            let before = out.facts.len();
            sockets.clear();
            let (dir, mut files_of) = (sys::open_thread(proc.as_fd(), process, thread), Table::Own);
            let mut table = |_: &Stat, answers: &mut Answers| {
                files_of = crowd.table_of_thread(view, process, thread, answers);
                files_of
            };
            let whom = Whom { thread_of: Some(Pid(process)), table: &mut table };
            let seen = dir.and_then(|dir| look.at(view, &dir, Pid(thread), whom, &mut out.facts, sockets));
            match seen {
                Ok(mut seen) if crowd.is_apart(process, &seen, files_of) => {
                    if let Some(process) = &mut seen.process {
                        quota.admit(process, &mut out.facts, before, sockets);
                    }
                    hold(holders, thread, &seen, sockets);
                    there.insert(Pid(thread));
                    out.facts.extend(seen.process.map(Fact::from));
                }
                _ => out.facts.truncate(before),
            }
        }
        holders.keep(there);
        quota.tell(view.clock.now(), &mut out.gaps);
        Ok(unread)
    }
}

/// Takes note of what a process or a thread holds, and where it is.
fn hold(holders: &mut Holders, number: u32, seen: &Seen, sockets: &mut Vec<u64>) {
    let process = seen.process.as_ref();
    let namespaces = process.and_then(|p| p.key.namespaces.known());
    let holder = process.map(|p| p.key.entity);
    holders.set(Pid(number), holder, sockets, namespaces.map(|n| (n.net, seen.speaker)));
}

/// Opens `/proc` to list it.
pub(super) fn open_proc(view: &HostView) -> Result<OwnedFd, Errno> {
    view.open_proc(OFlags::RDONLY)
}

/// Says what to do where a process could not be read: whether it is there (true) or gone.
///
/// # Errors
/// Where the error is not about this one process: out of descriptors or memory, or no `/proc` as we know it.
pub(super) fn pass_over(error: Errno) -> Result<bool, Errno> {
    match error {
        e if sys::is_gone(e) => Ok(false),
        e @ (Errno::MFILE | Errno::NFILE | Errno::NOMEM | Errno::BADMSG) => Err(e),
        _ => Ok(true),
    }
}
