//! Finding processes, files and endpoints.
//!
//! Rows that may fit are read through the best index there is, put together (see `assembly`), and asked in batches: for the parts
//! that lie outside the span, for their holders, and then whether the whole fact fits. What is found is the same at every
//! level.

use super::{
    Filter, Found, QueryError, Span, Subject,
    accounts::Accounts,
    assembly::{Assembly, Borders, Holes, Whole},
    conditions::Conditions,
    listeners::Listeners,
    plan::{self, Plan},
    processes::Processes,
    sharing::Sharing,
};
use pofr_core::{
    digest::KeyDigest,
    fact::{Endpoint, Fact},
    gap::Gap,
    identity::Entity,
    lifetime::Row,
    source::Source,
    store::{ClientReader, Search},
    time::WallMicros,
};
use std::{
    collections::{BTreeMap, BTreeSet, HashSet},
    ops::ControlFlow,
    sync::Arc,
};

/// How many facts are looked up together.
const BATCH: usize = 256;

/// Hands out the facts that a filter asks for and that may have held within a span, until `each` has enough; see [`Found`].
///
/// They come by their begins, as far as that needs no more than about a thousand to be held back: behind those a fact that went
/// on for long comes when its end is known. A condition on the process of a file or an endpoint holds where it holds at a time
/// at which both lived. Returns the gaps that the span touches, of the sources that matter.
///
/// # Errors
/// Where the store fails.
pub fn find(
    reader: &mut dyn ClientReader,
    subject: Subject,
    filter: &Filter,
    span: Span,
    each: &mut dyn FnMut(Found) -> ControlFlow<()>,
) -> Result<Vec<Gap>, QueryError> {
    let mut gaps = reader.gaps(span.from, span.until)?;
    let holes = Holes::new(&gaps);
    gaps.retain(|gap| matters(gap, subject, filter));
    let mut conditions = Conditions::new(filter, Accounts::load(reader)?);
    if !conditions.can_hold_for(subject) {
        return Ok(gaps);
    }
    if subject == Subject::Files && filter.asks_of_processes() {
        conditions.sharing = Sharing::read(reader, &conditions, span)?;
    }
    let Some(plan) = Plan::new(reader, subject, &conditions, span)? else { return Ok(gaps) };
    let listeners = match subject {
        Subject::Endpoints => Listeners::load(reader, span)?,
        Subject::Processes | Subject::Files => Listeners::default(),
    };
    let mut finder = Finder {
        conditions: &conditions,
        subject,
        span,
        listeners,
        borders: Borders::new(reader.beside()?),
        holes: holes.clone(),
        in_part: plan.in_part,
        assembly: Assembly::new(holes),
        batch: Vec::new(),
        told: HashSet::new(),
        each,
    };
    let mut failed = None;
    let mut enough = false;
    reader.search(&plan.search, &mut |row| match finder.take(row) {
        Ok(ControlFlow::Continue(())) => ControlFlow::Continue(()),
        Ok(ControlFlow::Break(())) => {
            enough = true;
            ControlFlow::Break(())
        }
        Err(error) => {
            failed = Some(error);
            ControlFlow::Break(())
        }
    })?;
    if let Some(error) = failed {
        return Err(error);
    }
    if !enough {
        finder.finish()?;
    }
    Ok(gaps)
}

/// Tells whether a gap hides what is looked for.
fn matters(gap: &Gap, subject: Subject, filter: &Filter) -> bool {
    match &gap.source {
        None => true,
        Some(Source::Process) => subject != Subject::Endpoints || filter.asks_of_processes(),
        Some(Source::Endpoint) => subject == Subject::Endpoints,
        Some(_) => false,
    }
}

/// Puts together what is found, and asks whether it fits.
struct Finder<'a> {
    conditions: &'a Conditions,
    subject: Subject,
    span: Span,
    listeners: Listeners,
    borders: Borders,
    holes: Holes,
    /// Whether the search may leave out rows of a fact within the span.
    in_part: bool,
    assembly: Assembly,
    batch: Vec<Whole>,
    /// Facts of which one row stands for more, so that they are told once.
    told: HashSet<(KeyDigest, WallMicros)>,
    each: &'a mut dyn FnMut(Found) -> ControlFlow<()>,
}

