//! Diff: from snapshots to the stream of what changed.
//!
//! The law is `apply(diff(a, b), a) == b`. [`Differ`] is the same thing for a recorder: it keeps the
//! live facts of every source with their numbers and writes each new reading as a [`Sample`].
//!
//! ```text
//! live            reading         sample
//! 0 sh            sh              removed [1]
//! 1 ls            vi              added   [vi]   (takes number 2)
//! ```

use crate::{
    collector::{Notice, Numbering},
    fact::{ByKey, Fact, Files, ProcessKey},
    gap::{Gap, Severity},
    identity::Entity,
    record::{Added, Event, FactId, Learned, Record, Sample},
    source::Source,
    time::WallMicros,
};
use hashbrown::{HashMap, HashSet};
use serde::Serialize;

/// What can go wrong while writing a stream.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum DiffError {
    /// Time must go on within a source.
    #[error("sample of {source_name} at {stamp} is not later than the one before, at {before}")]
    NotLater {
        /// The source's name.
        source_name: String,
        /// The stamp.
        stamp: WallMicros,
        /// The stamp before.
        before: WallMicros,
    },
    /// The bundle must be closed.
    #[error("more than 4294967295 facts in one bundle")]
    TooManyFacts,
}

/// All facts of one source at one stamp.
#[derive(Clone, Debug, Serialize)]
pub struct Snapshot {
    /// The source.
    pub source: Source,
    /// When.
    pub stamp: WallMicros,
    /// What held. A fact stands here once.
    pub facts: Vec<Fact>,
}

impl PartialEq for Snapshot {
    /// Equal where the same facts hold at the same time, in whatever order.
    fn eq(&self, other: &Self) -> bool {
        let keys = |s: &Self| s.facts.iter().cloned().map(ByKey).collect::<HashSet<_>>();
        self.source == other.source && self.stamp == other.stamp && keys(self) == keys(other)
    }
}

/// What must happen to one snapshot to make it another.
#[derive(Clone, Debug)]
pub struct Delta {
    /// The stamp that results.
    pub stamp: WallMicros,
    /// Facts that go.
    pub removed: Vec<Fact>,
    /// Facts that come.
    pub added: Vec<Fact>,
}

/// Returns the difference between two snapshots of one source.
#[must_use]
pub fn diff(a: &Snapshot, b: &Snapshot) -> Delta {
    let keys = |s: &Snapshot| s.facts.iter().cloned().map(ByKey).collect::<HashSet<_>>();
    let (before, after) = (keys(a), keys(b));
    let without = |facts: &[Fact], there: &HashSet<ByKey>| {
        facts.iter().filter(|f| !there.contains(&ByKey((*f).clone()))).cloned().collect()
    };
    Delta { stamp: b.stamp, removed: without(&a.facts, &after), added: without(&b.facts, &before) }
}

/// Returns the snapshot that `delta` makes of `a`.
#[must_use]
pub fn apply(delta: &Delta, a: &Snapshot) -> Snapshot {
    let gone: HashSet<ByKey> = delta.removed.iter().cloned().map(ByKey).collect();
    let stay = a.facts.iter().filter(|f| !gone.contains(&ByKey((*f).clone()))).cloned();
    Snapshot {
        source: a.source.clone(),
        stamp: delta.stamp,
        facts: stay.chain(delta.added.iter().cloned()).collect(),
    }
}

/// A fact that holds, as far as the recorder knows.
#[derive(Debug)]
struct Live {
    id: FactId,
    /// The reading that last showed it; the mark of a sweep.
    sweep: u64,
}

/// One source's live facts.
#[derive(Debug, Default)]
struct Line {
    live: HashMap<ByKey, Live>,
    stamp: Option<WallMicros>,
    /// Whether the bundle has a sample of this source to go on from.
    begun: bool,
    /// Processes whose files the last reading could not tell.
    veiled: HashSet<Entity>,
}

/// Turns readings and notices into records.
#[derive(Debug, Default)]
pub struct Differ {
    numbering: Numbering,
    lines: HashMap<Source, Line>,
    sweep: u64,
    /// Processes first told of without their arguments: those stay out of the key as long as the fact lives.
    untold: HashMap<Entity, ProcessKey>,
}

impl Differ {
    /// Begins a bundle: forgets all numbers, so that the next sample of each source is a keyframe.
    pub fn begin_bundle(&mut self) {
        self.numbering = Numbering::default();
        for line in self.lines.values_mut() {
            line.live.clear();
            line.begun = false;
        }
    }

    /// Tells whether this reading changes what can be told: a process with files turned unreadable, or readable again.
    /// A bundle must not begin with such a reading, since a keyframe cannot say "unknown before".
    #[must_use]
    pub fn would_lose(&self, source: &Source, facts: &[Fact]) -> bool {
        let Some(line) = self.lines.get(source) else { return false };
        let veiled = veiled(facts);
        let holds_one_of =
            |fact: &Fact, processes: &HashSet<Entity>| holder(fact).is_some_and(|e| processes.contains(&e));
        (!veiled.is_empty() && line.live.keys().any(|live| holds_one_of(&live.0, &veiled)))
            || (!line.veiled.is_empty() && facts.iter().any(|fact| holds_one_of(fact, &line.veiled)))
    }

