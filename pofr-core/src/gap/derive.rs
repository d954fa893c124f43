//! Gaps that no bundle states, because they lie between bundles: they follow from the ledger.
//!
//! They are worked out anew each time, so that a bundle that arrives late closes its own.
//!
//! ```text
//! run A   1 2 3 . 5        bundle 4 is missing: blind from the last stamp of 3 to the first of 5
//! run B              6 7   between A and B: the recorder was down, or the machine
//! ```

use super::{Gap, Severity};
use crate::{
    coverage::Succession,
    identity::{BootId, BundleSeq, RunId},
    source::Source,
    store::{BundleEntry, BundleFormat, Ledger, StoredBundle},
    time::WallMicros,
};
use std::collections::{BTreeMap, BTreeSet};

/// Returns all gaps of a record, stated and derived, by their beginnings.
#[must_use]
pub fn of(ledger: &Ledger) -> Vec<Gap> {
    of_part(ledger, |_| false)
}

/// Returns what [`of`] does of a part of a ledger in which bundles are left out that have both neighbours in the chain:
/// `is_followed` tells whether the bundle behind one is stored, whether the part has it or not.
#[must_use]
pub fn of_part(ledger: &Ledger, is_followed: impl Fn(&BundleEntry) -> bool) -> Vec<Gap> {
    let mut all: Vec<Gap> = stated(ledger).cloned().collect();
    all.extend(derived_of_part(ledger, &is_followed));
    all.sort_by(|a, b| (a.from, a.to, &a.source).cmp(&(b.from, b.to, &b.source)));
    all.dedup();
    all
}

/// Returns the gaps that follow from the ledger: missing bundles, silences of v1, times between runs. One that a bundle
/// states itself, in whatever words, is left out.
///
/// A gap with `from` 0 (1970) is one before the first bundle; one without `to` is one whose place in time is not known.
#[must_use]
pub fn derived(ledger: &Ledger) -> Vec<Gap> {
    derived_of_part(ledger, &|_| false)
}

fn derived_of_part(ledger: &Ledger, is_followed: &dyn Fn(&BundleEntry) -> bool) -> Vec<Gap> {
    let runs = runs(ledger);
    let mut gaps = Vec::new();
    for run in &runs {
        within(run, is_followed, &mut gaps);
    }
    between(&runs, &mut gaps);
    let stated: Vec<&Gap> =
        stated(ledger).filter(|g| g.severity == Severity::Blind && g.source.is_none()).collect();
    let is_stated = |gap: &Gap| {
        stated.iter().any(|s| s.from <= gap.from && s.to.zip(gap.to).is_some_and(|(s, g)| s >= g))
    };
    gaps.retain(|gap| gap.severity == Severity::Thin || !is_stated(gap));
    gaps
}

/// Returns the gaps that bundles state.
fn stated(ledger: &Ledger) -> impl Iterator<Item = &Gap> {
    ledger.bundles.iter().filter(|b| !b.is_withdrawn()).flat_map(|b| &b.gaps)
}

/// The bundles of one run, in the order of the chain.
struct Run<'a> {
    boot: BootId,
    first: WallMicros,
    last: WallMicros,
    bundles: Vec<&'a StoredBundle>,
}

impl Run<'_> {
    /// Returns the first and the last number; `None` for v1, which has none.
    fn numbers(&self) -> Option<(u64, u64)> {
        let numbered = |b: &&&StoredBundle| b.entry.format == BundleFormat::V2;
        let first = self.bundles.first().filter(numbered)?;
        let last = self.bundles.last().filter(numbered)?;
        Some((first.entry.seq.0, last.entry.seq.0))
    }
}

/// Returns the runs by the wall time at which they begin.
fn runs(ledger: &Ledger) -> Vec<Run<'_>> {
    let mut by_run: BTreeMap<RunId, Vec<&StoredBundle>> = BTreeMap::new();
    let (streamed, whole): (Vec<_>, Vec<_>) =
        ledger.bundles.iter().filter(|b| !b.is_withdrawn()).partition(|b| b.entry.streamed);
    for bundle in whole {
        by_run.entry(bundle.entry.run).or_default().push(bundle);
    }
    for bundle in streamed {
        // Here it stands for the bundle that has not come.
        let stands_for = |run: &&RunId| run.of_stream(bundle.entry.seq) == bundle.entry.run;
        let run = by_run.keys().find(stands_for).copied().unwrap_or(bundle.entry.run);
        by_run.entry(run).or_default().push(bundle);
    }
    let mut runs: Vec<Run<'_>> = by_run
        .into_values()
        .map(|mut bundles| {
            bundles.sort_by_key(|b| (b.entry.format, b.entry.seq, b.entry.first));
            Run {
                boot: bundles[0].entry.boot,
                first: bundles.iter().map(|b| b.entry.first).min().unwrap_or_default(),
                last: bundles.iter().map(|b| b.entry.last).max().unwrap_or_default(),
                bundles,
            }
        })
        .collect();
    runs.sort_by_key(|run| (run.first, run.last));
    runs
}

