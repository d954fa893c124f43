//! The differ: from readings and notices to records.

use super::{
    DiffError,
    line::{Changes, Entry, Line},
};
use crate::{
    collector::{Extent, Notice, Numbering, Observation, Reread},
    digest::Sha256,
    fact::{Fact, Process, ProcessKey, Subject, TcpState},
    gap::{Gap, Severity},
    identity::Entity,
    raw::{RawText, Reading},
    record::{Event, Learned, Record, Sample},
    source::Source,
    time::WallMicros,
};
use hashbrown::{HashMap, HashSet};

/// Turns readings and notices into records.
#[derive(Debug, Default)]
pub struct Differ {
    numbering: Numbering,
    lines: HashMap<Source, Line>,
    /// Processes first told of without their arguments: those stay out of the key as long as the fact lives.
    untold: HashMap<Entity, ProcessKey>,
}

/// What the readings of one source show, as of its last sample.
#[derive(Clone, Copy, Debug)]
pub struct Shown<'a>(Option<&'a Line>);

impl<'a> Shown<'a> {
    /// Returns the facts, in no order.
    pub fn facts(self) -> impl Iterator<Item = &'a Fact> {
        self.0.into_iter().flat_map(Line::entries).filter(|entry| entry.shown).map(|entry| &entry.fact)
    }

    /// Returns how many facts there are.
    #[must_use]
    pub fn count(self) -> usize {
        self.0.map_or(0, |line| line.count)
    }

    /// Returns how many processes are shown whose files could not be told.
    #[must_use]
    pub fn veiled(self) -> usize {
        self.0.map_or(0, |line| line.veiled.len())
    }
}

impl Differ {
    /// Begins a bundle: forgets all numbers, so that the next sample of each source is a keyframe.
    pub fn begin_bundle(&mut self) {
        self.numbering = Numbering::default();
        self.lines.values_mut().for_each(Line::untell);
    }

