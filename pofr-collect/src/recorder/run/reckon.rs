//! After a tick: what it cost is compared with the budget, and the observer learns how the recording goes.

use super::{Outcome, Run};
use crate::recorder::{budget::Relief, slot::Slot, tick::Tick};
use pofr_core::{Sink, time::WallMicros};
use std::collections::BTreeMap;

impl<S: Sink> Run<'_, S> {
    /// Compares what the tick after `before` cost, which is over, with the budget, does what that asks for, and returns the new
    /// pace.
    pub(super) fn keep_to_budget(&mut self, before: Option<WallMicros>) -> Outcome<i64, S> {
        let Some(stamp) = self.last else { return Ok(1) };
        let boot_micros = self.recorder.view.clock.boot_micros();
        let meter = &*self.recorder.meter;
        let cost = meter.thread_micros().saturating_sub(self.asked_at);
        let measures = self.budget.ticked(before, stamp, cost, boot_micros, meter);
        for gap in measures.gaps {
            self.write_gap(gap)?;
        }
        match measures.relief {
            Relief::None => {}
            Relief::EndBundle => self.overfull = true,
            Relief::Forget => {
                self.recorder.view.effort.halve();
                self.recorder.slots.iter_mut().for_each(Slot::lose);
            }
            Relief::Restore => self.recorder.view.effort.restore(),
        }
        self.tell(stamp);
        Ok(measures.every)
    }

    /// Tells the observer how the recording goes.
    fn tell(&mut self, stamp: WallMicros) {
        if std::mem::take(&mut self.fresh) {
            self.recorder.summary.notes = self.notes();
        }
        let recorder = &mut *self.recorder;
        recorder.summary.losses.clone_from(recorder.events.losses_ever());
        let every = self.budget.every().unsigned_abs();
        if let Some(observer) = &mut recorder.observer {
            observer.ticked(&Tick {
                stamp,
                interval_micros: recorder.settings.interval_micros.saturating_mul(every),
                over_budget: self.budget.describe(),
                summary: &recorder.summary,
            });
        }
    }

    /// Returns how samplers and event sources work that do not work as usual.
    pub(super) fn notes(&self) -> BTreeMap<String, String> {
        self.recorder.slots.iter().filter_map(Slot::note).chain(self.recorder.events.notes()).collect()
    }
}
