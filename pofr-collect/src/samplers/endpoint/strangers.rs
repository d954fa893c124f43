//! Strangers: sockets that a process holds and that are in no network namespace which was read.
//!
//! Nearly all of these are of other families, or not bound to anything yet: that is found out once for each, by a thread of its own,
//! so that no tick waits. Of a TCP or UDP socket the kernel tells the namespace (`SIOCGSKNS`), for which the socket must be ours, too,
//! for a moment (pidfd_getfd(2), with CAP_SYS_PTRACE). Where a socket's control group counts for the network (cgroup v1) that would
//! change what it counts as: there it is not done.

use super::visit::of_descriptor;
use crate::{namespaces, samplers::holders::Holders, sys};
use hashbrown::{HashMap, HashSet};
use pofr_core::identity::Pid;
use std::{
    collections::{BTreeMap, BTreeSet},
    path::{Path, PathBuf},
    sync::mpsc::{Receiver, Sender, TryRecvError, channel},
    thread,
};

/// So many sockets are looked at at a time.
const AT_A_TIME: usize = 512;
/// What it takes may be one in so many of the time that passes.
const SHARE: i64 = 33;

/// What was found out.
#[derive(Debug, Default)]
pub(super) struct Strangers {
    /// Not looked at yet, and whether a whole reading has missed them since.
    pending: BTreeMap<u64, bool>,
    worker: Option<Worker>,
    /// Whether the worker has not answered yet.
    is_asked: bool,
    /// Until when nothing is asked, on `CLOCK_BOOTTIME`, µs.
    rests: i64,
    asked: HashSet<u64>,
    /// The sockets of namespaces, with a holder and its descriptor.
    found: BTreeMap<u64, (u32, Pid, u32)>,
    /// Those whose namespace cannot be told, and a holder.
    lost: BTreeMap<u64, Pid>,
}

/// Sockets by a process that holds them.
type Of = HashMap<Pid, HashSet<u64>>;

/// The thread that finds out. It stays: a thread of its own for each round would take a process number each time, and every number that
/// is given out has all of `/proc` listed.
#[derive(Debug)]
struct Worker {
    asks: Sender<Of>,
    answers: Receiver<Answer>,
}

impl Worker {
    /// Makes the thread; `None` where none can be made.
    fn begin(proc_root: &Path) -> Option<Self> {
        let ((asks, asked), (told, answers)) = (channel::<Of>(), channel());
        let proc_root = proc_root.to_owned();
        let work = move || {
            let mut before = crate::clock::thread_micros();
            for of in asked {
                let all = find(&proc_root, &of);
                let now = crate::clock::thread_micros();
                if told.send((all, now - before)).is_err() {
                    return;
                }
                before = now;
            }
        };
        thread::Builder::new().name("pofr-strangers".to_owned()).spawn(work).ok()?;
        Some(Self { asks, answers })
    }
}

/// What sockets are, and the CPU time that it took to find out, µs.
type Answer = (Vec<(u64, Found)>, i64);

/// What a socket is.
#[derive(Clone, Copy, Debug)]
enum Found {
    /// None that is recorded.
    Other,
    /// One of this namespace.
    Of(u32, Pid, u32),
    /// One of TCP or UDP whose namespace the kernel does not tell us.
    Unknown(Pid),
}

impl Strangers {
    /// Takes the sockets whose holders have changed, and which sockets the namespaces have that were read.
    pub(super) fn look(
        &mut self,
        proc_root: &Path,
        holders: &Holders,
        changed: &HashSet<u64>,
        now: i64,
        known: impl FnOnce() -> HashSet<u64>,
    ) {
        for inode in changed {
            if holders.of(*inode).iter().any(Option::is_some) {
                self.pending.insert(*inode, false);
            } else {
                self.pending.remove(inode);
                self.found.remove(inode);
                self.lost.remove(inode);
            }
        }
        if self.is_asked {
            match self.worker.as_ref().map(|worker| worker.answers.try_recv()) {
                Some(Ok((all, micros))) => {
                    self.rests = now + micros * SHARE;
                    self.take(all, holders);
                }
                Some(Err(TryRecvError::Empty)) => return,
                Some(Err(TryRecvError::Disconnected)) | None => self.worker = None,
            }
            self.is_asked = false;
        }
        if self.pending.is_empty() || now < self.rests {
            return;
        }
        let known = known();
        self.pending.retain(|inode, _| !known.contains(inode));
        self.found.retain(|inode, _| !known.contains(inode));
        let (mut of, mut chosen) = (Of::new(), 0);
        for (inode, missed) in &mut self.pending {
            // What was opened after the sockets were listed is in the next list.
            if std::mem::replace(missed, true)
                && chosen < AT_A_TIME
                && let Some(pid) = holders.of(*inode).iter().flatten().next().map(|holder| holder.pid())
            {
                of.entry(pid).or_default().insert(*inode);
                chosen += 1;
            }
        }
        if !of.is_empty() {
            self.asked = of.values().flatten().copied().collect();
            // Where no thread can be made, they are asked for again.
            self.worker = self.worker.take().or_else(|| Worker::begin(proc_root));
            self.is_asked = self.worker.as_ref().is_some_and(|worker| worker.asks.send(of).is_ok());
        }
    }

