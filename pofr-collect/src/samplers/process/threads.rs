//! Threads that have something of their own: ids, a descriptor table or namespaces that are not those of their process.
//!
//! POSIX knows no such threads, but the kernel does: ids are changed for one thread by the system call itself, tables and namespaces
//! by unshare(2), setns(2) and clone(2). Each such thread is told as an entity of its own, with the mark of its process.
//!
//! They are looked for in processes that ran, some threads at each tick: what differs is cheap to see, but a process may have tens of
//! thousands. The rest is looked at in the ticks that follow, whether the process runs then or not.

use super::{
    incremental::{Incremental, Tick},
    known::{Due, Known},
    sharing::place,
    status,
};
use crate::{namespaces, sys};
use pofr_core::{
    Source,
    fact::{Ids, Namespaces},
    gap::{Gap, Severity},
    time::WallMicros,
};
use rustix::{
    fs::{AtFlags, SeekFrom, statat},
    io::Errno,
};
use std::{
    ffi::{CStr, CString},
    os::fd::{AsFd as _, BorrowedFd, OwnedFd},
};

/// How many threads are looked at in a tick, and at the first one, and at least of one process whose turn it is.
const BUDGET: usize = 64;
const FIRST: usize = 4_096;
const SLICE: usize = 8;
/// How many of those that have something of their own are read again in a tick.
const READ: usize = 256;
/// At each turn one thread of so many is looked at in full: real ids, and the namespaces in which a thread alone is seldom.
const THOROUGH: i64 = 8;
/// If all threads of a process take longer than this, and more than some ticks, it is said, µs.
const LONG: i64 = 30_000_000;
const SOME: u32 = 8;
/// Room for some forty threads at a time: listing one costs as much as looking at it.
const LISTING: usize = 1 << 10;

/// How far the threads of a process have been looked at.
#[derive(Clone, Copy, Debug)]
pub(super) struct Walk {
    /// The place of the next one in the listing.
    next: u64,
    /// The process ran after this began, so that another must follow.
    more: bool,
    /// When it began, and at how many ticks it has gone on since.
    since: WallMicros,
    ticks: u32,
}

impl Walk {
    /// Begins a walk, or has another follow the one that is going on.
    pub(super) fn begin(walk: Option<Self>, stamp: WallMicros) -> Self {
        walk.map_or(Self { next: 0, more: false, since: stamp, ticks: 0 }, |walk| Self {
            more: walk.next > 0,
            ..walk
        })
    }
}

/// What a thread has if it has nothing of its own.
#[derive(Clone, Copy, Debug)]
pub(super) struct Common {
    /// The process, and the thread that speaks for it.
    pub(super) pid: u32,
    pub(super) speaker: u32,
    pub(super) ids: Option<Ids>,
    pub(super) namespaces: Option<Namespaces>,
}

/// Looks at threads.
#[derive(Debug)]
pub(super) struct Comparer {
    buffers: sys::Buffers,
    listing: sys::ListingBuffer,
}

impl Default for Comparer {
    fn default() -> Self {
        Self { buffers: sys::Buffers::default(), listing: sys::ListingBuffer::of_bytes(LISTING) }
    }
}

impl Comparer {
    /// Looks at up to `count` threads of a process, from the one at the place `next` on, and adds those that have something of their
    /// own to `found`. Returns how many it looked at, and whether these were the last.
    pub(super) fn compare(
        &mut self,
        proc: BorrowedFd<'_>,
        common: &Common,
        next: u64,
        count: usize,
        turn: i64,
        found: &mut Vec<u32>,
    ) -> Result<(usize, bool), Errno> {
        let tasks = open_tasks(proc, common.pid)?;
        if next > 0 {
            // Two entries stand before the threads.
            rustix::fs::seek(&tasks, SeekFrom::Start(next + 2))?;
        }
        let (buffers, mut looked) = (&mut self.buffers, 0);
        let listed = self.listing.numbers(&tasks, |name, tid| {
            if looked == count {
                return Err(Errno::CANCELED);
            }
            looked += 1;
            let thorough = (i64::from(tid) + turn) % THOROUGH == 0;
            if tid != common.speaker
                && tid != common.pid
                && is_apart(buffers, &tasks, name, tid, common, thorough)
            {
                found.push(tid);
            }
            Ok(())
        });
        match listed {
            Ok(()) => Ok((looked, true)),
            Err(Errno::CANCELED) => Ok((looked, false)),
            Err(error) => Err(error),
        }
    }
}

