//! One run: ticks under one clock, from the first bundle to the last.

mod reckon;

use super::{
    RecordError, Recorder, STEP_MICROS, budget,
    schedule::{Late, Schedule},
    slot::{Answer, Slot},
    stop::Stop,
    wait::Woken,
};
use pofr_core::{
    Sink,
    collector::{Audit, Closing, Notice, Opening},
    diff::{DiffError, Differ},
    gap::{Gap, Severity},
    identity::RunId,
    record::Record,
    time::{WallMicros, ZoneOffset},
};
use std::collections::BTreeMap;

/// Why a run ended.
#[derive(Debug)]
pub(super) enum End {
    /// As planned.
    Asked,
    /// The wall clock was set.
    Stepped {
        /// By how much.
        micros: i64,
        /// The run's last stamp.
        last: Option<WallMicros>,
    },
}

/// A run in progress.
pub(super) struct Run<'a, S: Sink> {
    recorder: &'a mut Recorder<S>,
    id: RunId,
    differ: Differ,
    late: Late,
    budget: budget::Watch,
    telling: budget::Telling,
    /// CPU of this thread when the samplers were asked last, µs.
    asked_at: u64,
    /// What must be said first, of the time before this run.
    before: Option<Gap>,
    /// The last tick's stamp.
    last: Option<WallMicros>,
    /// When the open bundle was opened, on `CLOCK_BOOTTIME`; `None` before the first.
    opened: Option<i64>,
    /// Whether the bundle must be closed as soon as possible, whatever its age.
    overfull: bool,
    /// The offset of the zone that the open bundle names.
    zone: ZoneOffset,
    /// When the machine's zone was looked at last, on `CLOCK_BOOTTIME`.
    zone_looked: i64,
    /// Whether no tick of this bundle is over yet.
    fresh: bool,
    /// What the samplers' audits found in this bundle.
    audits: BTreeMap<String, Audit>,
    /// At how many ticks in a row a bundle was due to end and could not.
    postponed: u32,
}

/// So many ticks in a row may put off the end of a bundle; that many in which something new cannot be told do not happen by chance.
const PATIENCE: u32 = 100;

/// How often the machine's zone is looked at, µs: one stat(2).
const ZONE_MICROS: i64 = 1_000_000;

/// What events told is written after so long, µs, where no tick comes before.
const FLUSH_MICROS: i64 = 500_000;

type Outcome<T, S> = Result<T, RecordError<<S as Sink>::Error>>;

impl<'a, S: Sink> Run<'a, S> {
    pub(super) fn new(recorder: &'a mut Recorder<S>, id: RunId, before: Option<Gap>) -> Self {
        recorder.slots.iter_mut().for_each(Slot::restart);
        let settings = &recorder.settings;
        let budget = budget::Watch::new(&settings.budget, settings.interval_micros, &*recorder.meter);
        let view = &recorder.view;
        let telling = budget::Telling::new(view.effort.clone(), view.clock.boot_micros());
        Self {
            budget,
            telling,
            asked_at: 0,
            recorder,
            id,
            differ: Differ::default(),
            late: Late::default(),
            before,
            last: None,
            opened: None,
            overfull: false,
            zone: ZoneOffset::UTC,
            zone_looked: i64::MIN,
            fresh: false,
            audits: BTreeMap::new(),
            postponed: 0,
        }
    }

