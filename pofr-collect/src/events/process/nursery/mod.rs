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

mod settle;
#[cfg(test)]
mod tests;

use super::{
    heard::{Event, Glance, Heard},
    life::{Life, Start, may_be, reckon},
    moment::Moment,
    phase::Phase,
    sequence::Loss,
    telling::Teller,
    users::{self, Flood},
};
use crate::{HostView, samplers::Sight};
use hashbrown::{HashMap, HashSet};
use pofr_core::{
    Source,
    collector::Notice,
    gap::{Gap, Severity},
    identity::Pid,
};

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
    /// When the reading of the last sample began.
    settled: Moment,
}

impl Nursery {
    pub(super) fn new(view: HostView) -> Self {
        let own = std::process::id();
        Self {
            view,
            own,
            lives: HashMap::new(),
            ours: HashSet::new(),
            ended: Vec::new(),
            lost: None,
            settled: Moment(0),
        }
    }

    /// Takes note of what was heard.
    pub(super) fn hear(&mut self, heard: Heard, out: &mut Vec<Notice>) {
        match heard {
            Heard::Event { at, pid, event, glance } => {
                match event {
                    Event::Forked { parent } => self.forked(at, pid, parent, glance.as_ref(), out),
                    event => self.happened(at, pid, event, out),
                }
                if let Some(glance) = glance {
                    self.looked_at(pid, glance);
                }
            }
            Heard::EndIfShown { at, pid, event } => {
                if self.lives.contains_key(&pid) || self.ours.contains(&pid) {
                    self.happened(at, pid, event, out);
                }
            }
            Heard::Flood(flood) => out.push(Notice::Lost(self.flooded(&flood))),
            Heard::Unheard { span, user } => out.push(Notice::Lost(self.gap(users::unheard(user), span))),
            Heard::Look { pid, glance } => self.looked_at(pid, glance),
            Heard::Lost { loss, what } => {
                self.lost = self.lost.max(Some(loss.to));
                out.push(Notice::Lost(self.gap(what.reason().to_owned(), loss)));
            }
        }
    }

    /// Says what was left out of a user's doing.
    fn flooded(&self, flood: &Flood) -> Gap {
        let span = Loss { from: flood.from, to: flood.to, events: Some(flood.lost()) };
        self.gap(flood.reason(), span)
    }

    fn gap(&self, reason: String, span: Loss) -> Gap {
        Gap {
            source: Some(Source::Process),
            severity: Severity::Thin,
            reason,
            from: self.view.clock.at_boot(span.from.0),
            to: Some(self.view.clock.at_boot(span.to.0)),
            lost: span.events,
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
            self.leave_out(pid, parent, glance);
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

    fn happened(&mut self, at: Moment, pid: u32, event: Event, out: &mut Vec<Notice>) {
        let ends = matches!(event, Event::Ended(..));
        if self.ours.contains(&pid) {
            let leaves = matches!(event, Event::Executed) && !self.view.still_of_a_family(Pid(pid));
            if ends || leaves {
                self.ours.remove(&pid);
                self.view.release(Pid(pid));
            }
            if !leaves {
                return;
            }
        }
        if self.has_ended(pid) {
            // Another has the number, whose beginning was lost.
            self.tell_end(pid, out);
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
        } else {
            // What a look does not leave out is of no family any more.
            if matches!(glance.sight, Sight::Brief(_) | Sight::Whole(..)) {
                self.ours.remove(&pid);
            }
            if let Some(life) = self.lives.get_mut(&pid) {
                life.looked_at(glance.at, glance.sight);
            }
        }
    }

    /// Leaves a child of a family out of the samples, too.
    fn leave_out(&self, pid: u32, parent: u32, glance: Option<&Glance>) {
        let start = match glance.map(|glance| &glance.sight) {
            Some(Sight::Brief(brief)) => Some(brief.start),
            Some(Sight::Whole(process, _)) => process.key.entity.start(),
            _ => None,
        };
        if let Some(start) = start {
            self.view.leaves_out(Pid(pid), start, Pid(parent));
        }
    }

    /// Tells whether what this process makes is left out of the record, until it runs a program.
    fn is_ours(&self, pid: u32) -> bool {
        pid != self.own && (self.ours.contains(&pid) || self.view.is_of_a_family(Pid(pid)))
    }

    /// Tells whether its end has been heard.
    fn has_ended(&self, pid: u32) -> bool {
        self.lives.get(&pid).is_some_and(|life| life.pending.as_ref().is_some_and(|p| p.end.is_some()))
    }

    /// Takes a life out whose number is another's now.
    fn replace(&mut self, pid: u32, out: &mut Vec<Notice>) {
        if self.has_ended(pid) {
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
}
