//! The table of known processes: what comes, goes and may have moved from one listing of `/proc` to the next.

use super::{
    incremental::{Incremental, Tick},
    known::{Due, Known},
};
use crate::{
    figures::{Figures, Told},
    ran::Ran,
    sys,
};
use pofr_core::time::WallMicros;
use rustix::{fs::SeekFrom, io::Errno};
use std::os::fd::AsFd as _;

impl Incremental {
    /// Asks for the figures of all known processes, lists what is there, and decides what is to be read.
    ///
    /// The figures come first: whoever made a process that the listing lacks has run since. Returns since when those who are
    /// new may have been there, where that is not the tick before.
    pub(super) fn take_stock(&mut self, tick: &mut Tick<'_>) -> Result<Option<WallMicros>, Errno> {
        self.pids.clear();
        self.pids.extend(self.table.iter().filter(|known| known.thread_of == 0).map(|known| known.pid));
        self.ask();
        self.spread();
        let pace = Pace { now: tick.now, last: self.last, grace: self.grace };
        let since = if self.births.none_since(tick.view, tick.proc.as_fd(), tick.now, self.last) {
            // Nobody came, and who went is told with the figures.
            self.table.iter_mut().zip(&self.told).for_each(|(known, told)| known.judge(*told, pace));
            None
        } else {
            self.list(tick)?;
            self.match_up(pace, tick);
            self.births.listed((tick.now, tick.stamp))
        };
        self.pids.clear();
        self.pids.extend(self.table.iter().filter(|known| known.due == Due::New).map(|known| known.pid));
        self.ask();
        let new = self.table.iter_mut().filter(|known| known.due == Due::New);
        for (known, told) in new.zip(&self.told) {
            if let Told::Figures(figures) = told {
                known.figures = *figures;
            }
        }
        Ok(since)
    }

    /// Gives threads that have something of their own what is told of their processes.
    fn spread(&mut self) {
        if self.table.len() == self.told.len() {
            return;
        }
        let told_of = |pid: u32| self.pids.binary_search(&pid).map_or(Told::Gone, |at| self.told[at]);
        self.told = self.table.iter().map(|known| told_of(known.counted())).collect();
    }

    /// Lists who is there, in the order of their numbers.
    fn list(&mut self, tick: &Tick<'_>) -> Result<(), Errno> {
        rustix::fs::seek(&tick.proc, SeekFrom::Start(0))?;
        self.listed.clear();
        let listed = &mut self.listed;
        self.listing.inodes(&tick.proc, |_, pid, inode| {
            listed.push((pid, inode));
            Ok(())
        })?;
        // The kernel lists them in order (next_tgid in fs/proc/base.c).
        if !self.listed.is_sorted() {
            self.listed.sort_unstable();
        }
        Ok(())
    }

    /// Asks for the figures of `pids`. Where the kernel does not answer everything counts as moved, and unless a new
    /// connection can be made this way of sampling is at its end.
    fn ask(&mut self) {
        if let Err(error) = self.ran.of_processes(&self.pids, &mut self.told) {
            tracing::warn!("who ran is not told: {error}");
            self.told.clear();
            self.told.resize(self.pids.len(), Told::Nothing);
            match Ran::open(None) {
                Ok(ran) => self.ran = ran,
                Err(_) => self.broken = Some(error),
            }
        }
    }

    /// Brings the table in line with the listing.
    fn match_up(&mut self, pace: Pace, tick: &mut Tick<'_>) {
        let mut table = std::mem::take(&mut self.table);
        let told = std::mem::take(&mut self.told);
        let listed = std::mem::take(&mut self.listed);
        let mut next = std::mem::take(&mut self.spare);
        let mut known = table.drain(..).zip(&told).peekable();
        for (pid, inode) in &listed {
            while let Some((unlisted, told)) = known.next_if(|(known, _)| known.pid < *pid) {
                next.extend(self.pass(unlisted, *told, pace, tick));
            }
            next.push(match known.next_if(|(known, _)| known.pid == *pid) {
                Some((thread, _)) if thread.thread_of != 0 => {
                    self.bury(&thread, tick);
                    Known::new(*pid, *inode, Figures::default(), tick.now)
                }
                Some((mut known, told)) => {
                    known.judge(*told, pace);
                    // The kernel forgets directories that it needs the memory of, and gives them other numbers later.
                    if known.inode != *inode && known.due == Due::Not && !self.is_still(&known, tick) {
                        known.due = Due::Moved;
                    }
                    known.inode = *inode;
                    known
                }
                None => Known::new(*pid, *inode, Figures::default(), tick.now),
            });
        }
        for (unlisted, told) in known {
            next.extend(self.pass(unlisted, *told, pace, tick));
        }
        (self.told, self.listed, self.spare, self.table) = (told, listed, table, next);
    }

    /// Decides about one that is not listed: a process is gone, a thread never is listed.
    fn pass(&mut self, mut known: Known, told: Told, pace: Pace, tick: &mut Tick<'_>) -> Option<Known> {
        if known.thread_of == 0 {
            self.bury(&known, tick);
            return None;
        }
        known.judge(told, pace);
        Some(known)
    }

    /// Tells whether the process that has a number is the one that had it.
    fn is_still(&mut self, known: &Known, tick: &Tick<'_>) -> bool {
        let dir = sys::open_process(tick.proc.as_fd(), known.pid);
        dir.and_then(|dir| self.look.start(&dir)).is_ok_and(|start| start == Some(known.start))
    }
}

/// When a tick and the one before it are, on `CLOCK_BOOTTIME`, µs, and what [`grace`] says.
#[derive(Clone, Copy, Debug)]
struct Pace {
    now: i64,
    last: Option<i64>,
    grace: i64,
}

impl Known {
    /// Decides whether a process that is still there is to be read.
    fn judge(&mut self, told: Told, pace: Pace) {
        self.over = told == Told::Gone;
        let due = match told {
            Told::Figures(figures) if figures == self.figures => {
                // One of several threads may have been on a CPU when it last was asked for, and then have left it without a
                // trace, by its exit. One tick of the kernel's later its time on the CPU is counted.
                let lately =
                    pace.last.is_some_and(|last| self.moved >= last) || pace.now - self.moved < pace.grace;
                self.threads && lately
            }
            Told::Figures(figures) => {
                (self.figures, self.moved) = (figures, pace.now);
                true
            }
            Told::Gone | Told::Nothing => true,
        };
        self.due = if due || self.again { Due::Moved } else { Due::Not };
    }
}

/// Returns how long after a task got a CPU its time there may not be counted yet, µs: the kernel's tick, or a second where CPUs run
/// without one (`nohz_full`, Documentation/timers/no_hz.rst).
pub(super) fn grace(sys_root: &std::path::Path) -> i64 {
    let tickless = std::fs::read_to_string(sys_root.join("devices/system/cpu/nohz_full"));
    let has_some = tickless.is_ok_and(|list| list.bytes().any(|b| b.is_ascii_digit()));
    if has_some { 1_100_000 } else { 20_000 }
}
