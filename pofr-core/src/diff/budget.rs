//! The budget of a bundle: what its records come to, and what was left out because that was too much.

use super::line::Changes;
use crate::{
    gap::{Gap, Severity},
    limits,
    record::{Event, Record},
    time::WallMicros,
};

/// What an event takes besides its fact.
const EVENT: u64 = 32;
/// What a number of a fact takes.
const NUMBER: u64 = 8;

/// What is spent.
#[derive(Debug, Default)]
pub(super) struct Budget {
    bytes: u64,
    gaps: usize,
    /// Events that were not written, and their first and last time.
    events: Option<(u64, WallMicros, WallMicros)>,
    /// Thin gaps that were not written one by one, and the time that they cover.
    more: Option<(u64, WallMicros, WallMicros)>,
}

impl Budget {
    /// Tells whether nothing more should be written.
    pub(super) const fn is_full(&self) -> bool {
        self.bytes >= limits::RECORDS.written
    }

    /// Takes it that the bundle is full.
    pub(super) const fn fill(&mut self) {
        self.bytes = limits::RECORDS.written;
    }

    /// Counts a sample.
    pub(super) fn spend(&mut self, changes: &Changes) {
        let facts = changes.added.iter().map(|added| &added.fact);
        let facts = facts.chain(changes.learned.iter().map(|learned| &learned.fact));
        let numbers = (changes.removed.len() + changes.lost.len()) as u64;
        self.bytes += facts.map(limits::weight).sum::<u64>() + NUMBER * numbers + EVENT;
    }

    /// Counts what notices became; when the bundle is full, what need not be written is left out: ends must be.
    pub(super) fn pay(&mut self, records: &mut Vec<Record>) {
        records.retain(|record| {
            let (fact, at) = match record {
                Record::Event(Event::Began { fact, .. }) => (fact, None),
                Record::Event(Event::Passed { fact, ended, .. }) => (fact, Some(Some(*ended))),
                Record::Event(Event::Learned(learned)) => (&learned.fact, Some(None)),
                _ => {
                    self.bytes += EVENT;
                    return true;
                }
            };
            if let Some(at) = at
                && self.is_full()
            {
                // Details are told again with the fact in the next bundle.
                at.into_iter().for_each(|at| self.leave_out(at));
                return false;
            }
            self.bytes += limits::weight(fact) + EVENT;
            true
        });
    }

    /// Counts an event that was not written.
    pub(super) fn leave_out(&mut self, at: WallMicros) {
        let (many, first, last) = self.events.unwrap_or((0, at, at));
        self.events = Some((many + 1, first.min(at), last.max(at)));
    }

    /// Lets a thin gap pass; `None` where there are too many.
    pub(super) fn admit(&mut self, gap: Gap) -> Option<Gap> {
        self.gaps += 1;
        if self.gaps <= limits::GAPS.most() {
            return Some(gap);
        }
        let to = gap.to.unwrap_or(gap.from);
        let (many, first, last) = self.more.unwrap_or((0, gap.from, to));
        self.more = Some((many + 1, first.min(gap.from), last.max(to)));
        None
    }

    /// Returns the gap that tells of events that were not written since the last time.
    pub(super) fn left_out(&mut self) -> Option<Gap> {
        let (many, from, to) = self.events.take()?;
        Some(Gap {
            source: None,
            severity: Severity::Thin,
            reason: format!("cut: {many} events are left out: the bundle is as large as it may become"),
            from,
            to: Some(to),
            lost: Some(many),
        })
    }

    /// Returns the gap that stands for all those that were too many.
    pub(super) fn more_gaps(&mut self) -> Option<Gap> {
        let (many, from, to) = self.more.take()?;
        Some(Gap {
            source: None,
            severity: Severity::Thin,
            reason: format!("cut: {many} more thin gaps within this time are not told one by one"),
            from,
            to: Some(to),
            lost: None,
        })
    }
}
