//! Putting facts together that edges of the record have cut.
//!
//! Rows come triad by triad in the order of time. A row that goes on at an edge waits for one of the same key that comes from
//! before: where the border between them is joined they are one part of the fact; else they are two parts with a break, for
//! which the gaps have the reason. Rows are cut at few different edges, so each border is looked up once.
//!
//! Facts are handed out by their begins, as long as no more than [`READY`] wait for one that began before them and goes on.

use super::{Break, QueryError};
use pofr_core::{
    digest::KeyDigest,
    gap::{Gap, Severity},
    identity::RunId,
    lifetime::Row,
    source::Source,
    store::{ClientReader, Edge},
    time::WallMicros,
};
use std::{
    collections::{BTreeMap, BTreeSet, HashMap},
    sync::Arc,
};

/// How many borders are remembered.
const BORDERS: usize = 10_000;
/// How many whole facts wait for an earlier one that is not whole yet.
const READY: usize = 1_024;
/// How many facts wait for their rest: more than a machine has at a time. Those of which no more comes pile up where the
/// recorder was down.
const OPEN: usize = 50_000;

/// A time at which a source was blind.
#[derive(Debug)]
struct Hole {
    from: WallMicros,
    to: WallMicros,
    why: String,
    /// The latest end of this one and those before.
    latest: WallMicros,
}

/// The times at which sources were blind, cheap to clone.
#[derive(Clone, Debug, Default)]
pub(super) struct Holes {
    /// By source, `None` for those of all, in the order of their begins.
    by_source: Arc<HashMap<Option<Source>, Vec<Hole>>>,
}

impl Holes {
    pub(super) fn new(gaps: &[Gap]) -> Self {
        let mut blind: Vec<&Gap> = gaps.iter().filter(|gap| gap.severity == Severity::Blind).collect();
        blind.sort_by_key(|gap| gap.from);
        let mut by_source: HashMap<Option<Source>, Vec<Hole>> = HashMap::new();
        for gap in blind {
            let Some(to) = gap.to else { continue };
            let of_source = by_source.entry(gap.source.clone()).or_default();
            let latest = of_source.last().map_or(to, |hole| hole.latest.max(to));
            of_source.push(Hole { from: gap.from, to, why: gap.reason.clone(), latest });
        }
        Self { by_source: Arc::new(by_source) }
    }

    /// Returns why something may be missing between two times.
    pub(super) fn between(&self, source: &Source, left: WallMicros, right: WallMicros) -> Option<&str> {
        [Some(source.clone()), None].iter().find_map(|source| {
            let of_source = self.by_source.get(source)?;
            let before = &of_source[..of_source.partition_point(|hole| hole.from < right)];
            before.last().filter(|hole| hole.latest > left)?;
            before.iter().rev().find(|hole| hole.to > left).map(|hole| hole.why.as_str())
        })
    }
}

/// The borders at which rows are cut.
pub(super) struct Borders {
    /// Looks them up, and whatever else a search itself does not hand out.
    pub(super) reader: Box<dyn ClientReader>,
    known: HashMap<(RunId, Source, bool, WallMicros), bool>,
}

impl Borders {
    pub(super) fn new(reader: Box<dyn ClientReader>) -> Self {
        Self { reader, known: HashMap::new() }
    }

    /// Tells whether there is a joined border at an edge: whether a row that is cut there goes on in another.
    pub(super) fn is_joined(&mut self, run: RunId, source: &Source, edge: Edge) -> Result<bool, QueryError> {
        let key = match edge {
            Edge::EndingAt(t) => (run, source.clone(), false, t),
            Edge::BeginningAt(t) => (run, source.clone(), true, t),
        };
        if let Some(known) = self.known.get(&key) {
            return Ok(*known);
        }
        let joined = self.reader.border(run, source, edge)?.is_some_and(|border| border.joined);
        if self.known.len() >= BORDERS {
            self.known.clear();
        }
        self.known.insert(key, joined);
        Ok(joined)
    }
}

/// A fact that is being put together.
#[derive(Clone, Debug)]
pub(super) struct Whole {
    pub(super) parts: Vec<Row>,
    pub(super) breaks: Vec<Break>,
}

impl Whole {
    pub(super) fn first(&self) -> &Row {
        self.parts.first().expect("a fact has a part")
    }

    pub(super) fn last(&self) -> &Row {
        self.parts.last().expect("a fact has a part")
    }

    /// Returns the edges at which it is cut, where it is: the left one, the right one.
    pub(super) fn edges(&self) -> (Option<Edge>, Option<Edge>) {
        let (first, last) = (&self.first().life, &self.last().life);
        let left = first.first_seen.filter(|_| first.comes_from_before());
        let right = last.right_edge().filter(|_| last.goes_on());
        (left.map(Edge::BeginningAt), right.map(Edge::EndingAt))
    }

