//! The crowd: what a full scan knows of the processes it has seen so far, to tell shared descriptor tables once and to find threads
//! that have something of their own.

use super::{
    answers::Answers,
    look::{Seen, Table},
    stat::Stat,
    threads::{Common, Comparer},
};
use crate::{HostView, sys::Shared};
use hashbrown::HashMap;
use pofr_core::identity::Entity;
use std::{collections::VecDeque, os::fd::BorrowedFd};

/// A process is compared with so many before it, besides its parent.
const NEIGHBOURS: usize = 4;
/// So many threads are looked at in one scan, and of one process.
const THREADS: usize = 4_096;
const OF_ONE: usize = 1_024;

/// The processes of one scan.
#[derive(Debug, Default)]
pub(super) struct Crowd {
    /// With whom the table of each is told, and the thread that speaks for that one.
    roots: HashMap<u32, (Entity, u32)>,
    neighbours: VecDeque<(Entity, u32)>,
    several: Vec<(Common, Entity)>,
    comparer: Comparer,
}

impl Crowd {
    /// Begins a scan.
    pub(super) fn begin(&mut self) {
        self.roots.clear();
        self.neighbours.clear();
        self.several.clear();
    }

    /// Says whose the table of a process is.
    pub(super) fn table_of(&self, view: &HostView, pid: u32, stat: &Stat, answers: &mut Answers) -> Table {
        if !view.live || stat.kernel_thread || stat.is_zombie() {
            return Table::Own;
        }
        let parent = self.roots.get(&stat.ppid.0);
        let candidates: Vec<_> = parent.into_iter().chain(self.neighbours.iter().rev()).collect();
        let pairs: Vec<_> = candidates.iter().map(|(_, speaker)| (pid, *speaker, Shared::Files)).collect();
        let shared = answers.share(view, &pairs);
        let root = candidates.into_iter().zip(shared).find(|(_, shared)| *shared).map(|(root, _)| root);
        root.map_or(Table::Own, |(entity, _)| Table::Of(*entity))
    }

    /// Takes note of a process that was read.
    pub(super) fn saw(&mut self, view: &HostView, pid: u32, seen: &Seen) {
        let Some(process) = seen.process.as_ref().filter(|_| view.live && !seen.kernel_thread) else {
            return;
        };
        let key = &process.key;
        if key.zombie {
            return;
        }
        let of_other = |of: Entity| self.roots.get(&of.pid().0).copied();
        let root = key.marks.files_of.and_then(of_other).unwrap_or((key.entity, seen.speaker.0));
        self.roots.insert(pid, root);
        self.neighbours.push_back(root);
        if self.neighbours.len() > NEIGHBOURS {
            self.neighbours.pop_front();
        }
        if seen.threads {
            let (ids, namespaces) = (Some(key.ids), key.namespaces.known().copied());
            self.several.push((Common { pid, speaker: seen.speaker.0, ids, namespaces }, root.0));
        }
    }

    /// Looks for threads that have something of their own; returns each with its process.
    pub(super) fn apart(&mut self, proc: BorrowedFd<'_>, now: i64) -> Vec<(u32, u32)> {
        let (mut left, mut all) = (THREADS, Vec::new());
        for (common, _) in &self.several {
            let mut found = Vec::new();
            let compared =
                self.comparer.compare(proc, common, 0, OF_ONE.min(left), now / 1_000_000, &mut found);
            left -= compared.map_or(0, |(looked, _)| looked);
            all.extend(found.into_iter().map(|thread| (common.pid, thread)));
        }
        all
    }

    /// Says whose the table of a thread is.
    pub(super) fn table_of_thread(
        &self,
        view: &HostView,
        process: u32,
        thread: u32,
        answers: &mut Answers,
    ) -> Table {
        let common = self.several.iter().find(|(common, _)| common.pid == process);
        let mut is_shared =
            |common: &Common| answers.share(view, &[(common.speaker, thread, Shared::Files)]).contains(&true);
        match common {
            Some((common, root)) if is_shared(common) => Table::Of(*root),
            _ => Table::Own,
        }
    }

    /// Tells whether what was read of a thread is anything that its process has not.
    pub(super) fn is_apart(&self, process: u32, seen: &Seen, table: Table) -> bool {
        let common = self.several.iter().find(|(common, _)| common.pid == process);
        let (Some((common, _)), Some(process)) = (common, &seen.process) else { return false };
        let namespaces = process.key.namespaces.known();
        table == Table::Own
            || common.ids.is_some_and(|ids| ids != process.key.ids)
            || namespaces.zip(common.namespaces.as_ref()).is_some_and(|(is, common)| is != common)
    }
}
