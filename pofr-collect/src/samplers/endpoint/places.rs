//! Places: the files that are bound to network namespaces, in our mount namespace and in those of others. What no process and no
//! thread lives in may have one.
//!
//! The kernel says when our own mounts change (proc_pid_mounts(5)). For those of others some processes are looked at in each tick, by
//! turns.

use super::mounts;
use crate::{HostView, namespaces, samplers::holders::Holders};
use pofr_core::identity::Pid;
use rustix::event::{PollFd, PollFlags, poll};
use std::{
    collections::{BTreeMap, BTreeSet},
    fs::File,
    io::{Read as _, Seek as _},
    ops::Bound,
    path::{Path, PathBuf},
};

/// So many processes are looked at in a tick.
const PROCESSES: usize = 16;
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
    foreign: BTreeMap<u32, Foreign>,
    /// The namespace and the process that were looked at last.
    last: Option<(u32, Pid)>,
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
        // A mount namespace through whose process nothing can be seen any more is looked into through another, if there is one.
        let is_there = |pid: &Pid| holders.namespaces().values().any(|there| there.contains(pid));
        self.foreign.retain(|_, foreign| is_there(&foreign.through));
        let (namespace, process) = self.last.unwrap_or((0, Pid(0)));
        let all = holders.namespaces();
        let rest = all.range(namespace..).flat_map(|(of, there)| {
            let after = if *of == namespace { Bound::Excluded(process) } else { Bound::Unbounded };
            there.range((after, Bound::Unbounded)).map(|pid| (*of, *pid))
        });
        let chosen: Vec<(u32, Pid)> = rest.take(PROCESSES).collect();
        // The next tick begins anew where this one came to the end.
        self.last = chosen.last().copied().filter(|_| chosen.len() == PROCESSES);
        for (_, pid) in chosen {
            let Ok(link) = std::fs::read_link(view.proc_root.join(format!("{}/ns/mnt", pid.0))) else {
                continue;
            };
            if let Some(mount) = namespaces::inode(link.as_os_str().as_encoded_bytes()) {
                self.look_into(&view.proc_root, mount, pid, now);
            }
        }
    }

    /// Looks into the mounts that a process sees, unless somebody who sees the same was asked not long ago.
    fn look_into(&mut self, proc_root: &Path, mount: u32, pid: Pid, now: i64) {
        let is_recent = |foreign: &Foreign| now < foreign.looked + FOREIGN_EVERY;
        match self.foreign.get(&mount) {
            Some(foreign) if is_recent(foreign) => return,
            None if self.foreign.len() >= MOST_FOREIGN => return,
            _ => {}
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
        let foreign =
            self.foreign.values().flat_map(|foreign| &foreign.names).map(|(inode, _)| (*inode, false));
        self.names.keys().map(|inode| (*inode, true)).chain(foreign)
    }

    /// Returns the names of a namespace, ours first.
    pub(super) fn names(&self, inode: u32) -> impl Iterator<Item = &Path> {
        let foreign = self.foreign.values().flat_map(|foreign| &foreign.names);
        let foreign = foreign.filter(move |(of, _)| *of == inode).map(|(_, path)| path);
        self.names.get(&inode).into_iter().flatten().chain(foreign).map(PathBuf::as_path)
    }
}

/// Reads what a file of mounts tells.
fn text(file: impl std::io::Read) -> Option<Vec<u8>> {
    let mut text = Vec::new();
    file.take(MOST_MOUNTS).read_to_end(&mut text).ok()?;
    Some(text)
}
