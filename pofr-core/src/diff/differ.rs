//! The differ: from readings and notices to records.

use super::{
    DiffError,
    budget::Budget,
    cut::{Room, thin},
    fill_in::fill_in,
    line::{Changes, Entry, Line, Unknown},
    touched::{Which, is_process},
};
use crate::{
    collector::{Extent, Notice, Numbering, Observation},
    digest::Sha256,
    fact::{Fact, Files, ProcessKey, Subject, TcpState},
    gap::{Gap, Severity},
    identity::Entity,
    limits,
    raw::{RawText, Reading},
    record::{Event, Learned, Record, Sample},
    source::Source,
    time::WallMicros,
};
use hashbrown::{HashMap, HashSet};

/// Turns readings and notices into records, within the [limits](crate::limits).
#[derive(Debug)]
pub struct Differ {
    numbering: Numbering,
    lines: HashMap<Source, Line>,
    /// Processes first told of without their arguments: those stay out of the key as long as the fact lives.
    untold: HashMap<Entity, ProcessKey>,
    /// What a source may show; `None` takes everything as it is.
    room: Option<Room>,
    budget: Budget,
    /// What must be said of what was left out.
    gaps: Vec<Gap>,
}

impl Default for Differ {
    fn default() -> Self {
        Self { room: Some(Room::default()), ..Self::unlimited() }
    }
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

    /// Returns how many processes are shown whose files could not be read; those told with another process count not.
    #[must_use]
    pub fn veiled(self) -> usize {
        let unread = |line: &Line, entity: &Entity| {
            let is_unread =
                |entry: &Entry| matches!(&entry.fact, Fact::Process(p) if p.key.files != Files::Read);
            line.of(&Subject::Entity(*entity)).iter().any(|entry| entry.shown && is_unread(entry))
        };
        self.0.map_or(0, |line| line.veiled.iter().filter(|entity| unread(line, entity)).count())
    }
}

impl Differ {
    /// Makes a differ that holds no more of each source than so many facts and, as parts of a message, bytes: what is more is left
    /// out, and a thin gap names the holders.
    #[must_use]
    pub fn keeping(facts: usize, bytes: u64) -> Self {
        let most = Room::default();
        let room = Room { facts: facts.min(most.facts), bytes: bytes.min(most.bytes) };
        Self { room: Some(room), ..Self::unlimited() }
    }

    /// Makes a differ for what somebody else has recorded: nothing is cut.
    #[must_use]
    pub fn unlimited() -> Self {
        let (lines, untold) = (HashMap::new(), HashMap::new());
        let (numbering, budget) = (Numbering::default(), Budget::default());
        Self { numbering, lines, untold, room: None, budget, gaps: Vec::new() }
    }

    /// Begins a bundle: forgets all numbers, so that the next sample of each source is a keyframe.
    pub fn begin_bundle(&mut self) {
        self.numbering = Numbering::default();
        self.budget = Budget::default();
        self.lines.values_mut().for_each(Line::untell);
    }

    /// Tells whether the bundle has as many records as it may have, and must end at the next tick.
    #[must_use]
    pub const fn is_full(&self) -> bool {
        self.budget.is_full()
    }

    /// Returns the thin gaps that tell what was left out since the last call. To be written after each sample.
    pub fn take_gaps(&mut self) -> Vec<Gap> {
        std::mem::take(&mut self.gaps)
    }

    /// Ends a bundle: returns the last records of it, the gaps that tell what was left out. Nothing may follow them.
    pub fn end_bundle(&mut self) -> Vec<Record> {
        let rest = self.lines.iter_mut().filter_map(|(source, line)| line.tell_rest(source));
        self.gaps.extend(rest);
        self.gaps.extend(self.budget.left_out());
        let gaps = self.take_gaps();
        let mut records: Vec<Record> = gaps.into_iter().filter_map(|gap| self.gap(gap)).collect();
        records.extend(self.budget.more_gaps().map(Record::Gap));
        records
    }

