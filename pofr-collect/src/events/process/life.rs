//! A life: one process from when it is first heard of until it is gone, and what of it is yet to be told.

use super::{endings::Ending, heard::Event, moment::Moment, phase::Phase};
use crate::samplers::Sight;
use hashbrown::HashMap;
use pofr_core::{
    fact::{FileKey, OpenFile, Process},
    identity::{BootId, Entity, Pid, StartTicks},
};

/// One process.
#[derive(Debug)]
pub(super) struct Life {
    /// What it was when that was last told, or shown by a sample; of one that has not been, nothing.
    pub(super) told: Option<Process>,
    /// How many samples have missed it since one showed it, though its end has not been heard.
    pub(super) missed: u32,
    /// When the reading of the last sample that showed it began, if one has missed it since.
    pub(super) last_shown: Moment,
    /// What is yet to be told.
    pub(super) pending: Option<Box<Pending>>,
}

/// What is yet to be told of a process.
#[derive(Debug)]
pub(super) struct Pending {
    /// Who it is.
    pub(super) entity: Entity,
    /// How its start time is known.
    pub(super) start: Start,
    /// What it was, one after the other.
    pub(super) phases: Vec<Phase>,
    /// What it had open when it was looked at, with the first and the last look that showed it.
    pub(super) files: HashMap<FileKey, (Moment, Moment)>,
    /// When it was last looked at.
    pub(super) looked: Option<Moment>,
    /// How it ended.
    pub(super) end: Option<(Moment, Box<Ending>)>,
    /// Whether a sample showed it as a zombie before its end was heard.
    pub(super) zombie_shown: bool,
    /// How many samples should have shown it and did not.
    pub(super) misses: u32,
}

/// How a start time is known.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Start {
    /// The kernel said it.
    Read,
    /// From when the process was made.
    Reckoned,
    /// It was there before it was heard of.
    Guessed,
}

impl Life {
    /// Begins with a process that a sample shows.
    pub(super) const fn shown(process: Process) -> Self {
        Self { told: Some(process), missed: 0, last_shown: Moment(0), pending: None }
    }

    /// Begins with one that has just been heard of.
    pub(super) fn heard_of(entity: Entity, start: Start, phase: Phase) -> Self {
        let mut pending = Pending::new(entity, start);
        pending.phases.push(phase);
        Self { told: None, missed: 0, last_shown: Moment(0), pending: Some(Box::new(pending)) }
    }

    /// Returns what the process is now.
    fn present(&self) -> Option<Phase> {
        let heard = self.pending.as_ref().and_then(|pending| pending.phases.last().cloned());
        heard.or_else(|| self.told.clone().map(Phase::of))
    }

    /// Returns what the process is now, and whether the name in that is its own.
    pub(super) fn as_parent(&self) -> Option<(Process, bool)> {
        let heard = self.pending.as_ref().and_then(|pending| pending.phases.last());
        heard.map(|phase| (phase.fact(), phase.is_named())).or_else(|| Some((self.told.clone()?, true)))
    }

    /// Returns who it is.
    pub(super) fn entity(&self) -> Option<Entity> {
        let told = || self.told.as_ref().map(|told| told.key.entity);
        self.pending.as_ref().map(|pending| pending.entity).or_else(told)
    }

    /// Returns what is yet to be told, to add to it; `None` for a life that was never anything.
    pub(super) fn pending(&mut self) -> Option<&mut Pending> {
        let entity = self.entity()?;
        // It was shown, or it would have been heard of by now.
        Some(self.pending.get_or_insert_with(|| Box::new(Pending::new(entity, Start::Read))))
    }