    /// Records until the run ends, and closes its last bundle.
    pub(super) fn record(mut self, stop: &Stop, deadline: Option<i64>) -> Outcome<End, S> {
        let start = self.recorder.view.clock.boot_micros();
        let mut schedule = Schedule::new(start, self.recorder.settings.interval_micros);
        // When what events told since the last tick has to be written, at intervals of more than a second.
        let mut waiting: Option<i64> = None;
        let end = loop {
            let deadline = deadline.filter(|deadline| *deadline <= schedule.due());
            let until = deadline.unwrap_or(schedule.due());
            let flush = waiting.filter(|flush| *flush < until);
            let wake = flush.unwrap_or(until);
            let now = self.recorder.view.clock.boot_micros();
            let rested = Some(self.telling.rests_until(now)).filter(|rested| *rested > now);
            let events = Some(&self.recorder.events).filter(|_| rested.is_none());
            match self.recorder.alarm.wait(rested.map_or(wake, |rested| rested.min(wake)), stop, events) {
                Ok(Woken::Due) if rested.is_some_and(|rested| rested < wake) => {}
                Ok(Woken::Events) => {
                    self.drain()?;
                    waiting.get_or_insert(self.recorder.view.clock.boot_micros() + FLUSH_MICROS);
                }
                Ok(Woken::Stopped) => break End::Asked,
                Ok(Woken::Due) if flush.is_some() => {
                    waiting = None;
                    self.idle(until)?;
                }
                Ok(Woken::Due) if deadline.is_some() => break End::Asked,
                Ok(Woken::Due) => {
                    let step = self.recorder.view.clock.step();
                    if step.abs() > STEP_MICROS {
                        break End::Stepped { micros: step, last: self.last };
                    }
                    let slept = schedule.arrive(self.recorder.view.clock.boot_micros());
                    self.late.skip(slept);
                    let before = self.last;
                    self.tick()?;
                    schedule.take_every(self.keep_to_budget(before)?);
                    let now = self.recorder.view.clock.boot_micros();
                    let skipped = schedule.advance(now);
                    self.recorder.summary.skipped += slept + skipped;
                    self.late.skip(skipped);
                    waiting = None;
                    self.idle(schedule.due())?;
                }
                Err(cause) => return Err(RecordError::System { what: "wait", cause }),
            }
        };
        if self.opened.is_some() {
            self.drain()?;
            self.finish()?;
        }
        Ok(end)
    }

    /// Lets the sink write what would wait too long until then.
    fn idle(&mut self, until: i64) -> Outcome<(), S> {
        let micros = u64::try_from(until - self.recorder.view.clock.boot_micros()).unwrap_or(0);
        self.recorder.sink.idle(micros).map_err(RecordError::Sink)
    }

    /// Reads what is due and writes it.
    fn tick(&mut self) -> Outcome<(), S> {
        let boot_micros = self.recorder.view.clock.boot_micros();
        let now = self.recorder.view.clock.at_boot(boot_micros);
        // Two ticks within a microsecond cannot be, but a test's clock may stand still.
        let stamp = self.last.map_or(now, |last| now.max(last.plus(1)));
        let mut notices = Vec::new();
        let before = self.recorder.meter.thread_micros();
        self.recorder.events.drain(stamp, &mut notices);
        if self.opened.is_some() {
            self.write_notices(std::mem::take(&mut notices))?;
        }
        self.asked_at = self.told_since(before);
        let age = self.opened.map(|opened| boot_micros - opened);
        // Such a bundle must not take the next keyframe too.
        let full = self.differ.is_full();
        let roll = full
            || self.overfull
            || self.recorder.sink.is_full()
            || self.is_zone_another(stamp, boot_micros)
            || age.is_some_and(|age| age.unsigned_abs() >= self.recorder.settings.bundle_micros);
        let answers = self.ask(boot_micros, roll || age.is_none());
        self.settle(stamp, &answers, &mut notices);
        if self.opened.is_some() {
            self.write_notices(std::mem::take(&mut notices))?;
        }
        if age.is_none() {
            self.begin(stamp, boot_micros)?;
        } else if roll {
            if self.can_roll(&answers) {
                self.finish()?;
                self.begin(stamp, boot_micros)?;
            } else if full || self.postponed >= PATIENCE {
                self.cut(stamp, &answers)?;
                self.finish()?;
                self.begin(stamp, boot_micros)?;
            } else {
                self.postponed += 1;
            }
        }
        self.write_notices(notices)?;
        if let Some(gap) = self.late.tick(self.last, stamp) {
            self.write_gap(gap)?;
        }
        for (index, answer) in answers {
            self.write_answer(index, stamp, answer)?;
        }
        self.last = Some(stamp);
        self.recorder.summary.tick(stamp);
        Ok(())
    }

