//! Tracking: from a bundle's stream of records to rows with lifetimes.
//!
//! One [`Tracker`] reads one bundle from its start. Facts that the bundle's first sample of their source shows, or that
//! live on after its last, come out cut; [`crate::merge`] makes them whole where the neighbouring bundle is at hand.

use crate::{
    coverage::Span,
    digest::{KeyDigest, KeyEncoder},
    fact::{Fact, FileDetails},
    gap::{Gap, Severity},
    identity::{Entity, RunId},
    lifetime::{Lifetime, Row, StreamError},
    record::{Added, Event, FactId, Record, Sample},
    source::Source,
    time::{WallMicros, ZoneOffset},
};
use hashbrown::{HashMap, HashSet};

/// What a bundle's stream says, as rows.
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

/// A fact that is live in the stream.
#[derive(Debug)]
struct Open {
    fact: Fact,
    digest: KeyDigest,
    life: Lifetime,
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
    /// Live facts, and those of them that no sample has shown yet.
    live: HashSet<FactId>,
    unseen: Vec<FactId>,
}

/// Turns one bundle's stream into rows.
#[derive(Debug)]
pub struct Tracker {
    run: RunId,
    zone: ZoneOffset,
    next: u32,
    open: HashMap<FactId, Open>,
    /// The live facts' digests: no fact is live twice.
    digests: HashSet<KeyDigest>,
    /// Live process facts and files of each process.
    holders: HashMap<Entity, Holder>,
    lines: HashMap<Source, Line>,
    out: Tracked,
}

#[derive(Debug, Default)]
struct Holder {
    process: Option<FactId>,
    files: HashSet<FactId>,
}

/// 4000-01-01: later times are nonsense, and would overflow a database's calendar.
const LATEST: WallMicros = WallMicros(64_060_588_800_000_000);

fn sane(t: WallMicros) -> Result<WallMicros, StreamError> {
    if (WallMicros(0)..LATEST).contains(&t) { Ok(t) } else { Err(StreamError::Time(t)) }
}

