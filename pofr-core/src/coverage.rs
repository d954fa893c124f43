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

/// The stretches of time for which there is a record, ready to be asked.
#[derive(Debug, Default)]
pub struct Coverage {
    after: HashMap<(RunId, Source, WallMicros), Neighbour>,
    before: HashMap<(RunId, Source, WallMicros), Neighbour>,
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
        let mut lines: BTreeMap<(RunId, &Source), Vec<&PlacedSpan>> = BTreeMap::new();
        for span in spans {
            lines.entry((span.run, &span.span.source)).or_default().push(span);
        }
        let boots = BootOrder::new(spans);
        let mut coverage = Self::default();
        for ((run, source), mut line) in lines {
            line.sort_by_key(|s| (s.span.first, s.span.last, s.seq));
            for (i, this) in line.iter().enumerate() {
                if !inside(this.group) {
                    continue;
                }
                let neighbour = |other: Option<&&PlacedSpan>, flip: bool| match other {
                    Some(other) if !inside(other.group) => Neighbour::Outside,
                    Some(other) if flip => Neighbour::Border(border(other, this)),
                    Some(other) => Neighbour::Border(border(this, other)),
                    None => Neighbour::Nothing,
                };
                let mut after = neighbour(line.get(i + 1), false);
                if after == Neighbour::Nothing
                    && source.dies_with_boot()
                    && let Some(first) = boots.next_boot(run, source)
                {
                    after = Neighbour::NewBoot(first);
                }
                let before = neighbour(i.checked_sub(1).and_then(|j| line.get(j)), true);
                coverage.after.insert((run, source.clone(), this.span.last), after);
                coverage.before.insert((run, source.clone(), this.span.first), before);
            }
        }
        coverage
    }

    /// Returns what follows the span that ends at `last`; `None` where no span ends there.
    #[must_use]
    pub fn after(&self, run: RunId, source: &Source, last: WallMicros) -> Option<Neighbour> {
        self.after.get(&(run, source.clone(), last)).copied()
    }

    /// Returns what precedes the span that begins at `first`; `None` where no span begins there.
    #[must_use]
    pub fn before(&self, run: RunId, source: &Source, first: WallMicros) -> Option<Neighbour> {
        self.before.get(&(run, source.clone(), first)).copied()
    }
}

/// Describes the border between two spans that follow each other in one run.
fn border(left: &PlacedSpan, right: &PlacedSpan) -> Border {
    let consecutive = match (left.succession, right.succession) {
        (Succession::Numbered, Succession::Numbered) => left.seq.0.checked_add(1) == Some(right.seq.0),
        (Succession::Within(a), Succession::Within(b)) => right.span.first.since(left.span.last) <= a.max(b),
        _ => false,
    };
    let joined = consecutive && left.span.joins_right && right.span.joins_left;
    Border { left: left.span.last, right: right.span.first, joined }
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
