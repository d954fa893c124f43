//! From decoded snapshots to what a [`crate::diff::Differ`] is fed: observations, and the blind gaps between them.
//!
//! A v1 client says nothing of what it missed, so its gaps are inferred, for each of its two sources by itself:
//! a half that never came, or a silence of more than five intervals (and more than 2 s), is blind from the
//! last stamp that has the source to the next one that does.
//!
//! ```text
//! stamps (interval 0.3 s)   0.0   0.3   0.6   0.9          4.0
//! process                    x     -     x     x   silence  x     blind 0.0 to 0.6, 0.9 to 4.0
//! endpoint                   x     x     x     -   silence  x     blind 0.6 to 4.0
//! ```

use super::{name::Which, snapshot::Decoded};
use crate::{
    fact::Fact,
    gap::{Gap, Severity},
    source::Source,
    time::WallMicros,
};

/// How many intervals of silence say nothing yet; the ledger's rule for v1 is the same.
const INTERVALS: i64 = 5;
/// How long a silence says nothing in any case, µs.
const AT_LEAST_MICROS: i64 = 2_000_000;

/// The next thing for the differ.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Step {
    /// A reading of a source. How long it took is not known.
    Observe {
        /// The source.
        source: Source,
        /// The stamp.
        stamp: WallMicros,
        /// The facts.
        facts: Vec<Fact>,
    },
    /// A stretch of one source of which nothing is known.
    Blind(Gap),
}

/// Returns the median time between neighbouring stamps, µs; `None` for fewer than two. Of an even number of intervals,
/// the longer of the two in the middle counts.
#[must_use]
pub fn median_interval(stamps: &[WallMicros]) -> Option<u64> {
    let mut sorted = stamps.to_vec();
    sorted.sort_unstable();
    let mut intervals: Vec<u64> = sorted.windows(2).map(|w| w[1].0.abs_diff(w[0].0)).collect();
    intervals.sort_unstable();
    intervals.get(intervals.len() / 2).copied()
}

/// Turns snapshots, in the order of their stamps, into steps.
#[derive(Clone, Debug)]
pub struct Converter {
    quiet_micros: i64,
    processes: Line,
    endpoints: Line,
}

/// How far one source has come.
#[derive(Clone, Debug)]
struct Line {
    source: Source,
    half: Which,
    /// The last stamp that has it.
    last: Option<WallMicros>,
    /// The first stamp since then that lacks it.
    lacking_from: Option<WallMicros>,
    /// How many lack it since then.
    lacking: u64,
}

impl Converter {
    /// Begins a run of snapshots that are `interval_micros` apart as a rule ([`median_interval`]).
    #[must_use]
    pub fn new(interval_micros: u64) -> Self {
        let interval = i64::try_from(interval_micros).unwrap_or(i64::MAX);
        let line = |source, half| Line { source, half, last: None, lacking_from: None, lacking: 0 };
        Self {
            quiet_micros: interval.saturating_mul(INTERVALS).max(AT_LEAST_MICROS),
            processes: line(Source::Process, Which::Proc),
            endpoints: line(Source::Endpoint, Which::Net),
        }
    }

    /// Takes the next snapshot, whose stamp is later than the one before, and returns what it means.
    #[must_use = "the steps are all that comes of a snapshot"]
    pub fn push(&mut self, snapshot: Decoded) -> Vec<Step> {
        let Decoded { stamp, processes, endpoints, .. } = snapshot;
        let gaps = self.gaps(stamp, processes.is_some(), endpoints.is_some());
        let mut steps: Vec<Step> = gaps.into_iter().map(Step::Blind).collect();
        for (source, facts) in [(Source::Process, processes), (Source::Endpoint, endpoints)] {
            steps.extend(facts.map(|facts| Step::Observe { source, stamp, facts }));
        }
        steps
    }

    /// Takes note of the next snapshot's stamp and which of its halves there are; returns the gaps that end with it.
    #[must_use = "the gaps belong in the record"]
    pub fn gaps(&mut self, stamp: WallMicros, has_proc: bool, has_net: bool) -> Vec<Gap> {
        let mut gaps = Vec::new();
        gaps.extend(self.processes.push(stamp, self.quiet_micros, has_proc));
        gaps.extend(self.endpoints.push(stamp, self.quiet_micros, has_net));
        gaps
    }

    /// Ends the run. A source that the last snapshots lack is blind from its last stamp on, and until when is not known;
    /// without that gap the next bundle would seem to join this one.
    #[must_use = "the last gaps are among the steps"]
    pub fn finish(self) -> Vec<Step> {
        [self.processes, self.endpoints].iter().filter_map(|line| line.lack(None)).map(Step::Blind).collect()
    }
}

impl Line {
    fn push(&mut self, stamp: WallMicros, quiet: i64, came: bool) -> Option<Gap> {
        if !came {
            self.lacking_from.get_or_insert(stamp);
            self.lacking += 1;
            return None;
        }
        let gap = self.lack(Some(stamp)).or_else(|| self.silence(stamp, quiet));
        (self.last, self.lacking_from, self.lacking) = (Some(stamp), None, 0);
        gap
    }