    /// Tells whether the clock on the wall is no more that of the zone which the open bundle names: somebody set another, or summer
    /// begins or ends.
    fn is_zone_another(&mut self, stamp: WallMicros, boot_micros: i64) -> bool {
        let view = &self.recorder.view;
        if boot_micros.saturating_sub(self.zone_looked) >= ZONE_MICROS {
            self.zone_looked = boot_micros;
            view.look_at_zone();
        }
        self.opened.is_some() && view.zone_offset(stamp) != self.zone
    }

    /// Asks the samplers that are due, or all.
    fn ask(&mut self, boot_micros: i64, all: bool) -> Vec<(usize, Answer)> {
        let clock = &self.recorder.view.clock;
        let slots = self.recorder.slots.iter_mut().enumerate();
        slots
            .filter(|(_, s)| all || s.is_due(boot_micros))
            .map(|(i, s)| (i, s.ask(boot_micros, clock)))
            .collect()
    }

    /// Takes what event sources have to tell before these answers are written.
    fn settle(&mut self, stamp: WallMicros, answers: &[(usize, Answer)], out: &mut Vec<Notice>) {
        for (index, answer) in answers {
            if let Ok(seen) = &answer.result {
                let source = &self.recorder.slots[*index].source;
                self.recorder.events.settle(stamp, source, seen, out);
            }
        }
    }

    /// Tells whether a bundle may begin with these answers: nothing would be forgotten that the old one knew, and no source
    /// has just failed, which belongs into the old one.
    fn can_roll(&self, answers: &[(usize, Answer)]) -> bool {
        answers.iter().all(|(index, answer)| {
            let slot = &self.recorder.slots[*index];
            match &answer.result {
                Ok(seen) => !self.differ.would_lose(&slot.source, seen),
                Err(_) => slot.is_blind(),
            }
        })
    }

    /// Cuts the sources that will not let a bundle end, so that it can: what they knew up to the last tick ends unknown.
    fn cut(&mut self, stamp: WallMicros, answers: &[(usize, Answer)]) -> Outcome<(), S> {
        for (index, answer) in answers {
            let source = &self.recorder.slots[*index].source;
            if answer.result.as_ref().is_ok_and(|seen| self.differ.would_lose(source, seen)) {
                self.write_gap(Gap {
                    source: Some(source.clone()),
                    severity: Severity::Blind,
                    reason: "what could be read changed at every tick, and the bundle had to end".to_owned(),
                    from: self.last.unwrap_or(stamp),
                    to: Some(stamp),
                    lost: None,
                })?;
            }
        }
        Ok(())
    }

    /// Begins a bundle with the tick at `stamp`.
    fn begin(&mut self, stamp: WallMicros, boot_micros: i64) -> Outcome<(), S> {
        let view = &self.recorder.view;
        let opening = Opening {
            run: self.id,
            boot: view.boot,
            zone: view.zone_offset(stamp),
            interval_micros: self.recorder.settings.interval_micros,
            opened_wall: stamp,
            opened_boot_micros: boot_micros,
            recorder_pids: view.excluded(),
            sources: self.recorder.slots.iter().map(|slot| slot.source.clone()).collect(),
        };
        self.zone = opening.zone;
        let told = self.recorder.sink.begin(&opening).map_err(RecordError::Sink)?;
        self.differ.begin_bundle();
        self.opened = Some(boot_micros);
        (self.overfull, self.postponed, self.fresh) = (false, 0, true);
        let before = self.before.take().map(|gap| Gap { to: Some(stamp), ..gap });
        let standing: Vec<_> = self.recorder.events.standing_gaps(stamp).collect();
        for gap in told.into_iter().chain(before).chain(standing) {
            self.write_gap(gap)?;
        }
        Ok(())
    }