/// Opens the directory of a process's threads.
fn open_tasks(proc: BorrowedFd<'_>, pid: u32) -> Result<OwnedFd, Errno> {
    let path = CString::new(format!("{pid}/task")).map_err(|_| Errno::INVAL)?;
    sys::open_listing(proc, &path)
}

/// Tells whether a thread has anything of its own. One that is gone, or does not tell, has not.
fn is_apart(
    buffers: &mut sys::Buffers,
    tasks: &OwnedFd,
    name: &CStr,
    tid: u32,
    common: &Common,
    thorough: bool,
) -> bool {
    if sys::share(common.speaker, tid, sys::Shared::Files) == Ok(false) && !is_over(buffers, tasks, tid) {
        return true;
    }
    // Such a directory is owned by who the thread effectively is (task_dump_owner in fs/proc/base.c).
    let owner = statat(tasks, name, AtFlags::empty());
    if let (Ok(owner), Some(ids)) = (owner, common.ids)
        && (Some(owner.st_uid), Some(owner.st_gid)) != (ids.euid, ids.egid)
    {
        return true;
    }
    let mut link = |namespace: &str| {
        let path = CString::new(format!("{tid}/ns/{namespace}")).ok()?;
        buffers.read_link(tasks.as_fd(), &path).ok().and_then(namespaces::inode)
    };
    let other = |is: Option<u32>, common: u32| is.is_some_and(|is| is != common && common != 0);
    if let Some(namespaces) = common.namespaces
        && (other(link("net"), namespaces.net) || other(link("mnt"), namespaces.mnt))
    {
        return true;
    }
    thorough && is_apart_in_full(buffers, tasks, name, common)
}

/// The same by everything.
fn is_apart_in_full(buffers: &mut sys::Buffers, tasks: &OwnedFd, name: &CStr, common: &Common) -> bool {
    let Ok(dir) = sys::open_place(tasks.as_fd(), name) else { return false };
    let all = namespaces::read(buffers, dir.as_fd());
    let all = all.known().filter(|all| all.net != 0);
    if all.zip(common.namespaces.as_ref()).is_some_and(|(is, common)| is != common) {
        return true;
    }
    let status = buffers.read(dir.as_fd(), c"status").ok().and_then(status::parse);
    status.zip(common.ids).is_some_and(|(status, common)| status.ids != common)
}

/// Tells whether a thread has exited: then it has no table at all.
fn is_over(buffers: &mut sys::Buffers, tasks: &OwnedFd, tid: u32) -> bool {
    let Ok(path) = CString::new(format!("{tid}/stat")) else { return true };
    let stat = buffers.read(tasks.as_fd(), &path).ok().and_then(super::stat::parse);
    stat.is_none_or(|stat| stat.exiting)
}

impl Known {
    /// Returns what its threads have if they have nothing of their own.
    const fn common(&self) -> Common {
        Common { pid: self.pid, speaker: self.speaker, ids: self.ids, namespaces: self.namespaces }
    }

    /// Tells whether its threads are looked at.
    pub(super) const fn has_threads(&self) -> bool {
        self.threads
            && self.thread_of == 0
            && !self.kernel_thread
            && !self.left_out
            && !self.gone
            && !self.zombie
    }
}

impl Incremental {
    /// Has only so many threads read in this tick as it bears, though more are due: whoever was not reached in the last one comes
    /// first. Those of processes that are gone go with them.
    pub(super) fn ration(&mut self, tick: &mut Tick<'_>) {
        let mut due = Vec::new();
        for at in 0..self.table.len() {
            let known = &mut self.table[at];
            if known.thread_of == 0 || known.due != Due::Moved {
                continue;
            }
            if known.over {
                (known.due, known.gone) = (Due::Done, true);
                let gone = known.clone();
                self.bury(&gone, tick);
            } else {
                due.push(at);
            }
        }
        if due.len() > READ {
            let first = due.partition_point(|at| self.table[*at].pid <= self.last_read);
            due.rotate_left(first);
            self.last_read = self.table[due[READ - 1]].pid;
            for at in due.drain(READ..) {
                let known = &mut self.table[at];
                (known.due, known.again, known.put_off) = (Due::Not, true, true);
            }
            self.rationed.get_or_insert(tick.stamp);
        }
        let is_over = due.len() < READ;
        if let Some(from) = self.rationed.filter(|from| is_over || tick.stamp.0 - from.0 > LONG) {
            self.rationed = (!is_over).then_some(tick.stamp);
            tick.out.gaps.push(thin(
                "threads with files, ids or namespaces of their own were read by turns",
                from,
                tick.stamp,
            ));
        }
    }