    /// Returns how many entries notices have made this look at: a measure of work that does not depend on the machine.
    #[doc(hidden)]
    #[must_use]
    pub fn work(&self) -> u64 {
        self.lines.values().map(|line| line.work).sum()
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
        if !limits::is_time(stamp) {
            return Err(DiffError::Time { source_name: source_name(), stamp });
        }
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
        let before = line.stamp.unwrap_or(stamp);
        if self.room.is_some() {
            let all = facts.len();
            facts.retain_mut(|fact| fact.is_of(source) && limits::fit(fact));
            if facts.len() < all {
                let reason = format!("cut: {} facts shown are none of {source}", all - facts.len());
                self.gaps.push(thin(source, reason, before, stamp));
            }
        }
        for reread in read.iter_mut().flatten() {
            reread.since = reread.since.filter(|since| limits::is_time(*since) && *since < stamp);
        }
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
        let was_cut = std::mem::take(&mut line.cut);
        if !was_cut.is_empty() && read.is_some() {
            let unread = was_cut.iter().filter(|(subject, _)| !by_subject.contains_key(*subject));
            line.cut = unread.map(|(subject, missing)| (*subject, *missing)).collect();
        }
        let mut changes = Changes::default();
        for (subject, facts) in by_subject {
            line.show(subject, facts, &mut changes.learned);
        }
        if let Some(room) = self.room {
            line.keep_within(room);
            self.gaps.extend(line.tell_cut(source, stamp, room));
        }
        let read = read.filter(|_| line.begun);
        let unknown = Unknown { was_veiled: &was_veiled, veiled: &veiled, was_cut: &was_cut };
        if line.agree(read, &unknown, &mut self.numbering, &mut changes).is_none() {
            line.forget();
            return Err(DiffError::TooManyFacts);
        }
        let keyframe = !std::mem::replace(&mut line.begun, true);
        line.stamp = Some(stamp);
        line.veiled = veiled;
        line.known = true;
        if self.room.is_some() {
            let most = limits::LEARNED.most();
            if changes.learned.len() > most {
                let more = changes.learned.split_off(most).len();
                let reason = format!("cut: details of {more} facts are told with the next bundle");
                self.gaps.push(thin(source, reason, before, stamp));
            }
            self.budget.spend(&changes);
        }
        self.gaps.extend(self.budget.left_out());
        let Changes { removed, lost, learned, added } = changes;
        Ok(Sample { source: source.clone(), stamp, span_micros, keyframe, removed, lost, learned, added })
    }

    /// Writes what an event source told: an end of a live fact ends it, an end of any other is a fact that passed.
    ///
    /// A beginning that is told before the bundle's first sample of its source is left to that sample, and so is one that is told
    /// when the bundle is full. Times before 1970 or after 4000 become the nearest that can be.
    pub fn notice(&mut self, notice: Notice) -> Vec<Record> {
        let mut records = match self.fitted(notice) {
            Some(notice) => self.told_by(notice),
            None => Vec::new(),
        };
        if self.room.is_some() {
            self.budget.pay(&mut records);
        }
        records
    }

    fn told_by(&mut self, notice: Notice) -> Vec<Record> {
        match notice {
            Notice::Lost(gap) => self.gap(gap).into_iter().collect(),
            // What is live has not passed; its own end will be told.
            Notice::Passed { fact, .. } if self.line(&fact).is_live(&fact) => Vec::new(),
            Notice::Passed { fact, began, ended } => {
                vec![Record::Event(Event::Passed { fact, began, ended })]
            }
            Notice::Began(fact, at) => self.begin(fact, at).into_iter().collect(),
            Notice::Ended(fact, at) => {
                let ended = self.line(&fact).end(&fact, at, Which::Same, |_| true, |_| true);
                if ended.is_empty() { vec![passed(fact, None, at)] } else { ended }
            }
            Notice::Became(process, at) => {
                let fact = Fact::from(process);
                let line = self.line(&fact);
                if let Some(learned) = line.learn(&fact) {
                    return vec![learned];
                }
                if line.is_live(&fact) {
                    return Vec::new();
                }
                let mut records = line.end(&fact, at, Which::Processes, |_| true, |_| false);
                records.extend(self.begin(fact, at));
                records
            }
            Notice::Gone { process, began, at } => {
                let fact = Fact::from(process);
                let line = self.line(&fact);
                let was_live = line.has_live(&fact.subject(), Which::Processes);
                let is_zombie = |live: &Fact| matches!(live, Fact::Process(p) if p.key.zombie);
                // A zombie is told too with what code it exited.
                let mut records = line.end(&fact, at, Which::All, |live| !is_zombie(live), is_process);
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
                let line = self.line(&fact);
                if !line.has_live(&fact.subject(), Which::All) {
                    return vec![passed(fact, None, at)];
                }
                // A connection in TIME-WAIT has no socket any more: what is left of it outlives the socket.
                let is_left_over =
                    |live: &Fact| matches!(live, Fact::Endpoint(e) if e.key.state == TcpState::TimeWait);
                line.end(&fact, at, Which::All, |live| !is_left_over(live), |_| true)
            }
        }
    }

