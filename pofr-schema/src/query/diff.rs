//! What is different between two times.

use super::{QueryError, listeners::listens};
use pofr_core::{
    digest::KeyDigest,
    fact::{Fact, FactKind},
    gap::Gap,
    lifetime::Row,
    source::Source,
    store::{ClientReader, RecordAt},
    time::WallMicros,
};
use serde::Serialize;
use std::collections::{BTreeMap, BTreeSet};

/// What became of something between two times.
#[derive(Clone, Debug, Serialize)]
#[serde(tag = "change", rename_all = "lowercase")]
pub enum Change {
    /// It is there at the second time only.
    Appeared {
        /// What.
        after: Row,
    },
    /// It was there at the first time only.
    Went {
        /// What.
        before: Row,
    },
    /// It is there at both times, and not the same.
    Changed {
        /// How it was.
        before: Box<Row>,
        /// How it is.
        after: Box<Row>,
    },
}

/// A difference.
#[derive(Clone, Debug, Serialize)]
pub struct Difference {
    /// Of which kind; endpoints are those that listen.
    pub kind: FactKind,
    /// What became of it.
    #[serde(flatten)]
    pub change: Change,
}

impl Difference {
    /// Returns since when what is told is known, as it is now or was last.
    #[must_use]
    pub fn since(&self) -> WallMicros {
        match &self.change {
            Change::Appeared { after: row } | Change::Went { before: row } => row.life.position(),
            Change::Changed { after: row, .. } => row.life.position(),
        }
    }
}

/// What is different between two times.
#[derive(Clone, Debug, Default, Serialize)]
pub struct Diff {
    /// The differences, by kind and [`Difference::since`].
    pub differences: Vec<Difference>,
    /// Sources of which there is no record at one of the two times, with what there is around it: of those nothing is said.
    pub unknown: Vec<(WallMicros, RecordAt)>,
    /// The gaps between the two times.
    pub gaps: Vec<Gap>,
}

/// The kinds that are compared; endpoints are those that listen.
const KINDS: [FactKind; 8] = [
    FactKind::Endpoint,
    FactKind::Process,
    FactKind::User,
    FactKind::Group,
    FactKind::Module,
    FactKind::Route,
    FactKind::Interface,
    FactKind::Device,
];

/// Returns what is different at `after` from what was at `before`: listeners, processes, users, groups, modules, routes,
/// interfaces, devices.
///
/// What held at a time for certain is compared. So what began or ended between the samples around one of the times is a
/// difference, by [`Difference::since`] one that may have been there a sample earlier or later; to leave it out would hide it.
///
/// # Errors
/// Where the store fails.
pub fn diff(
    reader: &mut dyn ClientReader,
    before: WallMicros,
    after: WallMicros,
) -> Result<Diff, QueryError> {
    let mut gaps = reader.gaps(Some(before.min(after)), Some(before.max(after)))?;
    let compared = |gap: &Gap| match &gap.source {
        Some(Source::Host | Source::Custom(_)) => false,
        Some(_) | None => true,
    };
    gaps.retain(compared);
    let mut diff = Diff { gaps, ..Diff::default() };
    for kind in KINDS {
        let was = state(reader, kind, before, &mut diff.unknown)?;
        let is = state(reader, kind, after, &mut diff.unknown)?;
        let (Some(mut was), Some(mut is)) = (was, is) else { continue };
        let same: BTreeSet<KeyDigest> =
            was.keys().filter(|digest| is.contains_key(digest)).copied().collect();
        was.retain(|digest, _| !same.contains(digest));
        is.retain(|digest, _| !same.contains(digest));
        let mut things: BTreeMap<String, (Vec<Row>, Vec<Row>)> = BTreeMap::new();
        for row in was.into_values() {
            things.entry(identity(&row.fact)).or_default().0.push(row);
        }
        for row in is.into_values() {
            things.entry(identity(&row.fact)).or_default().1.push(row);
        }
        let mut of_kind = Vec::new();
        for (was, is) in things.into_values() {
            let mut tell = |change| of_kind.push(Difference { kind, change });
            match (<[Row; 1]>::try_from(was), <[Row; 1]>::try_from(is)) {
                (Ok([before]), Ok([after])) => {
                    tell(Change::Changed { before: Box::new(before), after: Box::new(after) });
                }
                (was, is) => {
                    let was = was.map_or_else(|several| several, Vec::from);
                    let is = is.map_or_else(|several| several, Vec::from);
                    was.into_iter().for_each(|before| tell(Change::Went { before }));
                    is.into_iter().for_each(|after| tell(Change::Appeared { after }));
                }
            }
        }
        of_kind.sort_by_key(|difference: &Difference| difference.since());
        diff.differences.extend(of_kind);
    }
    // One source may have several kinds.
    let mut told = BTreeSet::new();
    diff.unknown.retain(|(at, record)| told.insert((*at, record.run, record.source.clone())));
    Ok(diff)
}

/// Returns what is compared of a kind at a time; `None`, with what is known instead, where there is no record.
fn state(
    reader: &mut dyn ClientReader,
    kind: FactKind,
    at: WallMicros,
    unknown: &mut Vec<(WallMicros, RecordAt)>,
) -> Result<Option<BTreeMap<KeyDigest, Row>>, QueryError> {
    let state = reader.state_at(kind, at)?;
    if !state.record.iter().any(|record| record.covered) {
        unknown.extend(state.record.into_iter().map(|record| (at, record)));
        return Ok(None);
    }
    let compared = |row: &Row| match &row.fact {
        Fact::Endpoint(endpoint) => listens(&endpoint.key),
        _ => true,
    };
    // What began or ended between the samples around the time is certain at the other time alone: a difference, and told.
    let rows = state.certain.into_iter().filter(compared);
    Ok(Some(rows.map(|row| (row.digest, row)).collect()))
}

/// Returns what makes a thing the same at two times, whatever else changed of it.
fn identity(fact: &Fact) -> String {
    match fact {
        Fact::Process(p) => p.key.entity.digest().to_string(),
        Fact::Endpoint(e) => format!("{} {} {:?}", e.key.transport.text(), e.key.local, e.key.netns),
        Fact::User(u) => format!("{:?}", u.name),
        Fact::Group(g) => format!("{:?}", g.name),
        Fact::Module(m) => format!("{:?}", m.name),
        Fact::Route(r) => format!("{}/{} {:?} {}", r.destination, r.prefix, r.interface, r.metric),
        Fact::Interface(i) => format!("{:?} {:?}", i.name, i.address),
        Fact::Device(d) => format!("{:?} {:?}", d.key.bus, d.key.address),
        other => other.digest().to_string(),
    }
}
