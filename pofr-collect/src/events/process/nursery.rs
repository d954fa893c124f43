//! The nursery: every process that is there, what has been heard of it, and what of that is told when.
//!
//! A process that forks, runs programs and exits between two samples is told of when it exits: each thing that it was, from
//! one event to the next, came and went. What one that lives on was and is, is told when a sample shows it, with what the sample
//! shows: so what events begin, samples go on with. Nothing is begun by events alone that no sample has shown, and so nothing
//! stays alive in the record whose end was not heard.
//!
//! ```text
//! fork ────── exec ────────────────── sample ── exit
//! │ the shell │ ls                    │         │
//! └ passed    └ began, told with ─────┘         └ gone
//! ```
//!
//! Events that happened after the reading of a sample began may be shown by it or not. Where it can be told by what it shows of the
//! process, they are told before it, else after: too late is inexact, too early would be wrong.

use super::{
    heard::{Event, Glance, Heard},
    life::{Life, Start, may_be, reckon},
    moment::Moment,
    phase::Phase,
    telling::Teller,
};
use crate::{HostView, samplers::Sight};
use hashbrown::{HashMap, HashSet};
use pofr_core::{
    Source,
    collector::{Extent, Notice, Observation},
    fact::{Fact, FileKey, Process, Subject},
    gap::{Gap, Severity},
    identity::Pid,
};

/// How often a process may be missed by samples before it is taken for gone whose end was lost.
const PATIENCE: u32 = 3;

/// All processes, by their numbers.
pub(super) struct Nursery {
    view: HostView,
    /// The number of this very process.
    own: u32,
    lives: HashMap<u32, Life>,
    /// Processes that are left out of the record because who made them is.
    ours: HashSet<u32>,
    /// Those of whose end is heard but not told.
    ended: Vec<u32>,
    /// Until when events have been lost, if any have.
    lost: Option<Moment>,
}

impl Nursery {
    pub(super) fn new(view: HostView) -> Self {
        let own = std::process::id();
        Self { view, own, lives: HashMap::new(), ours: HashSet::new(), ended: Vec::new(), lost: None }
    }

    /// Takes note of what was heard.
    pub(super) fn hear(&mut self, heard: Heard, out: &mut Vec<Notice>) {
        match heard {
            Heard::Event { at, pid, event, glance } => {
                match event {
                    Event::Forked { parent } => self.forked(at, pid, parent, glance.as_ref(), out),
                    event => self.happened(at, pid, event),
                }
                if let Some(glance) = glance {
                    self.looked_at(pid, glance);
                }
            }
            Heard::Look { pid, glance } => self.looked_at(pid, glance),
            Heard::Lost { loss, what } => {
                self.lost = self.lost.max(Some(loss.to));
                let clock = &self.view.clock;
                out.push(Notice::Lost(Gap {
                    source: Some(Source::Process),
                    severity: Severity::Thin,
                    reason: what.reason().to_owned(),
                    from: clock.at_boot(loss.from.0),
                    to: Some(clock.at_boot(loss.to.0)),
                    lost: loss.events,
                }));
            }
        }
    }

    /// Tells of all whose end has been heard.
    pub(super) fn tell_ended(&mut self, out: &mut Vec<Notice>) {
        for pid in std::mem::take(&mut self.ended) {
            self.tell_end(pid, out);
        }
    }

    fn forked(&mut self, at: Moment, pid: u32, parent: u32, glance: Option<&Glance>, out: &mut Vec<Notice>) {
        self.ours.remove(&pid);
        if self.is_ours(parent) {
            self.ours.insert(pid);
            self.exclude(pid, glance);
            return;
        }
        let entity = reckon(self.view.boot, pid, at, self.view.ticks_per_second);
        if let Some(life) = self.lives.get(&pid) {
            let shown = life.told.as_ref().and_then(|told| told.key.entity.start());
            if let (Some(shown), Some(reckoned)) = (shown, entity.start())
                && may_be(shown, reckoned)
            {
                // A sample was quicker to show it than the event to come.
                return;
            }
            self.replace(pid, out);
        }
        let parent_is = self.lives.get(&parent).and_then(Life::as_parent);
        let phase = Phase::forked(at, entity, Pid(parent), parent_is);
        self.lives.insert(pid, Life::heard_of(entity, Start::Reckoned, phase));
    }