    /// Returns the gap that halves which never came leave, up to `to`.
    fn lack(&self, to: Option<WallMicros>) -> Option<Gap> {
        let from = self.last.or(self.lacking_from)?;
        let reason = match self.lacking {
            0 => return None,
            1 => format!("the {} half of a snapshot never came", self.half),
            n => format!("the {} halves of {n} snapshots never came", self.half),
        };
        Some(self.gap(from, to, reason, Some(self.lacking)))
    }

    /// Returns the gap that a long silence before `stamp` is.
    fn silence(&self, stamp: WallMicros, quiet: i64) -> Option<Gap> {
        let last = self.last?;
        let micros = stamp.since(last);
        (micros > quiet).then(|| {
            let reason = format!("no snapshot for {}.{} s", micros / 1_000_000, micros % 1_000_000 / 100_000);
            self.gap(last, Some(stamp), reason, None)
        })
    }

    fn gap(&self, from: WallMicros, to: Option<WallMicros>, reason: String, lost: Option<u64>) -> Gap {
        Gap { source: Some(self.source.clone()), severity: Severity::Blind, reason, from, to, lost }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::time::ZoneOffset;

    /// Runs a table of (stamp in ms, has a proc half, has a net half) through a converter at 300 ms.
    fn gaps(table: &[(i64, bool, bool)]) -> Vec<(Source, i64, Option<i64>, Option<u64>)> {
        let mut converter = Converter::new(300_000);
        let mut steps = Vec::new();
        for &(ms, proc, net) in table {
            steps.extend(converter.push(Decoded {
                stamp: WallMicros(ms * 1000),
                zone: ZoneOffset::UTC,
                processes: proc.then(Vec::new),
                endpoints: net.then(Vec::new),
                pid_only: 0,
                undecidable: 0,
            }));
        }
        steps.extend(converter.finish());
        let observed = steps.iter().filter(|step| matches!(step, Step::Observe { .. })).count();
        let came: usize = table.iter().map(|(_, proc, net)| usize::from(*proc) + usize::from(*net)).sum();
        assert_eq!(observed, came, "every half that came is observed");
        let gap = |step| match step {
            Step::Blind(g) => {
                assert_eq!(g.severity, Severity::Blind);
                Some((g.source.unwrap(), g.from.0 / 1000, g.to.map(|t| t.0 / 1000), g.lost))
            }
            Step::Observe { .. } => None,
        };
        steps.into_iter().filter_map(gap).collect()
    }

    #[test]
    fn a_steady_run_has_no_gap() {
        assert_eq!(gaps(&[(0, true, true), (300, true, true), (2300, true, true)]), []);
        assert_eq!(gaps(&[]), []);
    }

    #[test]
    fn the_example_above() {
        let table =
            [(0, true, true), (300, false, true), (600, true, true), (900, true, false), (4000, true, true)];
        assert_eq!(
            gaps(&table),
            [
                (Source::Process, 0, Some(600), Some(1)),
                (Source::Process, 900, Some(4000), None),
                (Source::Endpoint, 600, Some(4000), Some(1)),
            ]
        );
    }

    #[test]
    fn the_silence_that_counts_grows_with_the_interval() {
        let at = |interval, micros| {
            let mut converter = Converter::new(interval);
            let snapshot = |stamp| Decoded {
                stamp: WallMicros(stamp),
                zone: ZoneOffset::UTC,
                processes: Some(Vec::new()),
                endpoints: None,
                pid_only: 0,
                undecidable: 0,
            };
            let _ = converter.push(snapshot(0));
            converter.push(snapshot(micros)).len() == 2
        };
        assert!(!at(300_000, 2_000_000) && at(300_000, 2_000_001));
        assert!(!at(1_000_000, 5_000_000) && at(1_000_000, 5_000_001));
        assert!(!at(u64::MAX, i64::MAX));
    }

    #[test]
    fn a_run_may_begin_and_end_with_half_snapshots() {
        assert_eq!(
            gaps(&[(0, false, true), (300, true, true), (600, true, false), (900, true, false)]),
            [(Source::Process, 0, Some(300), Some(1)), (Source::Endpoint, 300, None, Some(2))]
        );
        assert_eq!(gaps(&[(7, true, false)]), [(Source::Endpoint, 7, None, Some(1))]);
    }

    #[test]
    fn the_median_of_what_there_is() {
        let stamps = |s: &[i64]| s.iter().copied().map(WallMicros).collect::<Vec<_>>();
        assert_eq!(median_interval(&stamps(&[5])), None);
        assert_eq!(median_interval(&stamps(&[0, 300, 601, 9000])), Some(301));
        assert_eq!(median_interval(&stamps(&[601, 0, 300])), Some(301));
    }
}
