//! Descriptor tables that several have: each is told once.
//!
//! Who shares its table with another (clone(2) with CLONE_FILES, a thread of its process) has no file facts; its fact names the one
//! that has them. That one is whoever had the table first, as far as we know; when it ends or takes another table the next one
//! takes over, in the same sample. The endpoints of a shared table are held by that one, too.

use super::{
    known::{Due, Known},
    look::Table,
    sharing::{Compare, place},
    stat::Stat,
};
use hashbrown::HashMap;
use pofr_core::identity::BootId;

/// A new process is compared with so many listed before it, besides its parent: what is made in turn has numbers in turn.
const NEIGHBOURS: usize = 4;
/// A thread that has not its process's table is compared with so many others of it.
const SIBLINGS: usize = 16;
/// A new process is compared with tables of so many descriptors as well, and with so many of those.
const LARGE: usize = 256;
const LARGE_TABLES: usize = 32;

/// What is known of tables beyond what each process knows of its own.
#[derive(Debug, Default)]
pub(super) struct Tables {
    /// Who took over from whom in this tick.
    heirs: HashMap<u32, u32>,
    /// Who has a large table, the newest last.
    large: Vec<u32>,
}

impl Tables {
    /// Begins a tick.
    pub(super) fn begin(&mut self) {
        self.heirs.clear();
    }

    /// Says with whom the table of the process at `at` is told, whose `stat` has been read; itself where 0.
    pub(super) fn find(&mut self, table: &[Known], at: usize, stat: &Stat, mut compare: Compare<'_>) -> u32 {
        let known = &table[at];
        if stat.kernel_thread || (stat.is_zombie() && stat.threads <= 1) {
            return 0;
        }
        let root_of = |pid: u32| {
            let other =
                place(table, pid).map(|i| &table[i]).filter(|other| !other.gone && !other.left_out)?;
            // One that was never read has nothing told with it yet, and may be the next to be asked for this one.
            let root = if other.files_of == 0 { other } else { &table[place(table, other.files_of)?] };
            let is_ready = root.pid != known.pid && !root.gone && !root.left_out && root.due != Due::New;
            is_ready.then_some(root)
        };
        let mut first_of = |pids: &mut dyn Iterator<Item = u32>| {
            let roots: Vec<&Known> = pids.filter_map(root_of).collect();
            let same = compare.have_table(known, &roots);
            roots.iter().zip(same).find(|(_, same)| *same).map(|(root, _)| root.pid)
        };
        if known.files_of != 0 && known.start == stat.start {
            let heir = self.heirs.get(&known.files_of).copied();
            if let Some(root) = first_of(&mut std::iter::once(known.files_of).chain(heir)) {
                return root;
            }
            self.heirs.insert(known.files_of, known.pid);
            return 0;
        }
        if known.thread_of != 0 && known.start != stat.start {
            let of_siblings = |other: &&Known| other.thread_of == known.thread_of && other.pid != known.pid;
            let siblings = table.iter().filter(of_siblings).take(SIBLINGS).map(|other| other.pid);
            return first_of(&mut std::iter::once(known.thread_of).chain(siblings)).unwrap_or(0);
        }
        if known.start == stat.start {
            // It has been told of with its own; a table only becomes another's when one is made.
            return 0;
        }
        let before = table[..at].iter().rev().filter(|other| !other.kernel_thread && !other.zombie);
        let neighbours = before.take(NEIGHBOURS).map(|other| other.pid);
        let large = self.large.iter().copied();
        first_of(&mut std::iter::once(stat.ppid.0).chain(neighbours).chain(large)).unwrap_or(0)
    }

    /// Takes note of how many files a process has.
    pub(super) fn opened(&mut self, pid: u32, files: usize) {
        let is_known = self.large.contains(&pid);
        if files >= LARGE && !is_known {
            if self.large.len() == LARGE_TABLES {
                self.large.remove(0);
            }
            self.large.push(pid);
        } else if files < LARGE && is_known {
            self.large.retain(|large| *large != pid);
        }
    }
}

/// Says what [`Tables::find`] found as a look takes it.
pub(super) fn told_with(table: &[Known], root: u32, boot: BootId) -> Table {
    let root = (root != 0).then(|| place(table, root)).flatten();
    root.map_or(Table::Own, |at| Table::Of(table[at].entity(boot)))
}
