//! Known: what is kept of each process from tick to tick, so that one in which nothing happened need not be read.

use super::{files::Behind, prints::Prints, threads::Walk};
use crate::figures::Figures;
use pofr_core::{
    fact::{Ids, Namespaces},
    identity::{BootId, Entity, Pid, StartTicks},
    time::WallMicros,
};

/// A process that has been read.
#[derive(Clone, Debug)]
pub(super) struct Known {
    /// Its number.
    pub(super) pid: u32,
    /// When it started; not yet known where it has not been read.
    pub(super) start: StartTicks,
    /// The inode number of its directory in `/proc`: another process that gets the number gets another directory, and so
    /// does the same one when the kernel has forgotten the first.
    pub(super) inode: u64,
    /// What the kernel counted when it was last asked, in this tick.
    pub(super) figures: Figures,
    /// When the figures were last found changed, on `CLOCK_BOOTTIME`, µs.
    pub(super) moved: i64,
    /// The parent.
    pub(super) ppid: u32,
    /// The session.
    pub(super) session: u32,
    /// The controlling terminal.
    pub(super) tty: u32,
    /// The group that it shares something with, 0 for none.
    pub(super) group: u32,
    /// What its facts were when last read.
    pub(super) prints: Prints,
    /// What was behind its descriptors when it was last read; where `/proc` must tell, if that was an audit.
    pub(super) behind: Option<Behind>,
    /// The stamp of the tick in which it was last read.
    pub(super) looked: WallMicros,
    /// When it was last read and when it is to be read in any case, on `CLOCK_BOOTTIME`, µs.
    pub(super) looked_boot: i64,
    pub(super) audit_at: i64,
    /// Why it is to be read in this tick.
    pub(super) due: Due,
    /// It has exited and waits for its parent.
    pub(super) zombie: bool,
    /// It is a kernel thread.
    pub(super) kernel_thread: bool,
    /// It has several threads.
    pub(super) threads: bool,
    /// The thread through which it is read: its first one, or where that has exited another.
    pub(super) speaker: u32,
    /// The process that it is a thread of, 0 for a process.
    pub(super) thread_of: u32,
    /// Whose descriptor table it has, with whom that is told; 0 where it is told with this one.
    pub(super) files_of: u32,
    /// Others have its table.
    pub(super) lends: bool,
    /// It shares memory or its directory with others of its group.
    pub(super) close: bool,
    /// How far its threads have been looked at; `None` where they need not be.
    pub(super) walk: Option<Walk>,
    /// Its ids and namespaces.
    pub(super) ids: Option<Ids>,
    pub(super) namespaces: Option<Namespaces>,
    /// It must be read in the next tick, whatever its figures say: it was running.
    pub(super) again: bool,
    /// Its parent was not known when it was last read.
    pub(super) orphan: bool,
    /// The record leaves it out.
    pub(super) left_out: bool,
    /// It was to be read in an earlier tick, and another's turn came first.
    pub(super) put_off: bool,
    /// The kernel says that there is no such process any more.
    pub(super) over: bool,
    /// It is gone, and forgotten at the end of the tick.
    pub(super) gone: bool,
}

/// Why a process is read in a tick.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Due {
    /// It is not.
    Not,
    /// It was never read.
    New,
    /// It ran, or may have, or what it shows depends on another that did.
    Moved,
    /// It has been read in this tick.
    Done,
}

impl Known {
    /// Makes the entry of a process that is listed for the first time.
    pub(super) fn new(pid: u32, inode: u64, figures: Figures, now: i64) -> Self {
        Self {
            pid,
            start: StartTicks(0),
            inode,
            figures,
            moved: now,
            ppid: 0,
            session: 0,
            tty: 0,
            group: 0,
            prints: Prints::default(),
            behind: None,
            looked: WallMicros(0),
            looked_boot: now,
            audit_at: now,
            due: Due::New,
            zombie: false,
            kernel_thread: false,
            threads: false,
            speaker: pid,
            thread_of: 0,
            files_of: 0,
            lends: false,
            close: false,
            walk: None,
            ids: None,
            namespaces: None,
            again: false,
            orphan: false,
            left_out: false,
            put_off: false,
            over: false,
            gone: false,
        }
    }

    /// Returns the process whose figures tell whether it ran.
    pub(super) const fn counted(&self) -> u32 {
        if self.thread_of == 0 { self.pid } else { self.thread_of }
    }

    /// Returns the entity.
    pub(super) const fn entity(&self, boot: BootId) -> Entity {
        Entity::Started { boot, pid: Pid(self.pid), start: self.start }
    }
}