    /// Returns the earliest and the latest known time.
    pub(super) fn times(&self) -> (WallMicros, WallMicros) {
        (self.first().life.earliest(), self.parts.iter().map(|p| p.life.reach()).max().unwrap_or_default())
    }
}

/// Puts facts together.
#[derive(Debug)]
pub(super) struct Assembly {
    holes: Holes,
    count: u64,
    /// Facts that go on, by their keys; several of one key where runs overlap.
    open: HashMap<KeyDigest, Vec<(u64, Whole)>>,
    /// Their begins.
    begins: BTreeSet<(WallMicros, u64)>,
    /// Their last edges.
    edges: BTreeSet<(WallMicros, u64, KeyDigest)>,
    /// Facts of which no more comes.
    ready: BTreeMap<(WallMicros, u64), Whole>,
}

impl Assembly {
    pub(super) fn new(holes: Holes) -> Self {
        let (open, begins, edges) = (HashMap::new(), BTreeSet::new(), BTreeSet::new());
        Self { holes, count: 0, open, begins, edges, ready: BTreeMap::new() }
    }

    /// Takes a row.
    pub(super) fn push(&mut self, row: Row, borders: &mut Borders) -> Result<(), QueryError> {
        let digest = row.digest;
        let Some((number, mut whole)) = self.before(&row) else {
            self.count += 1;
            self.place(self.count, digest, Whole { parts: vec![row], breaks: Vec::new() });
            return Ok(());
        };
        let last = whole.parts.last_mut().expect("a fact has a part");
        let source = row.fact.source();
        let edge = last.life.right_edge().unwrap_or_else(|| last.life.reach());
        let first = row.life.first_seen.unwrap_or_else(|| row.life.earliest());
        if last.run == row.run && borders.is_joined(row.run, &source, Edge::EndingAt(edge))? {
            last.life = last.life.joined(&row.life);
            last.fact.learn(&row.fact);
        } else {
            let other = "the recorder began another run";
            let why = self.holes.between(&source, edge, first).unwrap_or(other).to_owned();
            whole.breaks.push(Break { from: edge, to: first, why });
            whole.parts.push(row);
        }
        self.place(number, digest, whole);
        Ok(())
    }

    /// Takes out the open fact that a row goes on with: of its own run rather than of another, and the nearest.
    fn before(&mut self, row: &Row) -> Option<(u64, Whole)> {
        if !row.life.comes_from_before() {
            return None;
        }
        let of_key = self.open.get_mut(&row.digest)?;
        let edge = |whole: &Whole| whole.last().life.right_edge();
        let fits = |whole: &Whole| edge(whole) <= row.life.first_seen && whole.last().fact.same(&row.fact);
        let rank = |whole: &Whole| (whole.last().run == row.run, edge(whole));
        let (at, _) =
            of_key.iter().enumerate().filter(|(_, (_, w))| fits(w)).max_by_key(|(_, (_, w))| rank(w))?;
        let (number, whole) = of_key.swap_remove(at);
        if of_key.is_empty() {
            self.open.remove(&row.digest);
        }
        self.begins.remove(&(whole.first().life.earliest(), number));
        self.edges.remove(&(whole.last().life.reach(), number, row.digest));
        Some((number, whole))
    }

    fn place(&mut self, number: u64, digest: KeyDigest, whole: Whole) {
        let begin = whole.first().life.earliest();
        if !whole.last().life.goes_on() {
            self.ready.insert((begin, number), whole);
            return;
        }
        self.begins.insert((begin, number));
        self.edges.insert((whole.last().life.reach(), number, digest));
        self.open.entry(digest).or_default().push((number, whole));
        if self.edges.len() > OPEN
            && let Some((_, number, digest)) = self.edges.pop_first()
            && let Some(of_key) = self.open.get_mut(&digest)
            && let Some(at) = of_key.iter().position(|(n, _)| *n == number)
        {
            let (_, whole) = of_key.swap_remove(at);
            if of_key.is_empty() {
                self.open.remove(&digest);
            }
            let begin = whole.first().life.earliest();
            self.begins.remove(&(begin, number));
            self.ready.insert((begin, number), whole);
        }
    }

    /// Returns the next fact that is whole.
    pub(super) fn next(&mut self) -> Option<Whole> {
        let (first, _) = self.ready.first_key_value()?;
        let waits = self.begins.first().is_some_and(|begin| begin < first);
        if waits && self.ready.len() <= READY {
            return None;
        }
        self.ready.pop_first().map(|(_, whole)| whole)
    }

    /// Ends the input; returns all that is left, by the begins.
    pub(super) fn finish(mut self) -> Vec<Whole> {
        for (number, whole) in self.open.into_values().flatten() {
            self.ready.insert((whole.first().life.earliest(), number), whole);
        }
        self.ready.into_values().collect()
    }
}
