//! Everything that a process and its descendants did, or a user, or that befell a file or an address, in order.

use super::{
    Bound, Direction, Extent, Filter, Found, QueryError, Span, Subject, TextMatch,
    find::{find, holder},
    processes::Processes,
    tree::tree,
};
use ipnet::IpNet;
use pofr_core::{
    fact::Fact,
    gap::Gap,
    identity::{Entity, Pid},
    lifetime::Row,
    raw::RawText,
    source::Source,
    store::ClientReader,
    time::WallMicros,
};
use serde::Serialize;
use std::{collections::BTreeSet, ops::ControlFlow};

/// So many moments are held at a time.
const MOMENTS: usize = 20_000;
/// So many processes are looked up at a time.
const ENTITIES: usize = 256;
/// The latest time that is halved: sixteen nines, which no record reaches.
const END: WallMicros = WallMicros(9_999_999_999_999_999);

/// Whose timeline it is.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub enum TimelineOf {
    /// The process that had this id at this time, and all of its descendants.
    Subtree(Pid, WallMicros),
    /// A user's processes, by name or id.
    User(RawText),
    /// Files of such a path, and the processes that held them.
    Path(TextMatch),
    /// Endpoints with such an address at either end, and the processes that held them.
    Address(IpNet),
}

/// What happened.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
#[non_exhaustive]
pub enum Happening {
    /// A process began.
    Began,
    /// It became something else: another program, name, user, parent.
    Changed,
    /// It exited, and waits for its parent as a zombie.
    Exited,
    /// A file was opened.
    Opened,
    /// An endpoint began to listen.
    Listened,
    /// An endpoint connected, or was connected to; of TCP also: changed its state.
    Connected,
    /// A file was closed.
    Closed,
    /// An endpoint went.
    Disconnected,
    /// A process ended.
    Ended,
}

/// A moment of a timeline.
#[derive(Clone, Debug, Serialize)]
pub struct Moment {
    /// When. Where it is not exact: the first sample that shows it, or the last that showed it.
    pub at: WallMicros,
    /// Whether an event told the time.
    pub exact: bool,
    /// What happened.
    pub what: Happening,
    /// The fact.
    pub row: Row,
}

/// Hands out what happened within a span, in the order of time. What was there before the span and went on is not told of, nor
/// what a gap hides: where the record of a fact begins or ends without its begin or end.
///
/// At most some ten thousand moments are held at a time: where there are more, the span is halved until there are not.
///
/// # Errors
/// Where the store fails.
pub fn timeline(
    reader: &mut dyn ClientReader,
    of: &TimelineOf,
    span: Span,
    each: &mut dyn FnMut(Moment) -> ControlFlow<()>,
) -> Result<Vec<Gap>, QueryError> {
    let mut gaps = reader.gaps(span.from, span.until)?;
    gaps.retain(|gap| matches!(gap.source, None | Some(Source::Process | Source::Endpoint)));
    let Some(whose) = Whose::new(reader, of)? else { return Ok(gaps) };
    let mut teller = Teller { whose, each };
    let _ = teller.tell(reader, span)?;
    Ok(gaps)
}

/// What to look for.
struct Whose {
    /// Which kinds of facts, with which conditions.
    asked: Vec<(Subject, Filter)>,
    /// The processes that count; `None`: all that are found, and those that hold what is found.
    entities: Option<BTreeSet<Entity>>,
}

impl Whose {
    fn new(reader: &mut dyn ClientReader, of: &TimelineOf) -> Result<Option<Self>, QueryError> {
        let all = |filter: Filter| {
            let subjects = [Subject::Processes, Subject::Files, Subject::Endpoints];
            subjects.map(|subject| (subject, filter.clone())).to_vec()
        };
        Ok(Some(match of {
            TimelineOf::Subtree(pid, at) => {
                let Some(tree) = tree(reader, *pid, *at)? else { return Ok(None) };
                let mut entities = BTreeSet::new();
                let mut nodes = vec![&tree.root];
                while let Some(node) = nodes.pop() {
                    entities.insert(node.entity);
                    nodes.extend(&node.children);
                }
                let pids = entities.iter().map(Entity::pid).collect();
                Self { asked: all(Filter { pids, ..Filter::default() }), entities: Some(entities) }
            }
            TimelineOf::User(user) => {
                let filter = Filter { users: vec![user.clone()], ..Filter::default() };
                Self { asked: all(filter), entities: None }
            }
            TimelineOf::Path(path) => {
                let filter = Filter { path: Some(path.clone()), ..Filter::default() };
                Self { asked: vec![(Subject::Files, filter)], entities: None }
            }
            TimelineOf::Address(net) => {
                let filter = Filter { ip: vec![*net], ..Filter::default() };
                Self { asked: vec![(Subject::Endpoints, filter)], entities: None }
            }
        }))
    }
}