    /// Returns what the readings of `source` so far show.
    #[must_use]
    pub fn shown(&self, source: &Source) -> Shown<'_> {
        Shown(self.lines.get(source))
    }

    /// Tells whether this reading changes what can be told: a process with files turned unreadable, or readable again, or something
    /// was found that may have been there for longer; or an event told of a file of a process whose files stay unreadable. A bundle
    /// must not begin with such a reading, since a keyframe cannot say "unknown before".
    #[must_use]
    pub fn would_lose(&self, source: &Source, seen: &Observation) -> bool {
        let Some(line) = self.lines.get(source) else { return false };
        let told_file = |entry: &Entry| entry.told.is_some() && matches!(entry.fact, Fact::File(_));
        let has_told_files = |e: &Entity| line.of(&Subject::Entity(*e)).iter().any(told_file);
        let (is_late, stays_veiled) = match &seen.extent {
            Extent::Whole => (false, false),
            Extent::Subjects(read) => (
                read.iter().any(|reread| reread.since.is_some()),
                // One that is read is judged by what the reading shows of it.
                line.veiled.iter().any(|e| {
                    has_told_files(e) && !read.iter().any(|reread| reread.subject == Subject::Entity(*e))
                }),
            ),
        };
        is_late
            || stays_veiled
            || veiled(&seen.facts).iter().any(has_told_files)
            || (!line.veiled.is_empty()
                && seen
                    .facts
                    .iter()
                    .any(|fact| matches!(fact, Fact::File(f) if line.veiled.contains(&f.key.entity))))
    }

    /// Writes a reading as a sample.
    ///
    /// # Errors
    /// Where `stamp` is not later than the source's last, the bundle is full, or the reading tells of some subjects only and
    /// none before it told of the others. Then the next reading must be a whole one.
    pub fn observe(
        &mut self,
        source: &Source,
        stamp: WallMicros,
        span_micros: u32,
        seen: Observation,
    ) -> Result<Sample, DiffError> {
        let line = self.lines.entry_ref(source).or_default();
        let source_name = || source.name().to_owned();
        if let Some(before) = line.stamp
            && stamp <= before
        {
            return Err(DiffError::NotLater { source_name: source_name(), stamp, before });
        }
        let Observation { mut facts, extent, .. } = seen;
        let mut read = match extent {
            Extent::Whole => None,
            Extent::Subjects(_) if !line.known => {
                return Err(DiffError::NothingBefore { source_name: source_name(), stamp });
            }
            Extent::Subjects(read) => Some(read),
        };
        if *source == Source::Process {
            fill_in(&mut facts, &mut self.untold, read.as_deref());
        }
        let was_veiled = std::mem::take(&mut line.veiled);
        let mut veiled = veiled(&facts);
        let mut by_subject: HashMap<Subject, Vec<Fact>> = HashMap::new();
        match &read {
            None => line.hide_all(),
            Some(read) => {
                by_subject.extend(read.iter().map(|reread| (reread.subject, Vec::new())));
                let is_read = |e: &&Entity| by_subject.contains_key(&Subject::Entity(**e));
                veiled.extend(was_veiled.iter().filter(|e| !is_read(e)));
            }
        }
        for fact in facts {
            let subject = fact.subject();
            let of_subject = by_subject.entry(subject).or_insert_with(|| {
                // What is shown is read, whether the sampler says so or not.
                read.iter_mut().for_each(|read| read.push(subject.into()));
                Vec::new()
            });
            of_subject.push(fact);
        }
        let mut changes = Changes::default();
        for (subject, facts) in by_subject {
            line.show(subject, facts, &mut changes.learned);
        }
        let read = read.filter(|_| line.begun);
        if line.agree(read, [&was_veiled, &veiled], &mut self.numbering, &mut changes).is_none() {
            line.forget();
            return Err(DiffError::TooManyFacts);
        }
        let keyframe = !std::mem::replace(&mut line.begun, true);
        line.stamp = Some(stamp);
        line.veiled = veiled;
        line.known = true;
        let Changes { removed, lost, learned, added } = changes;
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
            // What is live has not passed; its own end will be told.
            Notice::Passed { fact, .. } if self.is_live(&fact) => Vec::new(),
            Notice::Passed { fact, began, ended } => {
                vec![Record::Event(Event::Passed { fact, began, ended })]
            }
            Notice::Began(fact, at) => self.begin(fact, at)?.into_iter().collect(),
            Notice::Ended(fact, at) => {
                let same = |live: &Fact| live.same(&fact);
                let ended = self.end(&fact, at, same, same);
                if ended.is_empty() { vec![passed(fact, None, at)] } else { ended }
            }
            Notice::Became(process, at) => {
                let fact = Fact::from(process);
                let mut records = self.learn(&fact);
                if !records.is_empty() || self.is_live(&fact) {
                    return Ok(records);
                }
                records = self.end(&fact, at, is_process, |_| false);
                records.extend(self.begin(fact, at)?);
                records
            }
            Notice::Gone { process, began, at } => {
                let fact = Fact::from(process);
                let line = self.lines.entry(Source::Process).or_default();
                let live = |entry: &Entry| entry.told.is_some() && is_process(&entry.fact);
                let was_live = line.of(&fact.subject()).iter().any(live);
                let is_zombie = |live: &Fact| matches!(live, Fact::Process(p) if p.key.zombie);
                // A zombie is told too with what code it exited.
                let mut records = self.end(&fact, at, |live| !is_zombie(live), is_process);
                if !was_live {
                    records.push(passed(fact, began, at));
                }
                records
            }
            Notice::Program { entity, exe, sha256 } => {
                self.learn_program(entity, &Reading::Known(exe), sha256)
            }
            Notice::Closed { endpoint, at } => {
                let fact = Fact::from(endpoint);
                let line = self.lines.entry(Source::Endpoint).or_default();
                let was_live = line.of(&fact.subject()).iter().any(|entry| entry.told.is_some());
                if !was_live {
                    return Ok(vec![passed(fact, None, at)]);
                }
                // A connection in TIME-WAIT has no socket any more: what is left of it outlives the socket.
                let is_left_over =
                    |live: &Fact| matches!(live, Fact::Endpoint(e) if e.key.state == TcpState::TimeWait);
                self.end(&fact, at, |live| !is_left_over(live), |_| true)
            }
        })
    }

    /// Writes a blind gap: what its source, or all, showed must be told anew, so that the next sample is a keyframe.
    pub fn blind(&mut self, gap: Gap) -> Record {
        for (source, line) in &mut self.lines {
            if gap.source.as_ref().is_none_or(|s| s == source) {
                line.untell();
            }
        }
        Record::Gap(Gap { severity: Severity::Blind, ..gap })
    }

    /// Forgets what a source showed, so that its next reading must be a whole one.
    pub fn forget(&mut self, source: &Source) {
        if let Some(line) = self.lines.get_mut(source) {
            line.forget();
        }
    }

    fn is_live(&self, fact: &Fact) -> bool {
        let entries = self.lines.get(&fact.source()).map_or(&[][..], |line| line.of(&fact.subject()));
        entries.iter().any(|entry| entry.told.is_some() && entry.fact.same(fact))
    }

    /// Begins a fact, where it is not live.
    fn begin(&mut self, fact: Fact, at: WallMicros) -> Result<Option<Record>, DiffError> {
        let line = self.lines.entry(fact.source()).or_default();
        if !line.begun || self.is_live(&fact) {
            return Ok(None);
        }
        let id = self.numbering.next_id().ok_or(DiffError::TooManyFacts)?;
        if let Fact::Process(process) = &fact {
            if process.key.arguments.is_none() {
                self.untold.insert(process.key.entity, process.key.clone());
            } else {
                self.untold.remove(&process.key.entity);
            }
        }
        let entries = self.lines.entry(fact.source()).or_default().disturb(fact.subject());
        match entries.iter_mut().find(|entry| entry.fact.same(&fact)) {
            Some(entry) => entry.told = Some(id),
            None => entries.push(Entry::told(fact.clone(), id)),
        }
        Ok(Some(Record::Event(Event::Began { fact, at })))
    }

    /// Ends what is live of the subject of `fact` and `ends`; what `learns` takes the details of `fact` first.
    fn end(
        &mut self,
        fact: &Fact,
        at: WallMicros,
        ends: impl Fn(&Fact) -> bool,
        learns: impl Fn(&Fact) -> bool,
    ) -> Vec<Record> {
        let line = self.lines.entry(fact.source()).or_default();
        let mut records = Vec::new();
        for entry in line.disturb(fact.subject()) {
            let Some(id) = entry.told else { continue };
            if learns(&entry.fact) && entry.fact.learn(fact) {
                let fact = entry.fact.clone();
                records.push(Record::Event(Event::Learned(Learned { id, fact })));
            }
            if ends(&entry.fact) {
                entry.told = None;
                records.push(Record::Event(Event::Ended { id, at }));
            }
        }
        records
    }

    /// Takes the digest of a program, for those facts of its process that have it.
    fn learn_program(&mut self, entity: Entity, exe: &Reading<RawText>, sha256: Sha256) -> Vec<Record> {
        let Some(line) = self.lines.get_mut(&Source::Process) else { return Vec::new() };
        let mut records = Vec::new();
        for entry in line.known_of(&Subject::Entity(entity)) {
            // One that the stream has not told is told with it, or shown again with it in the next bundle.
            if let Fact::Process(process) = &mut entry.fact
                && process.key.exe == *exe
                && process.details.exe_sha256.is_none()
            {
                process.details.exe_sha256 = Some(sha256);
                let learned = entry.told.map(|id| Learned { id, fact: entry.fact.clone() });
                records.extend(learned.map(|learned| Record::Event(Event::Learned(learned))));
            }
        }
        records
    }

    /// Takes the details of a fact that is live.
    fn learn(&mut self, fact: &Fact) -> Vec<Record> {
        let mut records = Vec::new();
        for entry in self.lines.entry(fact.source()).or_default().disturb(fact.subject()) {
            if let Some(id) = entry.told
                && entry.fact.same(fact)
                && entry.fact.learn(fact)
            {
                let fact = entry.fact.clone();
                records.push(Record::Event(Event::Learned(Learned { id, fact })));
            }
        }
        records
    }
}

