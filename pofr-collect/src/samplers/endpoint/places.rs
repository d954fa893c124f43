//! Places: where the network namespaces are that no process's first thread lives in. Threads that live elsewhere than their process,
//! and files that are bound to a namespace, in our mount namespace and in those of others.
//!
//! The kernel says when our own mounts change (proc_pid_mounts(5)). For the rest some processes are looked at in each tick, by turns.

use super::{mounts, visit::Way};
use crate::{HostView, namespaces, samplers::holders::Holders, sys};
use pofr_core::identity::Pid;
use rustix::event::{PollFd, PollFlags, poll};
use std::{
    collections::{BTreeMap, BTreeSet},
    fs::File,
    io::{Read as _, Seek as _},
    ops::Bound,
    path::{Path, PathBuf},
};

/// So many processes are looked at in a tick, or as many threads as this.
const PROCESSES: usize = 32;
const THREADS: usize = 256;
/// No more is read of the mounts of one mount namespace.
const MOST_MOUNTS: u64 = 4 << 20;
/// So many mount namespaces of others are looked into, each so often, µs.
const MOST_FOREIGN: usize = 256;
const FOREIGN_EVERY: i64 = 10_000_000;

/// What was found.
#[derive(Debug, Default)]
pub(super) struct Places {
    mounts: Option<File>,
    names: BTreeMap<u32, BTreeSet<PathBuf>>,
    /// The threads of each process that live elsewhere, with the namespaces.
    threads: BTreeMap<Pid, Vec<(u32, u32)>>,
    foreign: BTreeMap<u32, Foreign>,
    /// The namespace and the process that were looked at last.
    last: Option<(u32, Pid)>,
    listing: sys::ListingBuffer,
    buffers: sys::Buffers,
}

/// A mount namespace of others.
#[derive(Debug)]
struct Foreign {
    through: Pid,
    looked: i64,
    names: Vec<(u32, PathBuf)>,
}

impl Places {
    /// Looks again.
    pub(super) fn look(&mut self, view: &HostView, holders: &Holders, now: i64) {
        if !view.live {
            return;
        }
        self.look_at_own_mounts(&view.proc_root);
        // Whoever is gone has no threads; and a mount namespace in which nobody was seen for some turns may be gone, too.
        let is_there = |pid: &Pid| holders.namespaces().values().any(|there| there.contains(pid));
        self.threads.retain(|pid, _| is_there(pid));
        self.foreign.retain(|_, foreign| is_there(&foreign.through));
        let (namespace, process) = self.last.unwrap_or((0, Pid(0)));
        let all = holders.namespaces();
        let rest = all.range(namespace..).flat_map(|(of, there)| {
            let after = if *of == namespace { Bound::Excluded(process) } else { Bound::Unbounded };
            there.range((after, Bound::Unbounded)).map(|pid| (*of, *pid))
        });
        let chosen: Vec<(u32, Pid)> = rest.take(PROCESSES).collect();
        let is_round = chosen.len() < PROCESSES;
        let mut links = 0;
        for (of, pid) in chosen {
            self.last = Some((of, pid));
            links += self.look_at(view, pid, of, now).unwrap_or(0);
            if links >= THREADS {
                return;
            }
        }
        if is_round {
            self.last = None;
        }
    }

    /// Looks at one process; returns how many threads it has.
    fn look_at(&mut self, view: &HostView, pid: Pid, of: u32, now: i64) -> Option<usize> {
        use std::os::fd::AsFd as _;
        self.threads.remove(&pid);
        let dir = File::open(view.proc_root.join(pid.0.to_string()).join("task")).ok()?;
        let mut all = Vec::new();
        let listed = self.listing.numbers(&dir, |_, thread| {
            all.push(thread);
            Ok(())
        });
        listed.ok()?;
        let own = std::ffi::CString::new(format!("{}/ns/mnt", pid.0)).ok()?;
        let mount = self.buffers.read_link(dir.as_fd(), &own).ok().and_then(namespaces::inode);
        if all.len() > 1 {
            let mut elsewhere = Vec::new();
            for thread in &all {
                let link = std::ffi::CString::new(format!("{thread}/ns/net")).ok()?;
                let inode = self.buffers.read_link(dir.as_fd(), &link).ok().and_then(namespaces::inode);
                elsewhere.extend(inode.filter(|inode| *inode != of).map(|inode| (*thread, inode)));
            }
            if !elsewhere.is_empty() {
                self.threads.insert(pid, elsewhere);
            }
        }
        if let Some(mount) = mount {
            self.look_into(&view.proc_root, mount, pid, now);
        }
        Some(all.len())
    }

