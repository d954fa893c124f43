//! Coverage: for which stretches of time there is a record, and where two stretches meet.
//!
//! A [`Span`] is an unbroken stretch of samples of one source in one bundle. Two neighbouring spans of a run are
//! *joined* where nothing can be missing between them: consecutive bundles, no blind gap. Else there is a
//! hole between them, which a bundle that arrives late may fill.

use crate::{
    identity::{BootId, BundleSeq, RunId},
    source::Source,
    time::WallMicros,
};
use hashbrown::HashMap;
use std::collections::BTreeMap;

/// An unbroken stretch of samples of one source in one bundle.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize)]
pub struct Span {
    /// The source.
    pub source: Source,
    /// The first stamp.
    pub first: WallMicros,
    /// The last stamp.
    pub last: WallMicros,
    /// Whether it reaches the start of its bundle, so that the bundle before may join.
    pub joins_left: bool,
    /// Whether it reaches the end of its bundle, so that the bundle after may join.
    pub joins_right: bool,
}

/// How the bundles of a run follow each other.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Succession {
    /// By their numbers: 7 follows 6 (v2).
    Numbered,
    /// By time alone: a silence of up to so many µs hides nothing (v1, which has no numbers).
    Within(i64),
}

/// A span, in which bundle of which run it lies, and a label of the caller's (the triad that holds it).
#[derive(Clone, Debug)]
pub struct PlacedSpan {
    /// The run.
    pub run: RunId,
    /// The boot in which the run took place.
    pub boot: BootId,
    /// The bundle's number.
    pub seq: BundleSeq,
    /// How it is followed.
    pub succession: Succession,
    /// The caller's label.
    pub group: i64,
    /// The span.
    pub span: Span,
}

/// Where two neighbouring spans of one source in one run meet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Border {
    /// The last stamp on the left.
    pub left: WallMicros,
    /// The first stamp on the right.
    pub right: WallMicros,
    /// Whether nothing can be missing in between.
    pub joined: bool,
}

/// What lies next to the end of a span.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Neighbour {
    /// Another span.
    Border(Border),
    /// Another span, which is not among those that this coverage was asked to consider.
    Outside,
    /// Nothing of this run; the machine was next recorded after another boot, from this stamp on.
    NewBoot(WallMicros),
    /// Nothing.
    Nothing,
}

/// The stretches of time for which there is a record, ready to be asked. Takes some 24 bytes a span.
#[derive(Debug, Default)]
pub struct Coverage {
    lines: HashMap<RunId, Vec<Line>>,
}

/// The spans of one source in one run.
#[derive(Debug)]
struct Line {
    source: Source,
    /// In the order of time; spans of one line never overlap.
    stretches: Vec<Stretch>,
    /// What the first one has before it, and the last one after it.
    ends: (Neighbour, Neighbour),
}

/// A span, as much of it as its neighbours must know.
#[derive(Clone, Copy, Debug)]
struct Stretch {
    first: WallMicros,
    last: WallMicros,
    /// Whether nothing can be missing between this and the next one.
    joined: bool,
    /// Whether it is among those that the coverage was asked to consider.
    inside: bool,
}

impl Coverage {
    /// Makes the coverage of all `spans`, in whatever order they come.
    #[must_use]
    pub fn new(spans: &[PlacedSpan]) -> Self {
        Self::among(spans, |_| true)
    }

    /// Makes the coverage of those spans whose label `inside` accepts; the others count as neighbours whose rows
    /// are not at hand.
    #[must_use]
    pub fn among(spans: &[PlacedSpan], inside: impl Fn(i64) -> bool) -> Self {
        let boots = BootOrder::new(spans);
        Self::build(spans, inside, |run, source| {
            let next_boot = if source.dies_with_boot() { boots.next_boot(run, source) } else { None };
            (Neighbour::Nothing, next_boot.map_or(Neighbour::Nothing, Neighbour::NewBoot))
        })
    }

    /// Makes the coverage of those spans whose label `inside` accepts, where `spans` are not all there are: whatever
    /// lies before the first and after the last of them is not at hand either.
    #[must_use]
    pub fn of_part(spans: &[PlacedSpan], inside: impl Fn(i64) -> bool) -> Self {
        Self::build(spans, inside, |_, _| (Neighbour::Outside, Neighbour::Outside))
    }

