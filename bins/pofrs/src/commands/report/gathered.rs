//! What a report is made of: as much as its tables show, and counts of all the rest, so that memory does not grow with the record.

use crate::output::{fact::lasted, when::Zones};
use pofr_core::{
    fact::Fact,
    gap::Gap,
    identity::Cid,
    store::{ClientReader, Ledger},
    time::WallMicros,
};
use pofr_schema::query::{Bound, Filter, Found, Span, Subject, find};
use std::ops::ControlFlow;

/// How finely the picture counts.
pub(super) const BINS: usize = 120;

/// What a report is made of.
pub(super) struct Gathered {
    /// The client.
    pub(super) client: Cid,
    /// Its zones.
    pub(super) zones: Zones,
    /// The host, as it was at the end of the time.
    pub(super) host: Option<pofr_core::fact::Host>,
    /// The begin of the time: what was asked for, else of the record.
    pub(super) from: WallMicros,
    /// The end.
    pub(super) until: WallMicros,
    /// Processes, files, endpoints: the first ones.
    pub(super) processes: Vec<Found>,
    /// The first files.
    pub(super) files: Vec<Found>,
    /// The first endpoints.
    pub(super) endpoints: Vec<Found>,
    /// How many there are of each.
    pub(super) counts: [u64; 3],
    /// How many of each began in which part of the time.
    pub(super) bins: [[u64; BINS]; 3],
    /// The gaps in that time.
    pub(super) gaps: Vec<Gap>,
    /// Bundles that touch the time: how many, the first and last number, bundles that nobody signed.
    pub(super) bundles: (u64, Option<(u64, u64)>),
}

impl Gathered {
    /// Asks the record. A subject that the filter cannot fit is left out.
    pub(super) fn ask(
        reader: &mut dyn ClientReader,
        client: &Cid,
        ledger: &Ledger,
        (filter, span): (&Filter, Span),
        utc: bool,
        limit: usize,
    ) -> anyhow::Result<Self> {
        let stamps = ledger.bundles.iter().filter(|b| !b.is_withdrawn());
        let first = stamps.clone().map(|b| b.entry.first).min().unwrap_or_default();
        let last = stamps.map(|b| b.entry.last).max().unwrap_or_default();
        let (from, until) = (span.from.unwrap_or(first), span.until.unwrap_or(last));
        let mut gathered = Self {
            client: client.clone(),
            zones: Zones::of(ledger, utc),
            host: None,
            from,
            until: until.max(from),
            processes: Vec::new(),
            files: Vec::new(),
            endpoints: Vec::new(),
            counts: [0; 3],
            bins: [[0; BINS]; 3],
            gaps: Vec::new(),
            bundles: (0, None),
        };
        for bundle in &ledger.bundles {
            let entry = &bundle.entry;
            if !bundle.is_withdrawn() && entry.last >= from && entry.first <= until {
                let seq = entry.seq.0;
                let range =
                    gathered.bundles.1.map_or((seq, seq), |(a, b): (u64, u64)| (a.min(seq), b.max(seq)));
                gathered.bundles = (gathered.bundles.0 + 1, Some(range));
            }
        }
        for (i, subject) in [Subject::Processes, Subject::Files, Subject::Endpoints].into_iter().enumerate() {
            if crate::commands::find::refuse_what_cannot_be(subject, filter).is_err() {
                continue;
            }
            let (mut kept, mut count, mut bins) = (Vec::new(), 0_u64, [0_u64; BINS]);
            let gaps = find(reader, subject, filter, span, &mut |found| {
                count += 1;
                if let Some(bin) = gathered.bin(&found) {
                    bins[bin] += 1;
                }
                if kept.len() < limit {
                    kept.push(found);
                }
                ControlFlow::Continue(())
            })?;
            // Facts come nearly in the order of time; what a process became must not stand before what it was.
            kept.sort_by_key(|found: &Found| (found.extent().from, found.extent().until));
            for gap in gaps {
                if !gathered.gaps.contains(&gap) {
                    gathered.gaps.push(gap);
                }
            }
            gathered.counts[i] = count;
            gathered.bins[i] = bins;
            match subject {
                Subject::Processes => gathered.processes = kept,
                Subject::Files => gathered.files = kept,
                Subject::Endpoints => gathered.endpoints = kept,
            }
        }
        gathered.gaps.sort_by_key(|gap| (gap.from, gap.to));
        let hosts = reader.state_at(pofr_core::fact::FactKind::Host, gathered.until)?;
        gathered.host = hosts.certain.into_iter().chain(hosts.maybe).find_map(|row| match row.fact {
            Fact::Host(host) => Some(host),
            _ => None,
        });
        Ok(gathered)
    }

    /// Returns in which part of the time a fact began; `None` where that is not within it.
    fn bin(&self, found: &Found) -> Option<usize> {
        let extent = found.extent();
        let within = extent.began != Bound::Open && extent.from >= self.from && extent.from <= self.until;
        let whole = i128::from(self.until.since(self.from).max(0)) + 1;
        let part = i128::from(extent.from.since(self.from)) * BINS as i128 / whole;
        within.then(|| usize::try_from(part).unwrap_or(0).min(BINS - 1))
    }

    /// Tells whether the whole time is of one day on the client's clock.
    pub(super) fn is_of_one_day(&self) -> bool {
        let day = |at| self.zones.second(at).get(..10).map(str::to_owned);
        day(self.from) == day(self.until)
    }

    /// Says from when to when something held: `2026-11-23 10:00:00.000000 +0100, ~4.5 s`.
    pub(super) fn lived(&self, found: &Found) -> String {
        let extent = found.extent();
        format!("{}, {}", self.zones.full(extent.from), lasted(&extent))
    }
}