    /// Looks into the mounts that a process sees, unless somebody who sees the same was asked not long ago.
    fn look_into(&mut self, proc_root: &Path, mount: u32, pid: Pid, now: i64) {
        let is_recent = |foreign: &Foreign| now < foreign.looked + FOREIGN_EVERY;
        if self.foreign.get(&mount).is_some_and(is_recent) || self.foreign.len() >= MOST_FOREIGN {
            return;
        }
        let process = proc_root.join(pid.0.to_string());
        let Ok(file) = File::open(process.join("mountinfo")) else { return };
        let root = process.join("root");
        let below = |point: PathBuf| root.join(point.strip_prefix("/").unwrap_or(&point));
        let names =
            text(file).map(|text| mounts::names(&text).map(|(of, point)| (of, below(point))).collect());
        self.foreign.insert(mount, Foreign { through: pid, looked: now, names: names.unwrap_or_default() });
    }

    /// Reads our own mounts where they have changed.
    fn look_at_own_mounts(&mut self, proc_root: &Path) {
        let is_new = self.mounts.is_none();
        if is_new {
            self.mounts = File::open(proc_root.join("self/mountinfo")).ok();
        }
        let Some(file) = &mut self.mounts else { return };
        let now = rustix::time::Timespec { tv_sec: 0, tv_nsec: 0 };
        let mut change = [PollFd::new(file, PollFlags::PRI)];
        let has_changed = poll(&mut change, Some(&now)).is_ok()
            && change[0].revents().intersects(PollFlags::PRI | PollFlags::ERR);
        if !has_changed && !is_new {
            return;
        }
        let Some(text) = file.rewind().ok().and_then(|()| text(&*file)) else { return };
        self.names.clear();
        for (inode, path) in mounts::names(&text) {
            self.names.entry(inode).or_default().insert(path);
        }
    }

    /// Returns the namespaces that were found, and whether by our own mounts, which tell at once.
    pub(super) fn namespaces(&self) -> impl Iterator<Item = (u32, bool)> {
        let threads = self.threads.values().flatten().map(|(_, inode)| (*inode, false));
        let foreign =
            self.foreign.values().flat_map(|foreign| &foreign.names).map(|(inode, _)| (*inode, false));
        self.names.keys().map(|inode| (*inode, true)).chain(threads).chain(foreign)
    }

    /// Returns the ways to a namespace, the best first.
    pub(super) fn ways(&self, inode: u32) -> impl Iterator<Item = Way> {
        let threads = self.threads.iter().flat_map(|(pid, all)| all.iter().map(move |one| (*pid, one)));
        let threads = threads.filter(move |(_, (_, of))| *of == inode);
        let names = self.names.get(&inode).into_iter().flatten();
        let foreign = self.foreign.values().flat_map(|foreign| &foreign.names);
        let foreign = foreign.filter(move |(of, _)| *of == inode).map(|(_, path)| path);
        let threads = threads.map(|(pid, (thread, _))| Way::Thread(pid, *thread));
        threads.chain(names.chain(foreign).map(|path| Way::Name(path.clone())))
    }
}

/// Reads what a file of mounts tells.
fn text(file: impl std::io::Read) -> Option<Vec<u8>> {
    let mut text = Vec::new();
    file.take(MOST_MOUNTS).read_to_end(&mut text).ok()?;
    Some(text)
}