    /// Writes a gap, its reason and times within the limits. A blind one empties its source, or all: what that showed must be told
    /// anew, so the next sample is a keyframe. `None`: the bundle has so many thin ones that this one is told with others at its end.
    pub fn gap(&mut self, gap: Gap) -> Option<Record> {
        let gap = Gap {
            source: gap.source.filter(limits::is_named),
            reason: limits::reason(gap.reason),
            from: limits::time(gap.from),
            to: gap.to.map(limits::time),
            ..gap
        };
        match gap.severity {
            Severity::Blind => Some(self.blind(gap)),
            Severity::Thin => self.budget.admit(gap).map(Record::Gap),
        }
    }

    /// Writes a blind gap: what its source, or all, showed must be told anew, so that the next sample is a keyframe.
    pub fn blind(&mut self, gap: Gap) -> Record {
        for (source, line) in &mut self.lines {
            if gap.source.as_ref().is_none_or(|s| s == source) {
                line.untell();
            }
        }
        Record::Gap(Gap { severity: Severity::Blind, reason: limits::reason(gap.reason), ..gap })
    }

    /// Forgets what a source showed, so that its next reading must be a whole one.
    pub fn forget(&mut self, source: &Source) {
        if let Some(line) = self.lines.get_mut(source) {
            line.forget();
        }
    }

    fn line(&mut self, fact: &Fact) -> &mut Line {
        self.lines.entry(fact.source()).or_default()
    }

    /// Cuts what is too long in a notice; `None` where it tells of no fact.
    fn fitted(&self, mut notice: Notice) -> Option<Notice> {
        if self.room.is_none() {
            return Some(notice);
        }
        let fit_boxed = |process: crate::fact::Process| {
            let mut fact = Fact::from(process);
            match (limits::fit(&mut fact), fact) {
                (true, Fact::Process(process)) => Some(*process),
                _ => None,
            }
        };
        match &mut notice {
            Notice::Began(fact, at) | Notice::Ended(fact, at) => {
                *at = limits::time(*at);
                if !limits::fit(fact) {
                    return None;
                }
            }
            Notice::Passed { fact, began, ended } => {
                (*began, *ended) = (began.map(limits::time), limits::time(*ended));
                if !limits::fit(fact) {
                    return None;
                }
            }
            Notice::Program { exe, .. } => *exe = limits::cut_text(exe.as_bytes(), limits::PATH),
            Notice::Closed { endpoint, at } => {
                limits::fit_endpoint(endpoint);
                *at = limits::time(*at);
            }
            _ => {}
        }
        Some(match notice {
            Notice::Became(process, at) => Notice::Became(fit_boxed(process)?, limits::time(at)),
            Notice::Gone { process, began, at } => Notice::Gone {
                process: fit_boxed(process)?,
                began: began.map(limits::time),
                at: limits::time(at),
            },
            other => other,
        })
    }

    /// Begins a fact, where it is not live.
    fn begin(&mut self, fact: Fact, at: WallMicros) -> Option<Record> {
        let most = self.room.map_or(usize::MAX, |room| room.facts);
        let is_full = self.room.is_some() && self.budget.is_full();
        let line = self.lines.entry(fact.source()).or_default();
        if !line.begun || line.is_live(&fact) {
            return None;
        }
        // Where there is no room, the next sample will show it if it lasts.
        if is_full || line.begun_since >= most {
            self.budget.leave_out(at);
            return None;
        }
        let Some(id) = self.numbering.next_id() else {
            self.budget.fill();
            return None;
        };
        if let Fact::Process(process) = &fact {
            if process.key.arguments.is_none() {
                self.untold.insert(process.key.entity, process.key.clone());
            } else {
                self.untold.remove(&process.key.entity);
            }
        }
        line.begin(fact.clone(), id);
        Some(Record::Event(Event::Began { fact, at }))
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
}

const fn passed(fact: Fact, began: Option<WallMicros>, ended: WallMicros) -> Record {
    Record::Event(Event::Passed { fact, began, ended })
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
