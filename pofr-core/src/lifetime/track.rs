//! Tracking: from a bundle's stream of records to rows with lifetimes.
//!
//! One [`Tracker`] reads one bundle from its start. Facts that the bundle's first sample of their source shows, or that
//! live on after its last, come out cut; [`crate::merge`] makes them whole where the neighbouring bundle is at hand.

use crate::{
    coverage::Span,
    digest::{KeyDigest, KeyEncoder},
    fact::{Fact, FileDetails, FileDigests, Ids},
    gap::{Gap, Severity},
    identity::{Entity, RunId},
    lifetime::{Lifetime, Row, StreamError, holders::Holders},
    limits,
    record::{Added, Event, FactId, Record, Sample},
    source::Source,
    time::{WallMicros, ZoneOffset},
};
use hashbrown::{HashMap, HashSet};

/// What a bundle's stream says, as rows in the order in which they began.
#[derive(Debug, Default)]
pub struct Tracked {
    /// Every lifetime of every fact.
    pub rows: Vec<Row>,
    /// The stretches of samples.
    pub spans: Vec<Span>,
    /// The gaps that the stream states.
    pub gaps: Vec<Gap>,
    /// How many samples, of all sources.
    pub samples: u64,
}

/// One source's progress.
#[derive(Debug, Default)]
struct Line {
    /// First and last stamp of the present span.
    span: Option<(WallMicros, WallMicros)>,
    /// The last stamp, through all spans.
    last: Option<WallMicros>,
    /// Whether the present span is the first of the bundle, with nothing missing before it.
    joins_left: bool,
    /// Whether a blind gap stands at the end.
    blind: bool,
    /// The facts that began in the present span, of which some may have ended since, and those that no sample has shown yet.
    begun: Vec<FactId>,
    unseen: Vec<FactId>,
}

/// Turns one bundle's stream into rows.
#[derive(Debug)]
pub struct Tracker {
    run: RunId,
    zone: ZoneOffset,
    /// For each number that was given: where its fact's row stands while the fact is live. A row stands in the outcome from its
    /// fact's beginning on, so that nothing is moved when it ends.
    live: Vec<Option<u32>>,
    /// The live facts' digests: no fact is live twice.
    digests: HashSet<KeyDigest>,
    holders: Holders,
    /// Of the process whose file began last.
    files: Option<FileDigests>,
    lines: HashMap<Source, Line>,
    out: Tracked,
}

/// Numbers facts, and rows; the last number stands for all that are too large.
fn number(place: usize) -> FactId {
    FactId(u32::try_from(place).unwrap_or(u32::MAX))
}

fn sane(t: WallMicros) -> Result<WallMicros, StreamError> {
    if limits::is_time(t) { Ok(t) } else { Err(StreamError::Time(t)) }
}

impl Tracker {
    /// Begins the stream of one bundle.
    #[must_use]
    pub fn new(run: RunId, zone: ZoneOffset) -> Self {
        Self {
            run,
            zone,
            live: Vec::new(),
            digests: HashSet::new(),
            holders: Holders::default(),
            files: None,
            lines: HashMap::new(),
            out: Tracked::default(),
        }
    }

    /// Makes room for so many rows, which otherwise move whenever there are twice as many as before.
    #[must_use]
    pub fn with_room(mut self, rows: usize) -> Self {
        self.out.rows.reserve(rows);
        self.live.reserve(rows);
        self
    }

    /// Takes the next record.
    ///
    /// # Errors
    /// [`StreamError`] where it makes no sense after those before; the tracker is then of no further use.
    pub fn apply(&mut self, record: Record) -> Result<(), StreamError> {
        match record {
            Record::Sample(sample) => self.sample(sample),
            Record::Event(event) => self.event(event),
            Record::Gap(gap) => self.gap(gap),
        }
    }

    /// Ends the stream: what is live now is cut.
    #[must_use]
    pub fn finish(mut self) -> Tracked {
        let sources: Vec<Source> = self.lines.keys().cloned().collect();
        for source in sources {
            self.end_span(&source, true);
        }
        self.out.spans.sort_by(|a, b| (&a.source, a.first).cmp(&(&b.source, b.first)));
        self.out
    }

    fn line(&mut self, source: &Source) -> &mut Line {
        self.lines.entry_ref(source).or_insert_with(|| Line { joins_left: true, ..Line::default() })
    }

