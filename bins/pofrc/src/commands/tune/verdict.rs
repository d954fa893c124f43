//! The verdict: what was measured, and what follows for other intervals.

use super::{BUNDLE, Readings, measured::Tally, weighed::Weight};
use crate::{cli::Tune, report::wrapped, units};
use pofr_collect::Summary;
use serde::Serialize;
use std::{collections::BTreeMap, fmt::Write as _, time::Duration};

/// The intervals that the table has, µs.
const INTERVALS: [u64; 5] = [50_000, 100_000, 300_000, 1_000_000, 3_000_000];
/// Ticks have at least this part of the budget, as the recorder grants it.
const LEAST_PART: f64 = 0.5;
const DAY_SECONDS: f64 = 86_400.0;

/// What recording costs here. Times are µs, sizes bytes, shares of one core.
#[derive(Clone, Debug, Serialize)]
pub(super) struct Verdict {
    seconds: f64,
    interval_us: u64,
    ticks: u64,
    facts: BTreeMap<String, u64>,
    /// What costs something at each sample.
    samplers: Vec<Part>,
    /// What is asked so seldom that it was not again: the cost of once, as if it were once a bundle.
    seldom: Vec<Part>,
    /// What event sources cost, whatever the interval.
    event_sources: Vec<Part>,
    /// Differences, encoding, waiting, a sample.
    rest_us: f64,
    /// What threads of event sources take.
    threads_share: f64,
    /// All that a sample costs, the first left out.
    sample_us: f64,
    /// The first one, of the samplers alone.
    first_sample_us: f64,
    /// What is used whatever the interval.
    between_share: f64,
    /// Seen in these seconds.
    cpu_share: f64,
    events_per_second: f64,
    bundle_beginning_bytes: u64,
    bytes_per_second: f64,
    bytes_per_day: f64,
    at: Vec<At>,
    max_cpu_share: f64,
    /// The shortest interval that fits.
    interval_that_fits_us: u64,
    notes: Vec<String>,
}

/// What one part costs.
#[derive(Clone, Debug, Serialize)]
struct Part {
    name: String,
    /// A sample, or, of an event source, an event.
    each_us: f64,
    share: f64,
}

/// What another interval would cost.
#[derive(Clone, Copy, Debug, Serialize)]
struct At {
    interval_us: u64,
    cpu_share: f64,
}

impl Verdict {
    pub(super) fn of(
        args: &Tune,
        summary: &Summary,
        tally: &Tally,
        (first, end): (&Readings, &Readings),
        weight: &Weight,
        notes: Vec<String>,
    ) -> Self {
        let seconds = end.at.duration_since(first.at).as_secs_f64();
        let ticks = summary.ticks.saturating_sub(1).max(1) as f64;
        let micros = seconds * 1e6;
        let process = end.process_micros.saturating_sub(first.process_micros) as f64;
        let thread = end.thread_micros.saturating_sub(first.thread_micros) as f64;
        let parts =
            |costs: &BTreeMap<String, super::measured::Cost>, each: &dyn Fn(u64) -> f64| -> Vec<Part> {
                let mut parts: Vec<_> = costs
                    .iter()
                    .map(|(name, cost)| {
                        let cpu = cost.nanos as f64 / 1e3;
                        Part { name: name.clone(), each_us: cpu / each(cost.times), share: cpu / micros }
                    })
                    .collect();
                parts.sort_by(|a, b| b.share.total_cmp(&a.share));
                parts
            };
        let bundle = BUNDLE.as_secs_f64() * 1e6;
        let is_seldom = |name: &str| tally.samplers.get(name).is_some_and(|cost| cost.times == 0);
        let once = tally.samplers.iter().filter(|(name, _)| is_seldom(name));
        let seldom: Vec<_> = once
            .map(|(name, cost)| {
                let each_us = cost.first_nanos as f64 / 1e3;
                Part { name: name.clone(), each_us, share: each_us / bundle }
            })
            .collect();
        let mut samplers = parts(&tally.samplers, &|_| ticks);
        samplers.retain(|part| !is_seldom(&part.name));
        let event_sources = parts(&tally.event_sources, &|events| events.max(1) as f64);
        let sampled: f64 = samplers.iter().map(|part| part.share * micros).sum();
        let drained: f64 = event_sources.iter().map(|part| part.share * micros).sum();
        let threads = (process - thread).max(0.0) / micros;
        let rest = (thread - sampled - drained).max(0.0) / ticks;
        let sample_us = sampled / ticks + rest;
        let between = threads + drained / micros + seldom.iter().map(|part| part.share).sum::<f64>();
        let room = (args.max_cpu - between).max(args.max_cpu * LEAST_PART);
        let events: u64 = tally.event_sources.values().map(|cost| cost.times).sum();
        let bytes_per_second = weight.later as f64 / seconds;
        let beginnings = DAY_SECONDS / BUNDLE.as_secs_f64();
        Self {
            seconds,
            interval_us: u64::try_from(args.interval.as_micros()).unwrap_or(u64::MAX),
            ticks: summary.ticks,
            facts: summary.last.iter().map(|(source, count)| (source.name().to_owned(), *count)).collect(),
            samplers,
            seldom,
            event_sources,
            rest_us: rest,
            threads_share: threads,
            sample_us,
            first_sample_us: tally.samplers.values().map(|cost| cost.first_nanos as f64 / 1e3).sum(),
            between_share: between,
            cpu_share: process / micros,
            events_per_second: events as f64 / seconds,
            bundle_beginning_bytes: weight.beginning,
            bytes_per_second,
            bytes_per_day: weight.beginning as f64 * beginnings + bytes_per_second * DAY_SECONDS,
            at: INTERVALS
                .iter()
                .map(|interval_us| At {
                    interval_us: *interval_us,
                    cpu_share: sample_us / *interval_us as f64 + between,
                })
                .collect(),
            max_cpu_share: args.max_cpu,
            interval_that_fits_us: fitting(sample_us, room),
            notes,
        }
    }

