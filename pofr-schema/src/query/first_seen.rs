//! When a program, a path or an address was first seen.

use super::{Bound, Extent, Filter, QueryError, Span, Subject, find};
use pofr_core::{
    digest::Sha256,
    fact::{Fact, FactKind},
    gap::Gap,
    lifetime::Row,
    raw::RawText,
    store::{ClientReader, Narrow, Search},
    time::WallMicros,
};
use serde::Serialize;
use std::{collections::BTreeSet, net::IpAddr, ops::ControlFlow};

/// What was first seen.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum FirstOf {
    /// A process whose executable has this SHA-256.
    ExeSha256(Sha256),
    /// A file of exactly this path, open or run.
    Path(RawText),
    /// An endpoint whose peer has this address.
    Remote(IpAddr),
}

/// When it was first seen.
#[derive(Clone, Debug, Serialize)]
pub struct First {
    /// When.
    pub at: WallMicros,
    /// Whether an event told the time; else it is the first sample that shows it.
    pub exact: bool,
    /// Whether the record begins there, so that it may have been there before.
    pub cut: bool,
    /// The fact.
    pub row: Row,
    /// The gaps before that, in which it may have been there.
    pub gaps: Vec<Gap>,
}

/// Returns when it was first seen; `None` where it never was.
///
/// A path was first seen where a process had it open or ran it. Rows come nearly in the order of time, so the first that is
/// found leaves little to look through before it.
///
/// # Errors
/// Where the store fails.
pub fn first_seen(reader: &mut dyn ClientReader, of: &FirstOf) -> Result<Option<First>, QueryError> {
    let mut first: Option<Row> = None;
    for (kind, narrow) in of.narrows() {
        loop {
            let before = first.as_ref().map(|row| row.life.position().plus(-1));
            let mut found = None;
            reader.search(&Search::all(kind).narrow(narrow.clone()).within(None, before), &mut |row| {
                let earlier = before.is_none_or(|before| row.life.position() <= before);
                if !earlier || !of.is(&row.fact) {
                    return ControlFlow::Continue(());
                }
                found = Some(row);
                ControlFlow::Break(())
            })?;
            match found {
                Some(row) => first = Some(row),
                None => break,
            }
        }
    }
    let Some(row) = first else { return Ok(None) };
    let (row, extent) = match of {
        FirstOf::ExeSha256(sha256) => earlier_part(reader, row, *sha256)?,
        FirstOf::Path(_) | FirstOf::Remote(_) => {
            let extent = Extent::of(std::slice::from_ref(&row));
            (row, extent)
        }
    };
    let source = row.fact.source();
    let mut gaps = reader.gaps(None, Some(extent.from))?;
    gaps.retain(|gap| gap.source.is_none() || gap.source.as_ref() == Some(&source));
    let (at, exact, cut) = (extent.from, extent.began == Bound::Exact, extent.began == Bound::Open);
    Ok(Some(First { at, exact, cut, row, gaps }))
}

/// Returns the whole of the process: its hash may have been learned later than it began.
fn earlier_part(
    reader: &mut dyn ClientReader,
    row: Row,
    sha256: Sha256,
) -> Result<(Row, Extent), QueryError> {
    let mut first = (row.clone(), Extent::of(std::slice::from_ref(&row)));
    let pids = super::find::holder(&row.fact).map(|entity| entity.pid()).into_iter().collect();
    let filter = Filter { exe_sha256: Some(sha256), pids, ..Filter::default() };
    find(reader, Subject::Processes, &filter, Span::ALL, &mut |found| {
        let extent = found.extent();
        if extent.from < first.1.from {
            first = (found.row().clone(), extent);
        }
        ControlFlow::Continue(())
    })?;
    Ok(first)
}

impl FirstOf {
    /// Returns where to look for it.
    fn narrows(&self) -> Vec<(FactKind, Narrow)> {
        match self {
            Self::ExeSha256(sha256) => vec![(FactKind::Process, Narrow::ExeSha256(*sha256))],
            Self::Path(path) => {
                vec![
                    (FactKind::File, Narrow::Path(path.clone())),
                    (FactKind::Process, Narrow::Exe(path.clone())),
                ]
            }
            Self::Remote(ip) => {
                let mut addresses = BTreeSet::from([*ip, ip.to_canonical()]);
                if let IpAddr::V4(ip) = ip.to_canonical() {
                    addresses.insert(IpAddr::V6(ip.to_ipv6_mapped()));
                }
                vec![(FactKind::Endpoint, Narrow::Addresses(addresses))]
            }
        }
    }

    /// Tells whether a fact is it.
    fn is(&self, fact: &Fact) -> bool {
        match (self, fact) {
            (Self::ExeSha256(sha256), Fact::Process(p)) => p.details.exe_sha256 == Some(*sha256),
            (Self::Path(path), Fact::Process(p)) => {
                p.key.exe.known() == Some(path)
                    || p.key.program().is_some_and(|(program, _)| program == path.as_bytes())
            }
            (Self::Path(path), Fact::File(f)) => f.key.path == *path,
            (Self::Remote(ip), Fact::Endpoint(e)) => {
                e.key.remote.ip() == *ip || e.key.remote.ip().to_canonical() == ip.to_canonical()
            }
            _ => false,
        }
    }
}