    fn sample(&mut self, sample: Sample) -> Result<(), StreamError> {
        let Sample { source, stamp, keyframe, removed, lost, learned, added, .. } = sample;
        sane(stamp)?;
        let line = self.line(&source);
        if let Some(before) = line.last
            && stamp <= before
        {
            return Err(StreamError::NotLater { source_name: source, stamp, before });
        }
        if keyframe != line.span.is_none() {
            return Err(StreamError::Keyframe { source_name: source, stamp, keyframe });
        }
        let before = line.span.map(|(_, last)| last);
        for id in removed {
            self.close(&source, before, id, "removal", |life| life.gone_by = Some(stamp))?;
        }
        for id in lost {
            self.close(&source, before, id, "loss", |_| ())?;
        }
        for learned in learned {
            self.learn(learned.id, &learned.fact)?;
        }
        let line = self.line(&source);
        line.span = Some((line.span.map_or(stamp, |(first, _)| first), stamp));
        line.last = Some(stamp);
        line.blind = false;
        for id in std::mem::take(&mut line.unseen) {
            // An event began it, and this sample did not remove it: so this sample shows it.
            if let Some(row) = self.row_mut(id) {
                row.life.first_seen = Some(stamp);
            }
        }
        let first_new = self.live.len();
        self.out.rows.reserve(added.len());
        for Added { fact, unsure, since } in added {
            if fact.source() != source {
                return Err(StreamError::WrongSource { sample: source, fact: fact.source() });
            }
            if let Some(since) = since
                && sane(since)? >= stamp
            {
                return Err(StreamError::Time(since));
            }
            let life = Lifetime {
                first_seen: Some(stamp),
                appeared_after: if unsure { None } else { since.or(before) },
                cut_left: keyframe,
                ..Lifetime::default()
            };
            self.begin(&source, fact, life)?;
        }
        let begun = (first_new..self.live.len()).map(number);
        self.line(&source).begun.extend(begun);
        self.describe(first_new);
        self.out.samples += 1;
        Ok(())
    }

    fn event(&mut self, event: Event) -> Result<(), StreamError> {
        match event {
            Event::Began { fact, at } => {
                let source = fact.source();
                let line = self.line(&source);
                let Some((_, last)) = line.span else {
                    return Err(StreamError::Keyframe { source_name: source, stamp: at, keyframe: false });
                };
                let life =
                    Lifetime { began: Some(sane(at)?), appeared_after: Some(last), ..Lifetime::default() };
                let first_new = self.live.len();
                let id = self.begin(&source, fact, life)?;
                let line = self.line(&source);
                line.begun.push(id);
                line.unseen.push(id);
                self.describe(first_new);
            }
            Event::Ended { id, at } => {
                sane(at)?;
                let source = self.row(id).ok_or(StreamError::NotLive { what: "end", id })?.fact.source();
                let last = self.line(&source).span.map(|(_, last)| last);
                self.close(&source, last, id, "end", |life| life.ended = Some(at))?;
            }
            Event::Passed { mut fact, began, ended } => {
                let life = Lifetime {
                    began: began.map(sane).transpose()?,
                    ended: Some(sane(ended)?),
                    ..Lifetime::default()
                };
                if let Fact::File(file) = &mut fact {
                    let holder = self.holder_of(file.key.entity);
                    file.details.learn(&holder);
                }
                self.out.rows.push(Row { run: self.run, zone: self.zone, digest: fact.digest(), life, fact });
            }
            Event::Learned(learned) => self.learn(learned.id, &learned.fact)?,
        }
        Ok(())
    }

    fn gap(&mut self, gap: Gap) -> Result<(), StreamError> {
        sane(gap.from)?;
        gap.to.map(sane).transpose()?;
        if gap.severity == Severity::Blind {
            let hit: Vec<Source> = match &gap.source {
                Some(source) => {
                    self.line(source);
                    vec![source.clone()]
                }
                None => self.lines.keys().cloned().collect(),
            };
            for source in hit {
                self.end_span(&source, false);
                let line = self.line(&source);
                line.joins_left = false;
                line.blind = true;
            }
        }
        self.out.gaps.push(gap);
        Ok(())
    }

    fn learn(&mut self, id: FactId, fact: &Fact) -> Result<(), StreamError> {
        let row = self.row_mut(id).ok_or(StreamError::NotLive { what: "detail", id })?;
        if !row.fact.same(fact) {
            return Err(StreamError::OtherFact { id });
        }
        row.fact.learn(fact);
        Ok(())
    }

    /// Returns a live fact's row.
    fn row(&self, id: FactId) -> Option<&Row> {
        let place = (*self.live.get(id.0 as usize)?)?;
        self.out.rows.get(place as usize)
    }

    fn row_mut(&mut self, id: FactId) -> Option<&mut Row> {
        let place = (*self.live.get(id.0 as usize)?)?;
        self.out.rows.get_mut(place as usize)
    }