    /// Takes an event other than its beginning.
    pub(super) fn happened(&mut self, at: Moment, event: Event) {
        let Some(mut present) = self.present() else { return };
        let next = match event {
            Event::Forked { .. } => None,
            Event::Executed => Some(present.executed(at)),
            Event::Users(real, effective) => present.changed(at, |key| {
                (key.ids.ruid, key.ids.euid) = (Some(real), Some(effective));
            }),
            Event::Groups(real, effective) => present.changed(at, |key| {
                (key.ids.rgid, key.ids.egid) = (Some(real), Some(effective));
            }),
            Event::Session => present.changed(at, |key| (key.session, key.tty) = (key.entity.pid().0, 0)),
            Event::Named(name) => present.changed(at, |key| key.comm = name.clone()),
            Event::Ended(ending, start) => {
                let Some(pending) = self.pending() else { return };
                pending.adopt(start);
                if pending.end.is_none() {
                    pending.end = Some((at, ending));
                }
                None
            }
        };
        let Some(next) = next else { return };
        let Some(pending) = self.pending() else { return };
        if let Some(last) = pending.phases.last_mut() {
            *last = present;
        }
        pending.phases.push(next);
    }

    /// Takes a look at it; of a process that is known already only the files are of interest: the samples tell the rest.
    pub(super) fn looked_at(&mut self, at: Moment, sight: Sight) {
        let Some(pending) = self.pending() else { return };
        match sight {
            Sight::Brief(brief) => {
                if pending.adopt(Some(brief.start))
                    && let Some(phase) = pending.phases.last_mut()
                {
                    phase.looked_briefly(at, &brief);
                }
            }
            Sight::Whole(process, files) => {
                if pending.adopt(process.key.entity.start()) {
                    if process.key.tells_files() && !process.key.zombie {
                        pending.see(at, files);
                    }
                    if let Some(phase) = pending.phases.last_mut() {
                        phase.looked(at, *process);
                    }
                }
            }
            Sight::Excluded => {}
        }
    }
}

impl Pending {
    fn new(entity: Entity, start: Start) -> Self {
        Self {
            entity,
            start,
            phases: Vec::new(),
            files: HashMap::new(),
            looked: None,
            end: None,
            zombie_shown: false,
            misses: 0,
        }
    }

    /// Takes a start time that was read; false where that is of another process with the same number.
    pub(super) fn adopt(&mut self, start: Option<StartTicks>) -> bool {
        let (Some(start), Entity::Started { boot, pid, start: known }) = (start, self.entity) else {
            return false;
        };
        let fits = match self.start {
            Start::Read => false,
            Start::Reckoned => may_be(start, known),
            Start::Guessed => start <= known,
        };
        if fits {
            self.entity = Entity::Started { boot, pid, start };
            self.start = Start::Read;
        }
        self.entity.start() == Some(start)
    }

    /// Makes the phases ready to be told.
    pub(super) fn round_off(&mut self) {
        if let [forked, next, ..] = &mut self.phases[..]
            && self.start != Start::Guessed
        {
            forked.disown(next);
        }
    }

    /// Takes the files that a look showed.
    fn see(&mut self, at: Moment, files: Vec<OpenFile>) {
        self.looked = Some(at);
        for file in files {
            self.files.entry(file.key).or_insert((at, at)).1 = at;
        }
    }
}

/// Returns who a process is that came to be at that moment, as far as can be reckoned.
pub(super) fn reckon(boot: BootId, pid: u32, at: Moment, ticks_per_second: u64) -> Entity {
    let micros = u128::try_from(at.0).unwrap_or(0);
    let ticks = micros * u128::from(ticks_per_second) / 1_000_000;
    let start = StartTicks(u64::try_from(ticks).unwrap_or(u64::MAX));
    Entity::Started { boot, pid: Pid(pid), start }
}

/// How long the kernel may take between the start time that it gives a process and telling of it, ticks: it is seldom more than
/// some µs, but whoever makes the process may be interrupted in between.
const DELAY_TICKS: u64 = 100;

/// Tells whether a start time that was read may be that of a process heard of at a reckoned one.
pub(super) const fn may_be(start: StartTicks, reckoned: StartTicks) -> bool {
    // The two clocks are not read at the same time.
    start.0 <= reckoned.0 + 1 && reckoned.0.saturating_sub(start.0) <= DELAY_TICKS
}