/// Tells moments in order.
struct Teller<'a> {
    whose: Whose,
    each: &'a mut dyn FnMut(Moment) -> ControlFlow<()>,
}

impl Teller<'_> {
    /// Tells what happened within a span; in two halves where that is too much at once.
    fn tell(&mut self, reader: &mut dyn ClientReader, span: Span) -> Result<ControlFlow<()>, QueryError> {
        let Some(mut moments) = self.gather(reader, span)? else {
            let from = span.from.unwrap_or(WallMicros(0));
            let until = span.until.unwrap_or(END);
            let middle = from.plus(until.since(from) / 2);
            let (left, right) = (Some(middle), Some(middle.plus(1)));
            if self.tell(reader, Span { from: span.from, until: left })?.is_break() {
                return Ok(ControlFlow::Break(()));
            }
            return self.tell(reader, Span { from: right, until: span.until });
        };
        // What a process does lies between its begin and its end, at one time, too.
        moments.sort_by_key(|moment| (moment.at, moment.what, moment.row.digest));
        for moment in moments {
            if (self.each)(moment).is_break() {
                return Ok(ControlFlow::Break(()));
            }
        }
        Ok(ControlFlow::Continue(()))
    }

    /// Returns all that happened within a span; `None` where that is too much at once and the span can be halved.
    fn gather(&self, reader: &mut dyn ClientReader, span: Span) -> Result<Option<Vec<Moment>>, QueryError> {
        let is_small = span.from.zip(span.until).is_some_and(|(from, until)| until.since(from) < 2);
        let mut moments = Vec::new();
        let mut entities = BTreeSet::new();
        for (subject, filter) in &self.whose.asked {
            let mut is_full = false;
            find(reader, *subject, filter, span, &mut |found| {
                let entity = found.shared_by.or_else(|| holder(&found.row().fact));
                let counts = match (&self.whose.entities, entity) {
                    (Some(entities), Some(entity)) => entities.contains(&entity),
                    (Some(_), None) => false,
                    (None, _) => true,
                };
                if counts {
                    entities.extend(entity);
                    if *subject != Subject::Processes {
                        add_fact(&mut moments, &found, span);
                    }
                }
                is_full = !is_small && moments.len() + entities.len() > MOMENTS;
                if is_full { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
            })?;
            if is_full {
                return Ok(None);
            }
        }
        let entities: Vec<Entity> = entities.into_iter().collect();
        for some in entities.chunks(ENTITIES) {
            let processes = Processes::read(reader, &some.iter().copied().collect(), None, None)?;
            for entity in some {
                add_process(&mut moments, processes.of(entity), span);
            }
        }
        Ok(Some(moments))
    }
}

/// Tells whether a time lies within a span.
fn lies_in(at: WallMicros, span: Span) -> bool {
    span.touches(at, at)
}

/// Adds the begin and the end of a file or an endpoint, where they are known and lie within the span.
fn add_fact(moments: &mut Vec<Moment>, found: &Found, span: Span) {
    let extent = found.extent();
    let (begin, end) = match (&found.row().fact, found.direction) {
        (Fact::Endpoint(_), Some(Direction::Listening)) => (Happening::Listened, Happening::Disconnected),
        (Fact::Endpoint(_), _) => (Happening::Connected, Happening::Disconnected),
        _ => (Happening::Opened, Happening::Closed),
    };
    for (at, bound, what) in [(extent.from, extent.began, begin), (extent.until, extent.ended, end)] {
        if bound != Bound::Open && lies_in(at, span) {
            let row = if what == begin { found.parts.first() } else { found.parts.last() };
            moments.extend(row.cloned().map(|row| Moment { at, exact: bound == Bound::Exact, what, row }));
        }
    }
}

/// Adds what a process went through within the span.
fn add_process(moments: &mut Vec<Moment>, facts: &[Row], span: Span) {
    let mut tell = |bound, at, what, row: &Row| {
        if bound != Bound::Open && lies_in(at, span) {
            moments.push(Moment { at, exact: bound == Bound::Exact, what, row: row.clone() });
        }
    };
    let mut before: Option<&Row> = None;
    for row in facts {
        let extent = Extent::of(std::slice::from_ref(row));
        let what = match (before, &row.fact) {
            (None, _) => Happening::Began,
            (Some(_), Fact::Process(process)) if process.key.zombie => Happening::Exited,
            (Some(_), _) => Happening::Changed,
        };
        // A fact that was there before a gap and is there behind it has not changed.
        if before.is_none_or(|before| before.digest != row.digest) {
            tell(extent.began, extent.from, what, row);
        }
        before = Some(row);
    }
    if let Some(row) = facts.iter().max_by_key(|row| row.life.reach()) {
        let extent = Extent::of(std::slice::from_ref(row));
        tell(extent.ended, extent.until, Happening::Ended, row);
    }
}