impl Finder<'_> {
    fn take(&mut self, row: Row) -> Result<ControlFlow<()>, QueryError> {
        if !self.conditions.row_may(&row) {
            return Ok(ControlFlow::Continue(()));
        }
        self.assembly.push(row, &mut self.borders)?;
        while let Some(whole) = self.assembly.next() {
            self.batch.push(whole);
        }
        if self.batch.len() >= BATCH { self.flush() } else { Ok(ControlFlow::Continue(())) }
    }

    fn finish(mut self) -> Result<(), QueryError> {
        let assembly = std::mem::replace(&mut self.assembly, Assembly::new(Holes::default()));
        for whole in assembly.finish() {
            self.batch.push(whole);
            if self.batch.len() >= BATCH && self.flush()?.is_break() {
                return Ok(());
            }
        }
        self.flush().map(drop)
    }

    /// Hands out what fits of the batch.
    fn flush(&mut self) -> Result<ControlFlow<()>, QueryError> {
        let mut batch = std::mem::take(&mut self.batch);
        if self.in_part || self.span.from.is_some() || self.span.until.is_some() {
            batch = self.complete(batch)?;
        }
        let processes = self.holders(&batch)?;
        for whole in batch {
            if let Some(found) = self.judge(whole, &processes)
                && (self.each)(found).is_break()
            {
                return Ok(ControlFlow::Break(()));
            }
        }
        Ok(ControlFlow::Continue(()))
    }

    /// Looks for what of these facts lies outside of the span, or was not handed out, up to the nearest hole.
    fn complete(&mut self, batch: Vec<Whole>) -> Result<Vec<Whole>, QueryError> {
        let (left_too, right_too) =
            (self.in_part || self.span.from.is_some(), self.in_part || self.span.until.is_some());
        let mut lacking = Vec::with_capacity(batch.len());
        for whole in &batch {
            let (left, right) = whole.edges();
            let (source, mut lacks) = (whole.first().fact.source(), false);
            for (run, edge) in [
                (whole.first().run, left.filter(|_| left_too)),
                (whole.last().run, right.filter(|_| right_too)),
            ] {
                if let Some(edge) = edge {
                    lacks = lacks || self.borders.is_joined(run, &source, edge)?;
                }
            }
            lacking.push(lacks);
        }
        let those =
            || batch.iter().zip(&lacking).filter(|(_, lacks)| **lacks).map(|(whole, _)| whole.first());
        let wanted: BTreeSet<KeyDigest> = those().map(|row| row.digest).collect();
        if wanted.is_empty() {
            return Ok(batch);
        }
        let facts: Vec<&Fact> = those().map(|row| &row.fact).collect();
        let mut assembly = Assembly::new(self.holes.clone());
        for narrow in plan::narrow_to(&facts) {
            let mut rows = Vec::new();
            let search = Search::all(self.subject.kind()).narrow(narrow);
            self.borders.reader.search(&search, &mut |row| {
                if wanted.contains(&row.digest) {
                    rows.push(row);
                }
                ControlFlow::Continue(())
            })?;
            for row in rows {
                assembly.push(row, &mut self.borders)?;
            }
        }
        let mut complete: BTreeMap<KeyDigest, Vec<Whole>> = BTreeMap::new();
        for whole in assembly.finish() {
            complete.entry(whole.first().digest).or_default().push(whole);
        }
        let mut out = Vec::new();
        for (whole, lacks) in batch.into_iter().zip(lacking) {
            if !lacks {
                out.push(whole);
                continue;
            }
            let (digest, mut is_there) = (whole.first().digest, false);
            for candidate in complete.get(&digest).into_iter().flatten() {
                let Some(trimmed) = trim(candidate, &whole) else { continue };
                is_there = true;
                if self.told.insert((digest, trimmed.first().life.earliest())) {
                    out.push(trimmed);
                }
            }
            // The record changed in between.
            if !is_there {
                out.push(whole);
            }
        }
        Ok(out)
    }

    /// Reads the processes that hold the files or endpoints of a batch.
    fn holders(&mut self, batch: &[Whole]) -> Result<Processes, QueryError> {
        if self.subject == Subject::Processes {
            return Ok(Processes::default());
        }
        let wanted: BTreeSet<Entity> = batch.iter().filter_map(|whole| holder(&whole.first().fact)).collect();
        let times = batch.iter().map(Whole::times);
        let (from, until) =
            times.fold((None, None), |(from, until): (Option<WallMicros>, Option<WallMicros>), (a, b)| {
                (Some(from.map_or(a, |t| t.min(a))), Some(until.map_or(b, |t| t.max(b))))
            });
        let (from, until) =
            if self.conditions.ask_of_what_is_learned() { (None, None) } else { (from, until) };
        Processes::read(self.borders.reader.as_mut(), &wanted, from, until)
    }

    /// Says what was found, if it fits.
    fn judge(&self, whole: Whole, processes: &Processes) -> Option<Found> {
        let conditions = self.conditions;
        let (from, until) = self.clipped(&whole);
        let begin = whole.first().life.position();
        let name = |uid: u32| conditions.accounts.name(uid, begin, begin).cloned();
        let zone = whole.first().zone;
        let at_time_of_day = |part: &Row| {
            let (from, until) = self.clip(part.life.position(), part.life.reach());
            from <= until && conditions.is_daily(from, until, zone)
        };
        if !whole.parts.iter().any(at_time_of_day) {
            return None;
        }
        // Details that any part has.
        let mut fact = whole.first().fact.clone();
        for part in &whole.parts[1..] {
            fact.learn(&part.fact);
        }
        let (mut process, mut direction, mut shared_by) = (None, None, None);
        let user = match &fact {
            Fact::Process(p) => {
                let fits = conditions.process(p, true)
                    && conditions.is_deleted_if_asked(p)
                    && conditions.is_user(p, from, until);
                if !fits {
                    return None;
                }
                p.key.ids.ruid.and_then(name)
            }
            Fact::Endpoint(endpoint) => {
                direction = self.listeners.direction(&endpoint.key, from, until);
                let fits = conditions.endpoint(endpoint, true) && conditions.is_directed(endpoint, direction);
                if !fits
                    || !self.is_held(&fact, processes, from, until) && !self.is_owned(endpoint, from, until)
                {
                    return None;
                }
                process = endpoint.key.holder.and_then(|entity| processes.at(&entity, begin));
                endpoint.details.uid.and_then(name)
            }
            _ => {
                let entity = holder(&fact)?;
                if !(conditions.is_pid(&entity) && self.is_held(&fact, processes, from, until)) {
                    shared_by = Some(self.sharer(&entity, from, until)?);
                }
                process = processes.at(&entity, begin);
                None
            }
        };
        let process = process.and_then(|row| match &row.fact {
            Fact::Process(process) => Some(Arc::new((**process).clone())),
            _ => None,
        });
        let user = process.as_ref().and_then(|p| name(p.key.ids.ruid?)).or(user);
        let Whole { parts, breaks } = whole;
        Some(Found { parts, breaks, process, user, direction, shared_by })
    }

    /// Returns the known times of a fact within the span.
    fn clipped(&self, whole: &Whole) -> (WallMicros, WallMicros) {
        let (from, until) = whole.times();
        self.clip(from, until)
    }

    fn clip(&self, from: WallMicros, until: WallMicros) -> (WallMicros, WallMicros) {
        let from = self.span.from.map_or(from, |start| start.max(from));
        let until = self.span.until.map_or(until, |end| end.min(until));
        // What goes on over a border that the span lies in.
        (from, until.max(from))
    }

    /// Tells whether the holder satisfies what is asked of processes, at a time between two.
    fn is_held(&self, fact: &Fact, processes: &Processes, from: WallMicros, until: WallMicros) -> bool {
        if !self.conditions.filter.asks_more_than_pids() {
            return true;
        }
        let Some(entity) = holder(fact) else { return false };
        processes.of(&entity).iter().any(|row| self.is_process(row, from, until))
    }

    /// Returns a process that satisfies what is asked and had the descriptor table of `holder`, at a time between two.
    fn sharer(&self, holder: &Entity, from: WallMicros, until: WallMicros) -> Option<Entity> {
        self.conditions.sharing.sharer(holder, |row| self.is_process(row, from, until))
    }

    /// Tells whether a process satisfies what is asked of processes, at a time between two.
    fn is_process(&self, row: &Row, from: WallMicros, until: WallMicros) -> bool {
        let (a, b) = (row.life.earliest().max(from), row.life.reach().min(until));
        let Fact::Process(process) = &row.fact else { return false };
        a <= b && self.conditions.process(process, true) && self.conditions.is_user(process, a, b)
    }

    /// Tells whether a socket belongs to a user that is asked for, whoever holds it.
    fn is_owned(&self, endpoint: &Endpoint, from: WallMicros, until: WallMicros) -> bool {
        let conditions = self.conditions;
        conditions.asks_of_users_alone()
            && endpoint
                .details
                .uid
                .is_some_and(|uid| conditions.accounts.is_one(&conditions.filter.users, uid, from, until))
    }
}

/// Returns the parts that touch the span, with those between them; a part is there if a row of it was found.
fn trim(candidate: &Whole, found: &Whole) -> Option<Whole> {
    let has = |part: &Row| {
        // What is only a bound of the one may be a bound of the other.
        let held = |row: &Row| row.life.last_seen.max(row.life.ended).unwrap_or_else(|| row.life.position());
        found.parts.iter().any(|row| {
            let t = row.life.position();
            row.run == part.run && part.life.position() <= t && t <= held(part)
        })
    };
    let first = candidate.parts.iter().position(has)?;
    let last = candidate.parts.iter().rposition(has)?;
    Some(Whole {
        parts: candidate.parts[first..=last].to_vec(),
        breaks: candidate.breaks[first..last].to_vec(),
    })
}

/// Returns the process that holds a file or an endpoint.
pub(super) fn holder(fact: &Fact) -> Option<Entity> {
    match fact {
        Fact::Process(process) => Some(process.key.entity),
        Fact::File(file) => Some(file.key.entity),
        Fact::Endpoint(endpoint) => endpoint.key.holder,
        _ => None,
    }
}