fn blind(source: Option<Source>, reason: String, from: WallMicros, to: Option<WallMicros>) -> Gap {
    Gap { source, severity: Severity::Blind, reason, from, to, lost: None }
}

/// Finds what is missing between the bundles of one run.
fn within(run: &Run<'_>, is_followed: &dyn Fn(&BundleEntry) -> bool, gaps: &mut Vec<Gap>) {
    for pair in run.bundles.windows(2) {
        let (left, right) = (&pair[0].entry, &pair[1].entry);
        if let (Succession::Numbered, Succession::Numbered) = (left.succession(), right.succession())
            && let Some(reason) = missing(left.seq, right.seq)
            && !is_followed(left)
        {
            gaps.push(blind(None, reason, left.last, Some(right.first)));
        }
    }
    silences(run, gaps);
}

/// Says which bundles are missing between two; `None` where none is.
fn missing(left: BundleSeq, right: BundleSeq) -> Option<String> {
    let (first, last) = (left.0.checked_add(1)?, right.0.checked_sub(1)?);
    match first.cmp(&last) {
        std::cmp::Ordering::Less => Some(format!("bundles {first} to {last} are missing")),
        std::cmp::Ordering::Equal => Some(format!("bundle {first} is missing")),
        std::cmp::Ordering::Greater => None,
    }
}

/// Finds the silences between v1 bundles, which have no numbers: each source has its own. Those within a bundle are stated by it.
fn silences(run: &Run<'_>, gaps: &mut Vec<Gap>) {
    let mut lines: BTreeMap<&Source, Vec<(WallMicros, WallMicros, usize, i64)>> = BTreeMap::new();
    for (i, bundle) in run.bundles.iter().enumerate() {
        if let Succession::Within(limit) = bundle.entry.succession() {
            for span in &bundle.spans {
                lines.entry(&span.source).or_default().push((span.first, span.last, i, limit));
            }
        }
    }
    let sources = lines.len();
    let mut holes: BTreeMap<(WallMicros, WallMicros), BTreeSet<&Source>> = BTreeMap::new();
    for (source, mut line) in lines {
        line.sort_unstable();
        for pair in line.windows(2) {
            let ((_, left, a, wait), (right, _, b, other)) = (pair[0], pair[1]);
            if a != b && right.since(left) > wait.max(other) {
                holes.entry((left, right)).or_default().insert(source);
            }
        }
    }
    for ((from, to), silent) in holes {
        let reason = format!("nothing was recorded for {} ms", to.since(from) / 1000);
        if silent.len() == sources {
            gaps.push(blind(None, reason, from, Some(to)));
        } else {
            gaps.extend(silent.into_iter().map(|s| blind(Some(s.clone()), reason.clone(), from, Some(to))));
        }
    }
}

