//! The full scan: every process is read at every tick. It needs nothing of the kernel but `/proc`.

use super::look::Look;
use crate::{HostView, samplers::holders::Holders, sys};
use hashbrown::HashSet;
use pofr_core::{collector::Observation, fact::Fact, identity::Pid};
use rustix::{
    fs::{CWD, Mode, OFlags},
    io::Errno,
};
use std::os::fd::{AsFd as _, OwnedFd};

/// Room for some forty processes at a time: the newest, which stand last and often live shortly, are listed just before they
/// are read and not all when the sample begins.
const LISTING_BYTES: usize = 1 << 10;

/// Scans everything.
#[derive(Debug)]
pub(super) struct Scan {
    listing: sys::ListingBuffer,
    look: Look,
    sockets: Vec<u64>,
    there: HashSet<Pid>,
}

impl Default for Scan {
    fn default() -> Self {
        Self {
            listing: sys::ListingBuffer::of_bytes(LISTING_BYTES),
            look: Look::keeping(),
            sockets: Vec::new(),
            there: HashSet::new(),
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
        look.begin();
        there.clear();
        self.listing.numbers(&proc, |_, pid| {
            let before = out.facts.len();
            sockets.clear();
            let dir = sys::open_process(proc.as_fd(), pid);
            match dir.and_then(|dir| look.at(view, &dir, Pid(pid), &mut out.facts, sockets)) {
                Ok(seen) => {
                    let process = seen.process;
                    let namespaces = process.as_ref().and_then(|p| p.key.namespaces.known());
                    let holder = process.as_ref().map(|p| p.key.entity);
                    holders.set(Pid(pid), holder, sockets, namespaces.map(|n| n.net));
                    there.insert(Pid(pid));
                    out.facts.extend(process.map(Fact::from));
                }
                Err(error) => {
                    out.facts.truncate(before);
                    unread += u64::from(pass_over(error)?);
                }
            }
            Ok(())
        })?;
        holders.keep(there);
        Ok(unread)
    }
}

/// Opens `/proc` to list it.
pub(super) fn open_proc(view: &HostView) -> Result<OwnedFd, Errno> {
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
    rustix::fs::openat(CWD, &view.proc_root, flags, Mode::empty())
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