    /// Writes the verdict for a person, in lines of up to 80 columns.
    pub(super) fn text(&self) -> String {
        let mut out = String::new();
        // Writing to a string does not fail.
        let _ = self.write(&mut out);
        out
    }

    fn write(&self, out: &mut String) -> std::fmt::Result {
        let span = |micros: f64| units::span(Duration::from_secs_f64(micros.max(0.0) / 1e6));
        let facts: u64 = self.facts.values().sum();
        writeln!(
            out,
            "{} in {:.1} s, one every {}; {}\n",
            units::many(self.ticks, "sample"),
            self.seconds,
            span(self.interval_us as f64),
            units::many(facts, "fact")
        )?;
        writeln!(out, "{:<24} {:>12} {:>12}", "PART", "A SAMPLE", "OF A CORE")?;
        for part in &self.samplers {
            let share = units::percent(part.share);
            writeln!(out, "{:<24} {:>12} {share:>12}", part.name, span(part.each_us))?;
        }
        let rest =
            units::percent(self.rest_us / self.sample_us.max(f64::MIN_POSITIVE) * self.sampled_share());
        writeln!(out, "{:<24} {:>12} {rest:>12}", "comparing, encoding", span(self.rest_us))?;
        for part in &self.seldom {
            let once = format!("{}/{} s", span(part.each_us), BUNDLE.as_secs());
            writeln!(out, "{:<24} {once:>12} {:>12}", part.name, units::percent(part.share))?;
        }
        for part in &self.event_sources {
            writeln!(out, "{:<24} {:>12} {:>12}", part.name, "", units::percent(part.share))?;
        }
        if !self.event_sources.is_empty() {
            writeln!(
                out,
                "{:<24} {:>12} {:>12}",
                "threads that listen",
                "",
                units::percent(self.threads_share)
            )?;
        }
        let all = units::percent(self.cpu_share);
        writeln!(out, "{:<24} {:>12} {all:>12}\n", "all", span(self.sample_us))?;
        writeln!(out, "the first sample          {}", span(self.first_sample_us))?;
        writeln!(out, "events                    {:.1} a second", self.events_per_second)?;
        writeln!(out, "sent                      {} a day:", size(self.bytes_per_day))?;
        let (an_hour, a_bundle) = (self.bytes_per_second * 3_600.0, self.bundle_beginning_bytes as f64);
        let a_bundle = format!("{} a bundle of {} s", size(a_bundle), BUNDLE.as_secs());
        writeln!(
            out,
            "{:26}{} an hour and {a_bundle}
",
            "",
            size(an_hour)
        )?;
        writeln!(out, "{:<24} {:>12}", "A SAMPLE EVERY", "OF A CORE")?;
        for at in &self.at {
            writeln!(out, "{:<24} {:>12}", span(at.interval_us as f64), units::percent(at.cpu_share))?;
        }
        let (fits, limit) = (span(self.interval_that_fits_us as f64), units::limit(self.max_cpu_share));
        if self.between_share > self.max_cpu_share * (1.0 - LEAST_PART) {
            let events = units::percent(self.between_share);
            writeln!(
                out,
                "\nevents alone take {events}, of {limit} allowed; beside them a sample every {fits}"
            )?;
        } else {
            writeln!(out, "\n{limit} of a core fits a sample every {fits}")?;
        }
        self.notes.iter().try_for_each(|note| out.write_str(&wrapped("note:", note)))
    }

    /// The share of a core that samples took, events left out.
    fn sampled_share(&self) -> f64 {
        (self.cpu_share - self.between_share).max(0.0)
    }
}

fn size(bytes: f64) -> String {
    units::bytes(bytes.max(0.0) as u64)
}

/// Returns the shortest interval, rounded up to two digits, at which such a sample takes no more than `room` of a core, µs.
fn fitting(sample_us: f64, room: f64) -> u64 {
    let exact = (sample_us / room).clamp(100.0, 3.6e9);
    let step = 10f64.powf(exact.log10().floor() - 1.0);
    ((exact / step).ceil() * step) as u64
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_interval_that_fits_is_rounded_up() {
        assert_eq!(fitting(2_000.0, 0.02), 100_000);
        assert_eq!(fitting(2_001.0, 0.02), 110_000);
        assert_eq!(fitting(0.0, 0.02), 100);
        assert_eq!(fitting(f64::INFINITY, 0.02), 3_600_000_000);
    }
}