    fn take(&mut self, all: Vec<(u64, Found)>, holders: &Holders) {
        // Those that were not among their holder's any more are known by another reading.
        for inode in self.asked.drain() {
            self.pending.remove(&inode);
        }
        for (inode, found) in all {
            self.lost.remove(&inode);
            match found {
                _ if holders.of(inode).is_empty() => {}
                Found::Of(namespace, pid, fd) => {
                    self.found.insert(inode, (namespace, pid, fd));
                }
                Found::Unknown(pid) => {
                    self.lost.insert(inode, pid);
                }
                Found::Other => {}
            }
        }
    }

    /// Returns the namespaces that sockets are of.
    pub(super) fn namespaces(&self) -> impl Iterator<Item = u32> {
        self.found.values().map(|(namespace, ..)| *namespace)
    }

    /// Returns a socket of a namespace: a process and its descriptor.
    pub(super) fn way(&self, namespace: u32) -> Option<(Pid, u32)> {
        self.found.values().find(|(of, ..)| *of == namespace).map(|(_, pid, fd)| (*pid, *fd))
    }

    /// Returns the processes that hold sockets whose namespace cannot be told.
    pub(super) fn lost(&self) -> BTreeSet<Pid> {
        self.lost.values().copied().collect()
    }
}

/// Finds out what the sockets of processes are.
fn find(proc_root: &Path, of: &Of) -> Vec<(u64, Found)> {
    let may_take = !counts_by_group(proc_root);
    let mut all = Vec::new();
    for (pid, sockets) in of {
        let dir: PathBuf = proc_root.join(pid.0.to_string()).join("fd");
        let mut left = sockets.clone();
        for entry in std::fs::read_dir(&dir).into_iter().flatten().flatten() {
            let Ok(link) = std::fs::read_link(entry.path()) else { continue };
            let link = link.as_os_str().as_encoded_bytes();
            let Some(inode) = link.strip_prefix(b"socket:").and_then(namespaces::number::<u64>) else {
                continue;
            };
            let fd = sys::parse(entry.file_name().as_encoded_bytes());
            let (true, Some(fd)) = (left.remove(&inode), fd) else { continue };
            all.push((inode, what(&entry.path(), *pid, fd, may_take)));
            if left.is_empty() {
                break;
            }
        }
    }
    all
}

fn what(path: &Path, pid: Pid, fd: u32, may_take: bool) -> Found {
    let mut name = [0; 32];
    let length = rustix::fs::getxattr(path, "system.sockprotoname", &mut name).unwrap_or(0);
    if !(name[..length].starts_with(b"TCP") || name[..length].starts_with(b"UDP")) {
        return Found::Other;
    }
    if !may_take {
        return Found::Unknown(pid);
    }
    let namespace = of_descriptor(pid, fd).and_then(rustix::fs::fstat);
    match namespace.map(|namespace| u32::try_from(namespace.st_ino)) {
        Ok(Ok(namespace)) => Found::Of(namespace, pid, fd),
        // Gone by now.
        Err(error) if sys::is_gone(error) || error == rustix::io::Errno::BADF => Found::Other,
        _ => Found::Unknown(pid),
    }
}

/// Tells whether a socket counts as its control group's (`net_cls`, `net_prio`, in a hierarchy of cgroup v1).
fn counts_by_group(proc_root: &Path) -> bool {
    // Name, hierarchy, how many groups, whether it is on.
    let text = std::fs::read_to_string(proc_root.join("cgroups")).unwrap_or_default();
    text.lines().any(|line| {
        let mut fields = line.split_whitespace();
        matches!(fields.next(), Some("net_cls" | "net_prio")) && fields.next() != Some("0")
    })
}