    /// Looks at some of the threads that are to be looked at, and reads those that have something of their own.
    pub(super) fn walk(&mut self, tick: &mut Tick<'_>) -> Result<(), Errno> {
        for (process, thread) in tick.view.take_suspects() {
            self.meet(process, thread, tick)?;
        }
        let mut due: Vec<u32> =
            self.table.iter().filter(|known| known.walk.is_some()).map(|known| known.pid).collect();
        if due.is_empty() {
            return Ok(());
        }
        // Whoever was not reached in the last tick comes first.
        let first = due.partition_point(|pid| *pid <= self.walked);
        due.rotate_left(first);
        let mut left = if self.last.is_none() { FIRST } else { BUDGET };
        let slice = (left / due.len()).max(SLICE);
        for pid in due {
            if left == 0 {
                break;
            }
            left -= self.walk_one(pid, slice.min(left), tick)?;
            self.walked = pid;
        }
        Ok(())
    }

    /// Looks at some threads of one process; returns how many.
    fn walk_one(&mut self, pid: u32, count: usize, tick: &mut Tick<'_>) -> Result<usize, Errno> {
        let Some(at) = place(&self.table, pid) else { return Ok(0) };
        let known = &self.table[at];
        let Some(walk) = known.walk.filter(|_| known.has_threads()) else {
            self.table[at].walk = None;
            return Ok(0);
        };
        let mut found = Vec::new();
        let turn = tick.now / 1_000_000;
        let compared =
            self.comparer.compare(tick.proc.as_fd(), &known.common(), walk.next, count, turn, &mut found);
        let Ok((looked, is_end)) = compared else {
            // It is gone, as the next tick will find.
            self.table[at].walk = None;
            return Ok(1);
        };
        let walk = if is_end {
            if tick.stamp.0 - walk.since.0 > LONG && walk.ticks >= SOME {
                tick.out.gaps.push(slow(pid, walk.since, tick.stamp));
            }
            walk.more.then_some(Walk { next: 0, more: false, since: tick.stamp, ticks: 0 })
        } else {
            Some(Walk { next: walk.next + looked as u64, ticks: walk.ticks + 1, ..walk })
        };
        self.table[at].walk = walk;
        for thread in found {
            self.meet(pid, thread, tick)?;
        }
        Ok(looked.max(1))
    }

    /// Reads a thread that may have something of its own; keeps it if it has.
    fn meet(&mut self, process: u32, thread: u32, tick: &mut Tick<'_>) -> Result<(), Errno> {
        let Some(owner) = place(&self.table, process).map(|at| &self.table[at]) else { return Ok(()) };
        let Err(at) = self.table.binary_search_by_key(&thread, |known| known.pid) else { return Ok(()) };
        if !owner.has_threads() || owner.due == Due::New || thread == owner.speaker {
            return Ok(());
        }
        let mut known = Known::new(thread, 0, owner.figures, tick.now);
        (known.thread_of, known.moved) = (process, owner.moved);
        self.table.insert(at, known);
        let before = tick.out.facts.len();
        match self.read(at, tick)? {
            Some((_, seen)) => self.take(at, seen, before, None, tick),
            None => self.lose(at, tick),
        }
        Ok(())
    }

    /// Tells whether what was read of a thread is anything that its process has not.
    pub(super) fn is_apart(&self, at: usize, seen: &super::look::Seen) -> bool {
        let known = &self.table[at];
        let owner = place(&self.table, known.thread_of).map(|at| &self.table[at]);
        let Some(owner) = owner.filter(|owner| owner.has_threads() && owner.speaker != known.pid) else {
            return false;
        };
        let Some(process) = &seen.process else { return false };
        let root = if owner.files_of == 0 { owner.pid } else { owner.files_of };
        let namespaces = process.key.namespaces.known();
        seen.files_of != root
            || owner.ids.is_some_and(|ids| ids != process.key.ids)
            || namespaces.zip(owner.namespaces.as_ref()).is_some_and(|(is, common)| is != common)
    }
}

/// Says that a process has more threads than could be looked at.
fn slow(pid: u32, from: WallMicros, to: WallMicros) -> Gap {
    let reason = format!(
        "process {pid} has more threads than can be looked at within 30 s: one with files, ids or namespaces of its own may be told late"
    );
    thin(&reason, from, to)
}

fn thin(reason: &str, from: WallMicros, to: WallMicros) -> Gap {
    let reason = reason.to_owned();
    Gap { source: Some(Source::Process), severity: Severity::Thin, reason, from, to: Some(to), lost: None }
}