    /// Begins a fact's row. That it began in its source's span is for the caller to note.
    fn begin(&mut self, source: &Source, fact: Fact, life: Lifetime) -> Result<FactId, StreamError> {
        let (id, place) = (number(self.live.len()), number(self.out.rows.len()));
        // The last number stands for all those that are too large.
        if id.0.max(place.0) == u32::MAX {
            return Err(StreamError::TooManyFacts);
        }
        let digest = match &fact {
            // A process's files stand one after the other, as a rule.
            Fact::File(file) => {
                let entity = file.key.entity;
                self.files.take_if(|digests| digests.entity != entity);
                self.files.get_or_insert_with(|| FileDigests::of(entity)).digest(&file.key)
            }
            other => other.digest(),
        };
        if !self.digests.insert(digest) {
            return Err(StreamError::Twice { source_name: source.clone() });
        }
        match &fact {
            Fact::Process(p) => self.holders.add_process(p.key.entity, id),
            Fact::File(f) => self.holders.add_file(f.key.entity, id),
            _ => {}
        }
        self.live.push(Some(place.0));
        self.out.rows.push(Row { run: self.run, zone: self.zone, digest, life, fact });
        Ok(id)
    }

    /// Fills in what facts know of each other, for those numbered from `first_new` on: a file its holder's
    /// names and ids, a process the digest over its files.
    fn describe(&mut self, first_new: usize) {
        // A process's files stand one after the other, as a rule.
        let mut holder: Option<(Entity, FileDetails)> = None;
        for id in (first_new..self.live.len()).map(number) {
            match self.row(id).map(|row| &row.fact) {
                Some(Fact::File(file)) => {
                    let entity = file.key.entity;
                    let known = match holder.take() {
                        Some((of, known)) if of == entity => known,
                        _ => self.holder_of(entity),
                    };
                    let (_, known) = holder.insert((entity, known));
                    if let Some(Row { fact: Fact::File(file), .. }) = self.row_mut(id) {
                        file.details.learn(known);
                    }
                }
                Some(Fact::Process(process)) => {
                    let files = self.holders.files(process.key.entity);
                    let mut files: Vec<KeyDigest> =
                        files.iter().filter_map(|id| self.row(*id)).map(|row| row.digest).collect();
                    files.sort_unstable();
                    if let Some(Row { fact: Fact::Process(process), digest, .. }) = self.row_mut(id) {
                        let key = KeyEncoder::new("pofr/process-with-files/2").bytes(&digest.0);
                        process.details.with_files =
                            Some(files.iter().fold(key, |key, file| key.bytes(&file.0)).finish());
                    }
                }
                _ => {}
            }
        }
    }

    fn holder_of(&self, entity: Entity) -> FileDetails {
        let process = self.holders.process(entity).and_then(|id| self.row(id));
        match process.map(|row| &row.fact) {
            Some(Fact::Process(p)) => {
                let ids = Some(p.key.ids).filter(Ids::are_known);
                FileDetails { ppid: Some(p.key.ppid), ids, comm: Some(p.key.comm.clone()) }
            }
            _ => FileDetails::default(),
        }
    }

    /// Takes a fact out of the live ones, which finishes its row; `last` is the source's last stamp, and becomes `last_seen`.
    fn close(
        &mut self,
        source: &Source,
        last: Option<WallMicros>,
        id: FactId,
        what: &'static str,
        how: impl FnOnce(&mut Lifetime),
    ) -> Result<(), StreamError> {
        let row = self.row_mut(id).filter(|row| row.fact.source() == *source);
        let Some(row) = row else { return Err(StreamError::NotLive { what, id }) };
        row.life.seen_until(last);
        how(&mut row.life);
        let digest = row.digest;
        let holder = match &row.fact {
            Fact::Process(p) => Some((p.key.entity, true)),
            Fact::File(f) => Some((f.key.entity, false)),
            _ => None,
        };
        self.digests.remove(&digest);
        self.live[id.0 as usize] = None;
        match holder {
            Some((entity, true)) => self.holders.remove_process(entity, id),
            Some((entity, false)) => self.holders.remove_file(entity, &self.live),
            None => {}
        }
        Ok(())
    }

    /// Ends the present span of a source: all its live facts are cut there.
    fn end_span(&mut self, source: &Source, at_end: bool) {
        let line = self.line(source);
        line.unseen.clear();
        let begun = std::mem::take(&mut line.begun);
        let joins_right = at_end && !line.blind;
        let span = line.span;
        if let Some((first, last)) = span {
            let joins_left = line.joins_left;
            self.out.spans.push(Span { source: source.clone(), first, last, joins_left, joins_right });
        }
        let last = span.map(|(_, last)| last);
        for id in begun {
            if !at_end {
                // Those that have ended are no longer live, and refused.
                let _ = self.close(source, last, id, "cut", |life| life.cut_right = true);
            } else if let Some(row) = self.row_mut(id) {
                // Nothing follows that would ask what is live.
                row.life.seen_until(last);
                row.life.cut_right = true;
            }
        }
        self.line(source).span = None;
    }
}