    /// Ends the bundle.
    fn finish(&mut self) -> Outcome<(), S> {
        let mut gaps: Vec<_> = self.late.take().into_iter().chain(self.budget.take()).collect();
        if let Some(last) = self.last {
            gaps.extend(self.recorder.slots.iter_mut().filter_map(|slot| slot.continue_gap(last)));
        }
        for gap in gaps {
            self.write_gap(gap)?;
        }
        self.differ.end_bundle().iter().try_for_each(|record| self.write(record))?;
        let closing = Closing {
            losses: self.recorder.events.take_losses(),
            audits: std::mem::take(&mut self.audits),
            notes: self.notes(),
        };
        self.recorder.sink.finish(&closing).map_err(RecordError::Sink)?;
        self.recorder.summary.bundles += 1;
        Ok(())
    }

    fn write_answer(&mut self, index: usize, stamp: WallMicros, answer: Answer) -> Outcome<(), S> {
        let slot = &mut self.recorder.slots[index];
        let source = slot.source.clone();
        let mut seen = match answer.result {
            Ok(seen) => seen,
            Err(error) => {
                let gap = slot.fail(stamp, &error);
                return gap.map_or(Ok(()), |gap| self.write_gap(gap));
            }
        };
        if let Some(gap) = slot.succeed(stamp) {
            self.write_gap(gap)?;
        }
        for gap in std::mem::take(&mut seen.gaps) {
            self.write_gap(gap)?;
        }
        if seen.audit != Audit::default() {
            *self.audits.entry(source.name().to_owned()).or_default() += seen.audit;
            *self.recorder.summary.audits.entry(source.clone()).or_default() += seen.audit;
        }
        match self.differ.observe(&source, stamp, answer.span_micros, seen) {
            Ok(sample) => {
                let shown = self.differ.shown(&source);
                if let Some(observer) = &mut self.recorder.observer {
                    observer.saw(&source, stamp, shown);
                }
                self.recorder.summary.saw(&source, shown);
                self.write(&Record::Sample(sample))?;
                // What was left out of it.
                self.differ.take_gaps().into_iter().try_for_each(|gap| self.write_gap(gap))
            }
            // This reading is lost, whatever is wrong with it, and the recording goes on. Where the numbers are used up, the next
            // begins a bundle.
            Err(error) => {
                self.overfull |= matches!(error, DiffError::TooManyFacts);
                self.recorder.slots[index].lose();
                let gap = self.recorder.slots[index].fail(
                    stamp,
                    &pofr_core::collector::CollectError::Malformed {
                        what: format!("reading of {source}"),
                        detail: error.to_string(),
                    },
                );
                gap.map_or(Ok(()), |gap| self.write_gap(gap))
            }
        }
    }

    /// Takes and writes what the event sources have to tell.
    fn drain(&mut self) -> Outcome<(), S> {
        if self.opened.is_none() {
            // Nothing was sampled yet; what waits is taken with the first tick.
            return Ok(());
        }
        let mut notices = Vec::new();
        let before = self.recorder.meter.thread_micros();
        let now = self.recorder.view.clock.now();
        self.recorder.events.drain(now, &mut notices);
        self.write_notices(notices)?;
        self.told_since(before);
        Ok(())
    }

    /// Takes note of what telling events took since the thread's CPU time was `before`; returns what that is now, µs.
    fn told_since(&mut self, before: u64) -> u64 {
        let now = self.recorder.meter.thread_micros();
        self.telling.took(now.saturating_sub(before), self.recorder.view.clock.boot_micros());
        now
    }

    fn write_notices(&mut self, notices: Vec<Notice>) -> Outcome<(), S> {
        for notice in notices {
            if let Notice::Lost(gap) = notice {
                self.write_gap(gap)?;
                continue;
            }
            self.differ.notice(notice).iter().try_for_each(|record| self.write(record))?;
        }
        Ok(())
    }

    fn write_gap(&mut self, gap: Gap) -> Outcome<(), S> {
        self.recorder.summary.gaps += 1;
        self.differ.gap(gap).map_or(Ok(()), |record| self.write(&record))
    }

    fn write(&mut self, record: &Record) -> Outcome<(), S> {
        self.recorder.sink.accept(record).map_err(RecordError::Sink)
    }
}