    fn build(
        spans: &[PlacedSpan],
        inside: impl Fn(i64) -> bool,
        ends: impl Fn(RunId, &Source) -> (Neighbour, Neighbour),
    ) -> Self {
        let mut grouped: BTreeMap<(RunId, &Source), Vec<&PlacedSpan>> = BTreeMap::new();
        for span in spans {
            grouped.entry((span.run, &span.span.source)).or_default().push(span);
        }
        let mut coverage = Self::default();
        for ((run, source), mut spans) in grouped {
            spans.sort_by_key(|s| (s.span.first, s.span.last, s.seq));
            let stretches = spans.iter().enumerate().map(|(i, this)| Stretch {
                first: this.span.first,
                last: this.span.last,
                joined: spans.get(i + 1).is_some_and(|next| joined(this, next)),
                inside: inside(this.group),
            });
            let line =
                Line { source: source.clone(), stretches: stretches.collect(), ends: ends(run, source) };
            coverage.lines.entry(run).or_default().push(line);
        }
        coverage
    }

    fn line(&self, run: RunId, source: &Source) -> Option<&Line> {
        self.lines.get(&run)?.iter().find(|line| line.source == *source)
    }

    /// Returns what follows the span that ends at `last`; `None` where no span ends there.
    #[must_use]
    pub fn after(&self, run: RunId, source: &Source, last: WallMicros) -> Option<Neighbour> {
        let line = self.line(run, source)?;
        let at = line.stretches.partition_point(|s| s.last < last);
        line.stretches.get(at).filter(|s| s.last == last && s.inside)?;
        Some(line.border(at).unwrap_or(line.ends.1))
    }

    /// Returns what precedes the span that begins at `first`; `None` where no span begins there.
    #[must_use]
    pub fn before(&self, run: RunId, source: &Source, first: WallMicros) -> Option<Neighbour> {
        let line = self.line(run, source)?;
        let at = line.stretches.partition_point(|s| s.first < first);
        line.stretches.get(at).filter(|s| s.first == first && s.inside)?;
        Some(at.checked_sub(1).and_then(|at| line.border(at)).unwrap_or(line.ends.0))
    }
}

impl Line {
    /// Returns what lies between the span at this place and the next one; `None` where there is no next one.
    fn border(&self, at: usize) -> Option<Neighbour> {
        let (left, right) = (self.stretches.get(at)?, self.stretches.get(at + 1)?);
        Some(if left.inside && right.inside {
            Neighbour::Border(Border { left: left.last, right: right.first, joined: left.joined })
        } else {
            Neighbour::Outside
        })
    }
}

/// Tells whether nothing can be missing between two spans that follow each other in one run.
fn joined(left: &PlacedSpan, right: &PlacedSpan) -> bool {
    let consecutive = match (left.succession, right.succession) {
        (Succession::Numbered, Succession::Numbered) => left.seq.0.checked_add(1) == Some(right.seq.0),
        (Succession::Within(a), Succession::Within(b)) => right.span.first.since(left.span.last) <= a.max(b),
        _ => false,
    };
    consecutive && left.span.joins_right && right.span.joins_left
}

/// Which boot came after which, by the order of the bundles' numbers: the wall clock may lie.
struct BootOrder {
    /// Runs in the order of their first bundles.
    runs: Vec<(BundleSeq, RunId, BootId)>,
    /// The first stamp of each source in each run.
    firsts: HashMap<(RunId, Source), WallMicros>,
}

impl BootOrder {
    fn new(spans: &[PlacedSpan]) -> Self {
        let mut first_seq: BTreeMap<RunId, (BundleSeq, BootId)> = BTreeMap::new();
        let mut firsts: HashMap<(RunId, Source), WallMicros> = HashMap::new();
        for span in spans.iter().filter(|s| s.boot != BootId::UNKNOWN) {
            let entry = first_seq.entry(span.run).or_insert((span.seq, span.boot));
            entry.0 = entry.0.min(span.seq);
            let first = firsts.entry((span.run, span.span.source.clone())).or_insert(span.span.first);
            *first = (*first).min(span.span.first);
        }
        let mut runs: Vec<_> = first_seq.into_iter().map(|(run, (seq, boot))| (seq, run, boot)).collect();
        runs.sort_unstable();
        Self { runs, firsts }
    }

    /// Returns the first stamp of `source` after the boot of `run` was over.
    fn next_boot(&self, run: RunId, source: &Source) -> Option<WallMicros> {
        let at = self.runs.iter().position(|(_, r, _)| *r == run)?;
        let boot = self.runs[at].2;
        self.runs[at + 1..]
            .iter()
            .filter(|(_, _, b)| *b != boot)
            .find_map(|(_, r, _)| self.firsts.get(&(*r, source.clone())).copied())
    }
}