/// Finds the times that no run covers, and those that two do.
fn between(runs: &[Run<'_>], gaps: &mut Vec<Gap>) {
    if let Some((run, reason)) =
        runs.iter().find_map(|run| Some((run, missing(BundleSeq(0), BundleSeq(run.numbers()?.0))?)))
        && runs.iter().filter_map(Run::numbers).all(|(first, _)| first >= run.bundles[0].entry.seq.0)
    {
        gaps.push(blind(None, reason, WallMicros::default(), Some(run.first)));
    }
    let mut latest: Option<&Run<'_>> = None;
    for run in runs {
        if let Some(before) = latest {
            let lost = before.numbers().zip(run.numbers()).and_then(|((_, left), (right, _))| {
                // A run that lies elsewhere in time may hold those numbers.
                let elsewhere =
                    runs.iter().filter_map(Run::numbers).any(|(first, last)| left < last && first < right);
                missing(BundleSeq(left), BundleSeq(right)).filter(|_| !elsewhere)
            });
            if run.first > before.last {
                let down = if run.boot == before.boot {
                    "the recorder was down, or the clock was set"
                } else {
                    "the machine or its recorder was down"
                };
                let reason = lost.map_or_else(|| down.to_owned(), |lost| format!("{lost}, or {down}"));
                gaps.push(blind(None, reason, before.last, Some(run.first)));
            } else {
                let reason = "the clock was set back: two runs claim this time".to_owned();
                gaps.push(Gap {
                    severity: Severity::Thin,
                    ..blind(None, reason, run.first, Some(before.last.min(run.last)))
                });
                gaps.extend(lost.map(|lost| blind(None, lost, before.last, None)));
            }
        }
        if latest.is_none_or(|before| run.last > before.last) {
            latest = Some(run);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        coverage::Span,
        digest::Sha256,
        store::{BundleEntry, TriadId},
        time::ZoneOffset,
    };

    /// A bundle of run `run` with samples of all sources at each of `first` to `last`.
    fn bundle(format: BundleFormat, run: u8, seq: u64, first: i64, last: i64) -> StoredBundle {
        let (first, last) = (WallMicros(first), WallMicros(last));
        let span = |source| Span { source, first, last, joins_left: true, joins_right: true };
        StoredBundle {
            entry: BundleEntry {
                cid: None,
                sha256: Sha256::of(&[run, u8::try_from(seq % 251).unwrap()]),
                name: String::new(),
                format,
                seq: BundleSeq(seq),
                previous: None,
                run: RunId([run; 16]),
                boot: BootId([run; 16]),
                zone: ZoneOffset::UTC,
                first,
                last,
                interval_micros: 100_000,
                samples: 2,
                left_out: 0,
                complete: true,
                streamed: false,
                received: last,
            },
            spans: vec![span(Source::Process), span(Source::Endpoint)],
            gaps: Vec::new(),
            triad: TriadId(1),
        }
    }

    fn v2(run: u8, seq: u64, first: i64, last: i64) -> StoredBundle {
        bundle(BundleFormat::V2, run, seq, first, last)
    }

    /// The gaps as (from, to, severity, reason), whichever source.
    fn found(bundles: Vec<StoredBundle>) -> Vec<(i64, Option<i64>, Severity, String)> {
        let ledger = Ledger { bundles, ..Ledger::default() };
        of(&ledger).into_iter().map(|g| (g.from.0, g.to.map(|t| t.0), g.severity, g.reason)).collect()
    }

    #[test]
    fn a_missing_bundle_is_blind_until_it_arrives() {
        let mut bundles = vec![v2(1, 1, 10, 20), v2(1, 2, 30, 40), v2(1, 5, 90, 99)];
        let reason = "bundles 3 to 4 are missing".to_owned();
        assert_eq!(found(bundles.clone()), [(40, Some(90), Severity::Blind, reason)]);
        bundles.extend([v2(1, 4, 70, 80), v2(1, 3, 50, 60)]);
        assert_eq!(found(bundles), []);
    }

    #[test]
    fn the_first_bundles_can_be_missing() {
        let reason = "bundle 1 is missing".to_owned();
        assert_eq!(found(vec![v2(1, 2, 30, 40)]), [(0, Some(30), Severity::Blind, reason)]);
    }

    #[test]
    fn between_runs_the_recorder_was_down() {
        let mut second = v2(2, 2, 50, 60);
        let reason = "the machine or its recorder was down".to_owned();
        assert_eq!(found(vec![v2(1, 1, 10, 20), second.clone()]), [(20, Some(50), Severity::Blind, reason)]);
        second.entry.seq = BundleSeq(4);
        second.entry.boot = BootId([1; 16]);
        let reason = "bundles 2 to 3 are missing, or the recorder was down, or the clock was set".to_owned();
        assert_eq!(found(vec![v2(1, 1, 10, 20), second.clone()]), [(20, Some(50), Severity::Blind, reason)]);
        // The recorder said so itself, in better words: once is enough.
        second.gaps = vec![blind(None, "power cut".into(), WallMicros(20), Some(WallMicros(50)))];
        let stated = [(20, Some(50), Severity::Blind, "power cut".to_owned())];
        assert_eq!(found(vec![v2(1, 1, 10, 20), second]), stated);
    }

    #[test]
    fn a_clock_set_back_makes_no_hole_but_is_told() {
        let reason = "the clock was set back: two runs claim this time".to_owned();
        assert_eq!(
            found(vec![v2(1, 1, 10, 100), v2(2, 2, 50, 200)]),
            [(50, Some(100), Severity::Thin, reason.clone())]
        );
        // The lost bundle lies before or behind the step: nobody knows where.
        assert_eq!(
            found(vec![v2(1, 1, 10, 100), v2(2, 3, 50, 200)]),
            [
                (50, Some(100), Severity::Thin, reason),
                (100, None, Severity::Blind, "bundle 2 is missing".to_owned())
            ]
        );
    }

    #[test]
    fn a_run_within_another_leaves_no_hole_behind_it() {
        let set_back = "the clock was set back: two runs claim this time".to_owned();
        let down = "the machine or its recorder was down".to_owned();
        assert_eq!(
            found(vec![v2(1, 1, 10, 100), v2(2, 2, 30, 40), v2(3, 3, 120, 130)]),
            [(30, Some(40), Severity::Thin, set_back), (100, Some(120), Severity::Blind, down)]
        );
    }

    #[test]
    fn a_silence_of_v1_is_blind_for_the_sources_that_were_silent() {
        let v1 = |first, last| bundle(BundleFormat::V1, 1, last as u64, first, last);
        let (a, mut b) = (v1(0, 1_000_000), v1(2_900_000, 4_000_000));
        assert_eq!(found(vec![a.clone(), b.clone()]), [], "shorter than two seconds");
        b.spans[1].first = WallMicros(3_500_000);
        let ledger = Ledger { bundles: vec![a.clone(), b], ..Ledger::default() };
        let gaps = of(&ledger);
        assert_eq!(gaps.len(), 1);
        assert_eq!((gaps[0].source.clone(), gaps[0].from.0), (Some(Source::Endpoint), 1_000_000));
        let late = v1(9_000_000, 9_100_000);
        let reason = "nothing was recorded for 8000 ms".to_owned();
        assert_eq!(found(vec![a, late]), [(1_000_000, Some(9_000_000), Severity::Blind, reason)]);
    }
}
