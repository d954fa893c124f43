//! Settling: what samples show of processes and what events tell of them, put in order.

use super::Nursery;
use crate::events::process::{life::Life, moment::Moment, phase::Phase, telling::Teller};
use hashbrown::{HashMap, HashSet};
use pofr_core::{
    collector::{Extent, Notice, Observation},
    fact::{Fact, FileKey, Process, Subject},
    identity::Entity,
};

/// How often a process may be missed by samples before it is taken for gone whose end was lost.
const PATIENCE: u32 = 3;
/// And for how long at least before that is said to be strange, µs: a loss of events is told within two seconds.
const SURE: i64 = 4_000_000;

impl Nursery {
    /// Learns what a sample shows of processes, whose reading began after `from`; tells what must stand before it. `all_heard` tells
    /// whether everything that happened before that has been heard.
    pub(in crate::events::process) fn settle(
        &mut self,
        from: Moment,
        seen: &Observation,
        all_heard: bool,
        out: &mut Vec<Notice>,
    ) {
        let mut files: HashMap<u32, HashSet<&FileKey>> = HashMap::new();
        let glimpsed = |(pid, life): (&u32, &Life)| {
            let pending = life.pending.as_ref()?;
            (!pending.files.is_empty()).then_some((*pid, HashSet::new()))
        };
        files.extend(self.lives.iter().filter_map(glimpsed));
        let mut shown = HashSet::new();
        for fact in &seen.facts {
            match fact {
                // Of threads that have something of their own the samples alone tell.
                Fact::Process(process) if process.key.marks.thread_of.is_some() => {}
                Fact::Process(process) => {
                    shown.insert(process.key.entity);
                }
                Fact::File(file) => {
                    if let Some(files) = files.get_mut(&file.key.entity.pid().0) {
                        files.insert(&file.key);
                    }
                }
                _ => {}
            }
        }
        let mut alive = HashSet::new();
        for fact in &seen.facts {
            let Fact::Process(process) = fact else { continue };
            if process.key.marks.thread_of.is_some() {
                continue;
            }
            let pid = process.key.entity.pid().0;
            if self.show(from, process, files.get(&pid), out) {
                alive.insert(pid);
            }
        }
        let is_read = |life: &Life| match &seen.extent {
            Extent::Whole => true,
            Extent::Subjects(read) => {
                life.entity().is_some_and(|e| read.iter().any(|r| r.subject == Subject::Entity(e)))
            }
        };
        // Who ended while the sample was read: told now if the sample misses it, else after the sample.
        for pid in std::mem::take(&mut self.ended) {
            let Some(life) = self.lives.get(&pid) else { continue };
            let before =
                life.pending.as_ref().and_then(|p| p.end.as_ref()).is_some_and(|(at, _)| *at <= from);
            if !alive.contains(&pid) && (before || life.told.is_none() || is_read(life)) {
                self.tell_end(pid, out);
            } else {
                self.ended.push(pid);
            }
        }
        self.miss(from, seen, &shown, all_heard, out);
        self.settled = from;
    }

    /// Takes a process that a sample shows; true if that is alive.
    fn show(
        &mut self,
        from: Moment,
        process: &Process,
        files: Option<&HashSet<&FileKey>>,
        out: &mut Vec<Notice>,
    ) -> bool {
        let entity = process.key.entity;
        let pid = entity.pid().0;
        let is_same = match self.lives.get_mut(&pid) {
            Some(Life { pending: Some(pending), .. }) => pending.adopt(entity.start()),
            Some(Life { told: Some(told), .. }) => told.key.entity == entity,
            _ => false,
        };
        if !is_same {
            self.replace(pid, out);
            self.lives.insert(pid, Life::shown(process.clone()));
            return !process.key.zombie;
        }
        let Some(life) = self.lives.get_mut(&pid) else { return false };
        life.missed = 0;
        let Some(pending) = &mut life.pending else {
            if life.told.as_ref().is_none_or(|told| told.key != process.key) {
                life.told = Some(process.clone());
            }
            return !process.key.zombie;
        };
        pending.misses = 0;
        let was_told = life.told.is_some();
        if process.key.zombie && !was_told {
            if pending.end.is_some() {
                self.tell_end(pid, out);
                self.lives.insert(pid, Life::shown(process.clone()));
            } else {
                pending.zombie_shown = true;
            }
            return false;
        }
        let mut teller = Teller { view: &self.view, out };
        let has_happened = |phase: &Phase| phase.from.is_none_or(|at| at <= from);
        let sure = pending.phases.partition_point(has_happened);
        // A newborn that is shown has been made.
        let least = if was_told { sure } else { sure.max(1).min(pending.phases.len()) };
        let late = pending.phases[least..].iter().rposition(|phase| phase.is_shown_by(&process.key));
        let count =
            if process.key.zombie { pending.phases.len() } else { least + late.map_or(0, |at| at + 1) };
        teller.shown(was_told, pending, count, process);
        for (key, (first, last)) in std::mem::take(&mut pending.files) {
            if files.is_none_or(|files| !files.contains(&FileKey { entity, ..key.clone() })) {
                teller.file(key, process, first, last.plus(1));
            }
        }
        if pending.end.is_some() && process.key.zombie {
            self.tell_end(pid, out);
            self.lives.insert(pid, Life::shown(process.clone()));
            return false;
        }
        if pending.end.is_none() && pending.phases.is_empty() {
            life.pending = None;
        }
        life.told = Some(process.clone());
        !process.key.zombie
    }

    /// Takes note of what a sample should show and does not.
    fn miss(
        &mut self,
        from: Moment,
        seen: &Observation,
        shown: &HashSet<Entity>,
        all_heard: bool,
        out: &mut Vec<Notice>,
    ) {
        let read: Option<HashSet<_>> = match &seen.extent {
            Extent::Whole => None,
            Extent::Subjects(read) => Some(read.iter().map(|reread| reread.subject).collect()),
        };
        let mut vanished = Vec::new();
        for (pid, life) in &mut self.lives {
            let Some(entity) = life.entity() else { continue };
            let is_read = || read.as_ref().is_none_or(|read| read.contains(&Subject::Entity(entity)));
            // Of most nothing is new.
            if (life.told.is_some() && life.missed == 0 && !is_read()) || shown.contains(&entity) {
                continue;
            }
            match (&life.told, &mut life.pending) {
                (Some(told), _) => {
                    if life.missed == 0 {
                        life.last_shown = self.settled;
                    }
                    life.missed = life.missed.saturating_add(1);
                    // Where its end may have been lost, or was told, as that of a zombie, this is how it goes.
                    let is_clear = told.key.zombie
                        || self.lost >= Some(life.last_shown)
                        || entity.start().is_some_and(|start| self.view.is_excluded(entity.pid(), start));
                    let is_strange = all_heard && from >= life.last_shown.plus(SURE);
                    if life.missed > PATIENCE && (is_clear || is_strange) {
                        vanished.push(*pid);
                        if !is_clear {
                            Teller { view: &self.view, out }.strange(told, life.last_shown, from);
                        }
                    }
                }
                (None, Some(pending)) => {
                    let heard = pending.phases.first().and_then(|phase| phase.from);
                    pending.misses += u32::from(heard.is_none_or(|heard| heard <= from));
                    // As long as nothing was lost, it is there and cannot be seen: its end will be heard.
                    if pending.misses > PATIENCE && self.lost >= heard {
                        vanished.push(*pid);
                    }
                }
                (None, None) => vanished.push(*pid),
            }
        }
        for pid in vanished {
            self.replace(pid, out);
        }
    }
}