    /// Writes a reading as a sample.
    ///
    /// # Errors
    /// Where `stamp` is not later than the source's last, or the bundle is full.
    pub fn observe(
        &mut self,
        source: &Source,
        stamp: WallMicros,
        span_micros: u32,
        facts: Vec<Fact>,
    ) -> Result<Sample, DiffError> {
        self.sweep += 1;
        let line = self.lines.entry(source.clone()).or_default();
        if let Some(before) = line.stamp
            && stamp <= before
        {
            return Err(DiffError::NotLater { source_name: source.name().to_owned(), stamp, before });
        }
        let veiled = veiled(&facts);
        let (mut added, mut learned) = (Vec::new(), Vec::new());
        let mut still_untold = HashSet::new();
        for mut fact in facts {
            if let Fact::Process(process) = &mut fact
                && self
                    .untold
                    .get(&process.key.entity)
                    .is_some_and(|told| told.same_but_arguments(&process.key))
            {
                process.details.arguments = process.key.arguments.take().or(process.details.arguments.take());
                still_untold.insert(process.key.entity);
            }
            let key = ByKey(fact);
            if let Some((known, live)) = line.live.get_key_value_mut(&key) {
                live.sweep = self.sweep;
                if known.0.lacks_what(&key.0) {
                    let (mut known, live) = (known.0.clone(), Live { ..*live });
                    known.learn(&key.0);
                    learned.push(Learned { id: live.id, fact: known.clone() });
                    line.live.remove(&key);
                    line.live.insert(ByKey(known), live);
                }
                continue;
            }
            let id = self.numbering.next_id().ok_or(DiffError::TooManyFacts)?;
            let unsure = line.begun && holder(&key.0).is_some_and(|e| line.veiled.contains(&e));
            added.push(Added { fact: key.0.clone(), unsure });
            line.live.insert(key, Live { id, sweep: self.sweep });
        }
        let (mut removed, mut lost) = (Vec::new(), Vec::new());
        let sweep = self.sweep;
        line.live.retain(|key, live| {
            if live.sweep == sweep {
                return true;
            }
            let unknown = holder(&key.0).is_some_and(|e| veiled.contains(&e));
            let list = if unknown { &mut lost } else { &mut removed };
            list.push(live.id);
            false
        });
        removed.sort_unstable();
        lost.sort_unstable();
        if *source == Source::Process {
            self.untold.retain(|entity, _| still_untold.contains(entity));
        }
        let keyframe = !std::mem::replace(&mut line.begun, true);
        line.stamp = Some(stamp);
        line.veiled = veiled;
        Ok(Sample { source: source.clone(), stamp, span_micros, keyframe, removed, lost, learned, added })
    }

    /// Writes what an event source told: an end of a live fact ends it, an end of any other is a fact that passed.
    ///
    /// A beginning that is told before the bundle's first sample of its source is left to that sample.
    ///
    /// # Errors
    /// Where the bundle is full.
    pub fn notice(&mut self, notice: Notice) -> Result<Vec<Record>, DiffError> {
        Ok(match notice {
            Notice::Lost(gap) => vec![Record::Gap(gap)],
            Notice::Passed { fact, began, ended } => {
                vec![Record::Event(Event::Passed { fact, began, ended })]
            }
            Notice::Began(fact, at) => {
                let line = self.lines.entry(fact.source()).or_default();
                let key = ByKey(fact.clone());
                if !line.begun || line.live.contains_key(&key) {
                    return Ok(Vec::new());
                }
                let id = self.numbering.next_id().ok_or(DiffError::TooManyFacts)?;
                if let Fact::Process(process) = &fact
                    && process.key.arguments.is_none()
                {
                    self.untold.insert(process.key.entity, process.key.clone());
                }
                line.live.insert(key, Live { id, sweep: self.sweep });
                vec![Record::Event(Event::Began { fact, at })]
            }
            Notice::Ended(fact, at) => {
                let line = self.lines.entry(fact.source()).or_default();
                match line.live.remove(&ByKey(fact.clone())) {
                    Some(Live { id, .. }) => vec![
                        Record::Event(Event::Learned(Learned { id, fact })),
                        Record::Event(Event::Ended { id, at }),
                    ],
                    None => vec![Record::Event(Event::Passed { fact, began: None, ended: at })],
                }
            }
        })
    }

    /// Writes a blind gap: forgets the live facts of its source, or of all, so that the next sample is a keyframe.
    pub fn blind(&mut self, gap: Gap) -> Record {
        for (source, line) in &mut self.lines {
            if gap.source.as_ref().is_none_or(|s| s == source) {
                line.live.clear();
                line.begun = false;
                line.veiled.clear();
            }
        }
        Record::Gap(Gap { severity: Severity::Blind, ..gap })
    }
}

/// Returns the process whose readability decides whether this fact can be seen.
const fn holder(fact: &Fact) -> Option<Entity> {
    match fact {
        Fact::File(file) => Some(file.key.entity),
        _ => None,
    }
}

/// Returns the processes whose files this reading cannot tell.
fn veiled(facts: &[Fact]) -> HashSet<Entity> {
    facts
        .iter()
        .filter_map(|fact| match fact {
            Fact::Process(p) if p.key.files != Files::Read => Some(p.key.entity),
            _ => None,
        })
        .collect()
}
