//! Sharing: processes that have a descriptor table, a working directory or memory in common without being threads of one.
//!
//! What one of them does changes what the others show, though they never ran. So they are one group: if one ran, all are read
//! again. A process can only begin to share when it is made (clone(2) with CLONE_FILES, CLONE_FS or CLONE_VM), so it is
//! compared when it is first seen, by kcmp(2): with its parent, and for the table with others that run the same program, since
//! its maker may have ended or have made it as a sibling. Who runs another program has a table and memory of its own.

use super::known::Known;
use crate::sys::{self, Shared};
use rustix::io::Errno;

/// With how many processes of the same program a new one is compared, the newest. More are left to the audit.
const SAME_PROGRAM: usize = 16;

/// Numbers groups; 0 is none.
#[derive(Debug, Default)]
pub(super) struct Groups(u32);

/// Tells whether the kernel can be asked: it must find that this process shares its table with itself.
pub(super) fn probe() -> Result<(), Errno> {
    let own = std::process::id();
    if sys::share(own, own, Shared::Files)? { Ok(()) } else { Err(Errno::NOTSUP) }
}

/// All that can be shared.
const ANYTHING: &[Shared] = &[Shared::Files, Shared::Directory, Shared::Memory];
/// What shows in the facts of all who share it, while a table's files are told with one.
const CLOSE: &[Shared] = &[Shared::Directory, Shared::Memory];

/// Finds the place of a number in the table of processes.
pub(super) fn place(table: &[Known], pid: u32) -> Option<usize> {
    table.binary_search_by_key(&pid, |known| known.pid).ok()
}

/// Tells whether two processes have one descriptor table.
pub(super) fn has_table_of(one: &Known, other: &Known) -> bool {
    share(one, other, &[Shared::Files])
}

/// Tells whether two processes share any of this. Who may not be asked, or is gone, has no files that could be read either.
fn share(one: &Known, other: &Known, what: &[Shared]) -> bool {
    // Zombies and kernel threads have no table of their own, and equal ones therefore.
    let can = |known: &Known| !known.zombie && !known.kernel_thread;
    let shares = |what: &Shared| sys::share(one.speaker, other.speaker, *what).is_ok_and(|shared| shared);
    can(one) && can(other) && what.iter().any(shares)
}

impl Groups {
    /// Finds out whom a process shares with that is seen for the first time, and puts all of them in one group.
    pub(super) fn join(&mut self, table: &mut [Known], at: usize) {
        let new = &table[at];
        if new.zombie || new.kernel_thread || new.thread_of != 0 {
            return;
        }
        let parent = place(table, new.ppid);
        let same_program = (0..table.len())
            .rev()
            .filter(|i| *i != at && Some(*i) != parent && table[*i].prints.program == new.prints.program);
        let is_close = parent.is_some_and(|i| share(new, &table[i], CLOSE));
        let parent_shares = parent.filter(|i| is_close || share(new, &table[*i], &[Shared::Files]));
        let others = same_program.take(SAME_PROGRAM).filter(|i| share(new, &table[*i], &[Shared::Files]));
        let of_table = (new.files_of != 0).then(|| place(table, new.files_of)).flatten();
        let sharing: Vec<usize> = parent_shares.into_iter().chain(others).chain(of_table).collect();
        if let Some(parent) = parent.filter(|_| is_close) {
            (table[at].close, table[parent].close) = (true, true);
        }
        let Some(first) = sharing.first() else { return };
        let group = match table[*first].group {
            0 => {
                // After 2³² groups the numbers of the oldest are used again; two groups in one are merely read more often.
                self.0 = self.0.checked_add(1).unwrap_or(1);
                self.0
            }
            group => group,
        };
        let merged: Vec<u32> = sharing.iter().map(|i| table[*i].group).filter(|g| *g != 0).collect();
        for (i, known) in table.iter_mut().enumerate() {
            if i == at || sharing.contains(&i) || (known.group != 0 && merged.contains(&known.group)) {
                known.group = group;
            }
        }
    }

    /// Finds out whether a process of a group still shares with any other of it, and takes it out if not.
    pub(super) fn check(table: &mut [Known], at: usize) {
        let known = &table[at];
        let mut others = table.iter().filter(|other| other.group == known.group && other.pid != known.pid);
        if !others.any(|other| share(known, other, ANYTHING)) {
            table[at].group = 0;
        }
    }
}