    fn happened(&mut self, at: Moment, pid: u32, event: Event) {
        let ends = matches!(event, Event::Ended(..));
        if self.ours.contains(&pid) {
            if ends {
                self.ours.remove(&pid);
                self.view.release(Pid(pid));
            }
            return;
        }
        if !self.lives.contains_key(&pid) {
            let since = match &event {
                Event::Executed => at,
                Event::Ended(ending, _) => ending.who.as_ref().map_or(at, |who| {
                    at.plus(i64::try_from(who.elapsed_micros).unwrap_or(i64::MAX).saturating_neg())
                }),
                // Of a process of which nothing else is known this is of no use.
                _ => return,
            };
            let entity = reckon(self.view.boot, pid, since, self.view.ticks_per_second);
            self.lives.insert(pid, Life::heard_of(entity, Start::Guessed, Phase::unknown(entity)));
        }
        if let Some(life) = self.lives.get_mut(&pid) {
            life.happened(at, event);
            if ends {
                self.ended.push(pid);
            }
        }
    }

    fn looked_at(&mut self, pid: u32, glance: Glance) {
        if let Sight::Excluded = glance.sight {
            self.lives.remove(&pid);
            self.ours.insert(pid);
        } else if self.ours.contains(&pid) {
            self.exclude(pid, Some(&glance));
        } else if let Some(life) = self.lives.get_mut(&pid) {
            life.looked_at(glance.at, glance.sight);
        }
    }

    /// Leaves one of ours out of the samples, too.
    fn exclude(&self, pid: u32, glance: Option<&Glance>) {
        let start = match glance.map(|glance| &glance.sight) {
            Some(Sight::Brief(brief)) => Some(brief.start),
            Some(Sight::Whole(process, _)) => process.key.entity.start(),
            _ => None,
        };
        if let Some(start) = start {
            self.view.exclude(Pid(pid), start);
        }
    }

    /// Tells whether what this process makes is left out of the record: what this very process makes is not, since a program that
    /// embeds the recorder may make what is to be recorded.
    fn is_ours(&self, pid: u32) -> bool {
        pid != self.own && (self.ours.contains(&pid) || self.view.excludes(Pid(pid)))
    }

    /// Takes a life out whose number is another's now.
    fn replace(&mut self, pid: u32, out: &mut Vec<Notice>) {
        if self.lives.get(&pid).is_some_and(|life| life.pending.as_ref().is_some_and(|p| p.end.is_some())) {
            self.tell_end(pid, out);
        } else if let Some(life) = self.lives.remove(&pid) {
            Teller { view: &self.view, out }.vanished(life);
        }
    }

    fn tell_end(&mut self, pid: u32, out: &mut Vec<Notice>) {
        let Some(mut life) = self.lives.remove(&pid) else { return };
        let Some((at, ending)) = life.pending.as_mut().and_then(|pending| pending.end.take()) else {
            // The number is another's already, whose life goes on.
            self.lives.insert(pid, life);
            return;
        };
        Teller { view: &self.view, out }.ended(life, at, &ending);
    }

    /// Learns what a sample shows of processes, whose reading began after `from`; tells what must stand before it.
    pub(super) fn settle(&mut self, from: Moment, seen: &Observation, out: &mut Vec<Notice>) {
        let mut files: HashMap<u32, HashSet<&FileKey>> = HashMap::new();
        let glimpsed = |(pid, life): (&u32, &Life)| {
            let pending = life.pending.as_ref()?;
            (!pending.files.is_empty()).then_some((*pid, HashSet::new()))
        };
        files.extend(self.lives.iter().filter_map(glimpsed));
        let mut shown = HashSet::new();
        for fact in &seen.facts {
            match fact {
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
        self.miss(from, seen, &shown, out);
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
        shown: &HashSet<pofr_core::identity::Entity>,
        out: &mut Vec<Notice>,
    ) {
        let read: Option<HashSet<_>> = match &seen.extent {
            Extent::Whole => None,
            Extent::Subjects(read) => Some(read.iter().map(|reread| reread.subject).collect()),
        };
        let mut vanished = Vec::new();
        for (pid, life) in &mut self.lives {
            let Some(entity) = life.entity().filter(|entity| !shown.contains(entity)) else { continue };
            match (&life.told, &mut life.pending) {
                (Some(_), _) => {
                    let is_read = read.as_ref().is_none_or(|read| read.contains(&Subject::Entity(entity)));
                    life.missed += u32::from(is_read || life.missed > 0);
                    if life.missed > PATIENCE {
                        vanished.push(*pid);
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
