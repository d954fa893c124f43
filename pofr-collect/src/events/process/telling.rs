//! Telling: from what is pending of a life to notices, with times on the run's clock.

use super::{
    endings::Ending,
    life::{Life, Pending, Start},
    moment::Moment,
    phase::Phase,
};
use crate::HostView;
use pofr_core::{
    Source,
    collector::Notice,
    fact::{Fact, FileDetails, FileKey, OpenFile, Process},
    gap::{Gap, Severity},
    identity::Entity,
    time::WallMicros,
};

/// Where notices go.
pub(super) struct Teller<'a> {
    pub(super) view: &'a HostView,
    pub(super) out: &'a mut Vec<Notice>,
}

impl Teller<'_> {
    /// Puts a moment on the run's clock.
    pub(super) fn at(&self, moment: Moment) -> WallMicros {
        self.view.clock.at_boot(moment.0)
    }

    /// Tells whether this process is left out of the record.
    fn leaves_out(&self, entity: Entity) -> bool {
        entity.start().is_some_and(|start| self.view.is_excluded(entity.pid(), start))
    }

    /// Makes the fact of a phase.
    fn fact(&self, pending: &Pending, phase: &Phase) -> Process {
        let mut process = phase.fact();
        process.key.entity = pending.entity;
        let start = pending.entity.start().filter(|_| pending.start == Start::Read);
        process.details.started =
            start.map(|start| self.view.clock.started(start, self.view.ticks_per_second));
        process
    }

    fn passed(&mut self, process: Process, from: Option<Moment>, to: Moment) {
        let (began, ended) = (from.map(|from| self.at(from)), self.at(to));
        self.out.push(Notice::Passed { fact: Fact::from(process), began, ended });
    }

    /// Tells the phases that a sample shows to be over, and begins the one that it shows. Returns those that it does not show yet.
    pub(super) fn shown(&mut self, was_told: bool, pending: &mut Pending, count: usize, shown: &Process) {
        if !was_told {
            pending.round_off();
        }
        let later = pending.phases.split_off(count);
        let phases = std::mem::replace(&mut pending.phases, later);
        if self.leaves_out(pending.entity) {
            return;
        }
        for (i, phase) in phases.iter().enumerate() {
            let next = phases.get(i + 1).and_then(|next| next.from);
            match (was_told, phase.from, next) {
                (true, Some(from), next) => {
                    let is_shown = next.is_none() && !shown.key.zombie;
                    let process = if is_shown { shown.clone() } else { self.fact(pending, phase) };
                    let at = self.at(from);
                    self.out.push(Notice::Became(process, at));
                }
                (false, from, Some(to)) if !phase.is_nothing() => {
                    let process = self.fact(pending, phase);
                    self.passed(process, from, to);
                }
                (false, Some(from), None) => {
                    let at = self.at(from);
                    self.out.push(Notice::Began(Fact::from(shown.clone()), at));
                }
                _ => {}
            }
        }
    }

    /// Tells of a life that ended.
    pub(super) fn ended(&mut self, life: Life, at: Moment, ending: &Ending) {
        let Some(mut pending) = life.pending else { return };
        if self.leaves_out(pending.entity) || life.missed > 0 {
            return;
        }
        if life.told.is_none() {
            pending.round_off();
        }
        if let (Some(who), Some(phase)) = (&ending.who, pending.phases.last_mut()) {
            phase.exited(who);
        }
        let (mut process, from) = self.until(life.told, &pending, at);
        process.details.exit_code = Some(ending.code);
        process.details.totals = ending.totals;
        for (key, (first, last)) in std::mem::take(&mut pending.files) {
            let to = if pending.looked == Some(last) { at } else { last.plus(1) };
            self.file(key, &process, first, to);
        }
        if pending.zombie_shown {
            // Its own fact has passed; what is live is the zombie, which learns the rest.
            self.passed(process.clone(), from, at);
        }
        let (began, at) = (from.map(|from| self.at(from)), self.at(at));
        self.out.push(Notice::Gone { process, began, at });
    }

    /// Tells all phases but the last, of a life that ended; returns the last with its beginning.
    fn until(&mut self, told: Option<Process>, pending: &Pending, end: Moment) -> (Process, Option<Moment>) {
        let mut last = None;
        // Ids that no event changed are the same in all phases, so it is enough if one knows them.
        let is_changed =
            pending.phases.iter().any(|phase| matches!(phase.knows_ids(), (true, false) | (false, true)));
        let knows_ids = |phase: &&Phase| phase.knows_ids() == (true, true);
        let ids =
            pending.phases.iter().find(knows_ids).filter(|_| !is_changed).map(|phase| phase.fact().key.ids);
        for (i, phase) in pending.phases.iter().enumerate() {
            let mut process = self.fact(pending, phase);
            if let Some(ids) = ids.filter(|_| !knows_ids(&phase)) {
                process.key.ids = ids;
            }
            match (&told, phase.from) {
                (Some(_), Some(from)) => {
                    let at = self.at(from);
                    self.out.push(Notice::Became(process.clone(), at));
                }
                (None, from) if !phase.is_nothing() => {
                    if let Some(next) = pending.phases.get(i + 1) {
                        self.passed(process.clone(), from, next.from.unwrap_or(end));
                    }
                }
                _ => {}
            }
            last = Some((process, phase.from));
        }
        last.or(told.map(|told| (told, None)))
            .unwrap_or_else(|| (self.fact(pending, &Phase::unknown(pending.entity)), None))
    }

    /// Tells of a life whose end was not heard and that is there no more.
    pub(super) fn vanished(&mut self, life: Life) {
        let Some(pending) = life.pending else { return };
        if life.told.is_some() || self.leaves_out(pending.entity) {
            // What is live the samples miss.
            return;
        }
        let heard = pending.phases.iter().filter_map(|phase| phase.from).chain(pending.looked).max();
        let Some(last_sign) = heard else { return };
        let (process, from) = self.until(None, &pending, last_sign.plus(1));
        for (key, (first, last)) in pending.files {
            self.file(key, &process, first, last.plus(1));
        }
        self.passed(process, from, last_sign.plus(1));
    }

    /// Says that a process is shown no more whose exit was not told: since the sample before `from` was taken.
    pub(super) fn strange(&mut self, process: &Process, from: Moment, to: Moment) {
        let (pid, comm) = (process.key.entity.pid(), process.key.comm.escaped());
        self.out.push(Notice::Lost(Gap {
            source: Some(Source::Process),
            severity: Severity::Thin,
            reason: format!("vanished: process {pid} ({comm}) is shown no more, and no exit was told"),
            from: self.at(from),
            to: Some(self.at(to)),
            lost: None,
        }));
    }

    /// Tells of a file that was open for a while.
    pub(super) fn file(&mut self, key: FileKey, holder: &Process, from: Moment, to: Moment) {
        let (entity, holder) = (holder.key.entity, &holder.key);
        let details =
            FileDetails { ppid: Some(holder.ppid), ids: Some(holder.ids), comm: Some(holder.comm.clone()) };
        let fact = Fact::File(OpenFile { key: FileKey { entity, ..key }, details });
        let (began, ended) = (Some(self.at(from)), self.at(to));
        self.out.push(Notice::Passed { fact, began, ended });
    }
}