impl Tracker {
    /// Begins the stream of one bundle.
    #[must_use]
    pub fn new(run: RunId, zone: ZoneOffset) -> Self {
        Self {
            run,
            zone,
            next: 0,
            open: HashMap::new(),
            digests: HashSet::new(),
            holders: HashMap::new(),
            lines: HashMap::new(),
            out: Tracked::default(),
        }
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
            self.close(&source, id, "removal", |life| life.gone_by = Some(stamp))?;
        }
        for id in lost {
            self.close(&source, id, "loss", |_| ())?;
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
            if let Some(open) = self.open.get_mut(&id) {
                open.life.first_seen = Some(stamp);
            }
        }
        let first_new = self.next;
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
            self.begin(fact, life)?;
        }
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
                let first_new = self.next;
                let id = self.begin(fact, life)?;
                self.line(&source).unseen.push(id);
                self.describe(first_new);
            }
            Event::Ended { id, at } => {
                sane(at)?;
                let source =
                    self.open.get(&id).ok_or(StreamError::NotLive { what: "end", id })?.fact.source();
                self.close(&source, id, "end", |life| life.ended = Some(at))?;
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
        let open = self.open.get_mut(&id).ok_or(StreamError::NotLive { what: "detail", id })?;
        if !open.fact.same(fact) {
            return Err(StreamError::OtherFact { id });
        }
        open.fact.learn(fact);
        Ok(())
    }

    fn begin(&mut self, fact: Fact, life: Lifetime) -> Result<FactId, StreamError> {
        let id = FactId(self.next);
        self.next = self.next.checked_add(1).ok_or(StreamError::TooManyFacts)?;
        let source = fact.source();
        let digest = fact.digest();
        if !self.digests.insert(digest) {
            return Err(StreamError::Twice { source_name: source });
        }
        match &fact {
            // Where a process changes, its new fact may be told before its old one is removed.
            Fact::Process(p) => self.holders.entry(p.key.entity).or_default().process = Some(id),
            Fact::File(f) => {
                self.holders.entry(f.key.entity).or_default().files.insert(id);
            }
            _ => {}
        }
        self.line(&source).live.insert(id);
        self.open.insert(id, Open { fact, digest, life });
        Ok(id)
    }

    /// Fills in what facts know of each other, for those numbered from `first_new` on: a file its holder's
    /// names and ids, a process the digest over its files.
    fn describe(&mut self, first_new: u32) {
        for id in (first_new..self.next).map(FactId) {
            match self.open.get(&id).map(|open| &open.fact) {
                Some(Fact::File(file)) => {
                    let known = self.holder_of(file.key.entity);
                    if let Some(Open { fact: Fact::File(file), .. }) = self.open.get_mut(&id) {
                        file.details.learn(&known);
                    }
                }
                Some(Fact::Process(process)) => {
                    let entity = process.key.entity;
                    let mut files: Vec<KeyDigest> =
                        self.holders.get(&entity).map_or_else(Vec::new, |holder| {
                            holder
                                .files
                                .iter()
                                .filter_map(|id| self.open.get(id))
                                .map(|open| open.digest)
                                .collect()
                        });
                    files.sort_unstable();
                    if let Some(Open { fact: Fact::Process(process), digest, .. }) = self.open.get_mut(&id) {
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
        let process = self.holders.get(&entity).and_then(|h| h.process).and_then(|id| self.open.get(&id));
        match process.map(|open| &open.fact) {
            Some(Fact::Process(p)) => {
                FileDetails { ppid: Some(p.key.ppid), ids: Some(p.key.ids), comm: Some(p.key.comm.clone()) }
            }
            _ => FileDetails::default(),
        }
    }

    /// Takes a fact out of the live ones and writes its row; `last_seen` is the source's last stamp.
    fn close(
        &mut self,
        source: &Source,
        id: FactId,
        what: &'static str,
        how: impl FnOnce(&mut Lifetime),
    ) -> Result<(), StreamError> {
        let line = self.line(source);
        let last = line.span.map(|(_, last)| last);
        if !line.live.remove(&id) {
            return Err(StreamError::NotLive { what, id });
        }
        let Some(mut open) = self.open.remove(&id) else { return Err(StreamError::NotLive { what, id }) };
        if open.life.first_seen.is_some() {
            open.life.last_seen = last;
        }
        how(&mut open.life);
        self.digests.remove(&open.digest);
        match &open.fact {
            Fact::Process(p) => self.let_go(p.key.entity, |holder| {
                holder.process.take_if(|process| *process == id);
            }),
            Fact::File(f) => self.let_go(f.key.entity, |holder| {
                holder.files.remove(&id);
            }),
            _ => {}
        }
        let Open { fact, digest, life } = open;
        self.out.rows.push(Row { run: self.run, zone: self.zone, digest, life, fact });
        Ok(())
    }

    fn let_go(&mut self, entity: Entity, how: impl FnOnce(&mut Holder)) {
        if let Some(holder) = self.holders.get_mut(&entity) {
            how(holder);
            if holder.process.is_none() && holder.files.is_empty() {
                self.holders.remove(&entity);
            }
        }
    }

    /// Ends the present span of a source: all its live facts are cut there.
    fn end_span(&mut self, source: &Source, at_end: bool) {
        let line = self.line(source);
        line.unseen.clear();
        let mut live: Vec<FactId> = line.live.iter().copied().collect();
        live.sort_unstable();
        let joins_right = at_end && !line.blind;
        if let Some((first, last)) = line.span {
            let joins_left = line.joins_left;
            self.out.spans.push(Span { source: source.clone(), first, last, joins_left, joins_right });
        }
        for id in live {
            // Every fact listed as live is open, so closing cannot fail.
            let _ = self.close(source, id, "cut", |life| life.cut_right = true);
        }
        self.line(source).span = None;
    }
}