const fn is_process(fact: &Fact) -> bool {
    matches!(fact, Fact::Process(_))
}

const fn passed(fact: Fact, began: Option<WallMicros>, ended: WallMicros) -> Record {
    Record::Event(Event::Passed { fact, began, ended })
}

/// Moves the arguments of processes first told of without them from the key to the details, and forgets of whom that was told
/// that are no more what they were.
fn fill_in(facts: &mut [Fact], untold: &mut HashMap<Entity, ProcessKey>, read: Option<&[Reread]>) {
    if untold.is_empty() {
        return;
    }
    let mut same = HashSet::new();
    for fact in facts {
        if let Fact::Process(process) = fact
            && let Process { key, details } = &mut **process
            && untold.get(&key.entity).is_some_and(|told| told.same_but_arguments(key))
        {
            details.arguments = key.arguments.take().or(details.arguments.take());
            same.insert(key.entity);
        }
    }
    match read {
        None => untold.retain(|entity, _| same.contains(entity)),
        Some(read) => {
            for reread in read {
                if let Subject::Entity(entity) = reread.subject
                    && !same.contains(&entity)
                {
                    untold.remove(&entity);
                }
            }
        }
    }
}

/// Returns the processes whose files this reading cannot tell.
fn veiled(facts: &[Fact]) -> HashSet<Entity> {
    facts
        .iter()
        .filter_map(|fact| match fact {
            Fact::Process(p) if !p.key.tells_files() => Some(p.key.entity),
            _ => None,
        })
        .collect()
}
