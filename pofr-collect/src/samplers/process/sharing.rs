//! Sharing: processes that have a descriptor table, a working directory or memory in common without being threads of one.
//!
//! What one of them does changes what the others show, though they never ran. So they are one group: if one ran, all are read
//! again. A process can only begin to share when it is made (clone(2) with CLONE_FILES, CLONE_FS or CLONE_VM), so it is
//! compared when it is first seen, by kcmp(2): with its parent, and for the table with others that run the same program, since
//! its maker may have ended or have made it as a sibling. Who runs another program has a table and memory of its own.

use super::{answers::Answers, known::Known};
use crate::{
    HostView,
    sys::{self, Shared},
};
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

/// How many things of the others of its group a process is asked for at once.
const AT_ONCE: usize = 48;

/// All that can be shared.
const ANYTHING: &[Shared] = &[Shared::Files, Shared::Directory, Shared::Memory];
/// What shows in the facts of all who share it, while a table's files are told with one.
const CLOSE: &[Shared] = &[Shared::Directory, Shared::Memory];

/// Finds the place of a number in the table of processes.
pub(super) fn place(table: &[Known], pid: u32) -> Option<usize> {
    table.binary_search_by_key(&pid, |known| known.pid).ok()
}

/// Compares processes. The kernel is asked by a child, as many pairs at once as there are: a process that runs another program keeps
/// whoever compares it waiting, for as long as a file that it closes then lets it wait.
pub(super) struct Compare<'a> {
    pub(super) view: &'a HostView,
    pub(super) answers: &'a mut Answers,
}

impl Compare<'_> {
    /// Tells which of these have the descriptor table of a process.
    pub(super) fn have_table(&mut self, one: &Known, others: &[&Known]) -> Vec<bool> {
        let pairs: Vec<_> = others.iter().map(|other| (*other, Shared::Files)).collect();
        self.share(one, &pairs)
    }

    /// Tells of each of these whether a process shares that with it. Who may not be asked, or is gone, has no files that could be read
    /// either.
    fn share(&mut self, one: &Known, others: &[(&Known, Shared)]) -> Vec<bool> {
        // Zombies and kernel threads have no table of their own, and equal ones therefore.
        let can = |known: &Known| !known.zombie && !known.kernel_thread;
        let asked = |other: &&(&Known, Shared)| can(one) && can(other.0);
        let pairs: Vec<_> =
            others.iter().filter(asked).map(|(other, what)| (one.speaker, other.speaker, *what)).collect();
        if pairs.is_empty() {
            return vec![false; others.len()];
        }
        let mut shared = self.answers.share(self.view, &pairs).into_iter();
        others.iter().map(|other| asked(&other) && shared.next().unwrap_or(false)).collect()
    }
}

impl Groups {
    /// Finds out whom a process shares with that is seen for the first time, and puts all of them in one group.
    pub(super) fn join(&mut self, table: &mut [Known], at: usize, mut compare: Compare<'_>) {
        let new = &table[at];
        if new.zombie || new.kernel_thread || new.thread_of != 0 {
            return;
        }
        let parent = place(table, new.ppid);
        let same_program = (0..table.len())
            .rev()
            .filter(|i| *i != at && Some(*i) != parent && table[*i].prints.program == new.prints.program);
        let others: Vec<usize> = same_program.take(SAME_PROGRAM).collect();
        let of_parent = parent.into_iter().flat_map(|i| ANYTHING.iter().map(move |what| (i, *what)));
        let asked: Vec<_> = of_parent.chain(others.iter().map(|i| (*i, Shared::Files))).collect();
        let pairs: Vec<_> = asked.iter().map(|(i, what)| (&table[*i], *what)).collect();
        let shared = compare.share(new, &pairs);
        let (with_parent, with_others) = shared.split_at(shared.len() - others.len());
        let is_close = with_parent.iter().zip(ANYTHING).any(|(shared, what)| *shared && CLOSE.contains(what));
        let parent_shares = parent.filter(|_| with_parent.contains(&true));
        let others = others.iter().zip(with_others).filter(|(_, shared)| **shared).map(|(i, _)| *i);
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
    pub(super) fn check(table: &mut [Known], at: usize, mut compare: Compare<'_>) {
        let known = &table[at];
        let others = table.iter().filter(|other| other.group == known.group && other.pid != known.pid);
        let pairs: Vec<_> =
            others.flat_map(|other| ANYTHING.iter().map(move |what| (other, *what))).collect();
        // The first shares something, as a rule.
        if !pairs.chunks(AT_ONCE).any(|pairs| compare.share(known, pairs).contains(&true)) {
            table[at].group = 0;
        }
    }
}
