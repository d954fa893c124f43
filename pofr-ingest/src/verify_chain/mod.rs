//! Verifying a record: is it what the client sent, all of it, in order, signed, and of the time that it says?
//!
//! What is held against each other: the ledger, the kept bundles, the client's keys, and the server's own clock. Nothing is
//! changed.
//!
//! ```text
//! ledger   1 ← 2 ← 3   5        hole: 4
//! kept     1   2'  3   5        2' is not what was stored: tampered
//! signed   k   k   x   k        3 is not signed by the client's key
//! times    9:00 9:01 9:02 7:30  5 goes back in time
//! ```
//!
//! A client whose machine is in somebody else's hands can sign whatever it likes from then on, but not what it sent before:
//! that is stored, chained and received, and what does not fit shows here.

mod signatures;
mod times;

use crate::{
    inbox::{Inbox, InboxError},
    kept::Kept,
    receive::Account,
    track::damage,
};
use pofr_core::{
    digest::Sha256,
    identity::Cid,
    raw::RawText,
    store::{BundleFormat, Ledger, StoredBundle, TriadId, chain},
    wire::v2::Limits,
};
use serde::Serialize;

/// What is let pass.
#[derive(Clone, Copy, Debug)]
pub struct Options {
    /// How far a client's clock may be ahead of the server's, µs.
    pub ahead: i64,
    /// How far it may go back from one bundle to the next, µs.
    pub back: i64,
    /// How long after a key was replaced bundles may come that were signed with it before, µs.
    pub grace: i64,
    /// How much a bundle may hold.
    pub limits: Limits,
}

impl Default for Options {
    fn default() -> Self {
        Self { ahead: 60_000_000, back: 60_000_000, grace: 86_400_000_000, limits: Limits::default() }
    }
}

/// Something that is not as it should be. Numbers are those of the chain, times µs since 1970.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(tag = "finding", rename_all = "snake_case")]
#[non_exhaustive]
pub enum Finding {
    /// Bundles have not come, or were removed.
    Hole {
        /// The first number.
        first: u64,
        /// The last.
        last: u64,
    },
    /// Several bundles of one number.
    Fork {
        /// The number.
        seq: u64,
    },
    /// A bundle does not name the one before it that is stored.
    Break {
        /// Its number.
        seq: u64,
    },
    /// A kept bundle is not the one that was stored.
    Tampered {
        /// Its number in the ledger.
        seq: u64,
        /// Its name.
        name: String,
        /// What is wrong with it.
        why: String,
    },
    /// Bundles that are stored are not among those kept, so that their signatures cannot be checked.
    NotKept {
        /// The first number.
        first: u64,
        /// The last.
        last: u64,
    },
    /// A bundle is kept that is not in the record.
    NotStored {
        /// Its name.
        name: String,
    },
    /// A file was refused, and lies in quarantine.
    Quarantined {
        /// Its name, escaped.
        name: String,
        /// Why.
        why: String,
    },
    /// Bundles are not signed.
    Unsigned {
        /// The first number.
        first: u64,
        /// The last.
        last: u64,
    },
    /// A bundle's signature is not by a key of the client, or not of this bundle.
    BadSignature {
        /// Its number.
        seq: u64,
        /// Its name.
        name: String,
    },
    /// A bundle came signed with a key after that had been replaced.
    FormerKey {
        /// Its number.
        seq: u64,
        /// When it came.
        received: i64,
        /// When the key was replaced.
        until: i64,
    },
    /// What was streamed of a bundle whose whole has not come; nobody signed it.
    Streamed {
        /// The number.
        seq: u64,
    },
    /// A bundle has a bad record. What stands before it is in the record, a blind gap stands for the rest, and the whole lies in
    /// quarantine.
    Damaged {
        /// The number.
        seq: u64,
        /// What is wrong, as the gap says it.
        why: String,
    },
    /// A bundle has samples of a time that had not come when it was received.
    Ahead {
        /// Its number.
        seq: u64,
        /// By how much, µs.
        by: i64,
    },
    /// A bundle's samples are older than those of one before it in the chain: the clock was set back, or it was backdated.
    Backdated {
        /// Its number.
        seq: u64,
        /// By how much, µs.
        by: i64,
    },
    /// A bundle came after one that is behind it in the chain.
    Late {
        /// Its number.
        seq: u64,
        /// The number of one that came before.
        after: u64,
        /// How much later, µs.
        by: i64,
    },
}

/// What verifying came to.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Report {
    /// Bundles in the ledger, those of the first POFR, which have no chain, left out.
    pub bundles: u64,
    /// Bundles of the first POFR.
    pub v1: u64,
    /// Those whose signature is by a key of the client.
    pub signed: u64,
    /// Those whose signature could not be checked, because no key of the client is known here.
    pub unchecked: u64,
    /// What is not as it should be, by number within each kind.
    pub findings: Vec<Finding>,
}

/// Verifies a client's record against what is kept, with the keys of `accounts`.
///
/// # Errors
/// Where the directory of kept bundles cannot be read.
pub fn verify(
    cid: &Cid,
    ledger: &Ledger,
    kept: &Kept,
    accounts: &[Account],
    options: &Options,
) -> Result<Report, InboxError> {
    let (v2, v1): (Vec<&StoredBundle>, Vec<&StoredBundle>) =
        ledger.bundles.iter().partition(|b| b.entry.format == BundleFormat::V2);
    let mut report = Report { bundles: v2.len() as u64, v1: v1.len() as u64, ..Report::default() };
    report.findings.extend(chain::faults(ledger).into_iter().map(|fault| match fault {
        chain::Fault::Fork { seq, .. } => Finding::Fork { seq: seq.0 },
        chain::Fault::Break { seq, .. } => Finding::Break { seq: seq.0 },
        chain::Fault::Missing { first, last, .. } => Finding::Hole { first: first.0, last: last.0 },
    }));
    let mut chained: Vec<&StoredBundle> = v2.into_iter().filter(|b| !b.is_withdrawn()).collect();
    chained.sort_by_key(|b| (b.entry.seq, b.entry.received, b.entry.sha256));
    // The first of a chain is number 1, unless what was before has been forgotten, which leaves its entries.
    if let Some(first) = chained.first().map(|b| b.entry.seq.0).filter(|first| *first > 1) {
        report.findings.insert(0, Finding::Hole { first: 1, last: first - 1 });
    }
    report.findings.extend(chained.iter().filter_map(|b| damaged(b)));
    signatures::check(cid, &chained, kept, accounts, options, &mut report)?;
    times::check(&chained, options, &mut report.findings);
    extra(ledger, kept, &mut report.findings)?;
    Ok(report)
}

/// Finds kept bundles that are not in the record.
fn extra(ledger: &Ledger, kept: &Kept, findings: &mut Vec<Finding>) -> Result<(), InboxError> {
    let stored: std::collections::HashSet<Sha256> = ledger.bundles.iter().map(|b| b.entry.sha256).collect();
    for (sha256, path) in kept.all()? {
        if !stored.contains(&sha256) {
            let name = path.file_name().unwrap_or_default().as_encoded_bytes();
            let name = RawText::from(name).escaped();
            findings.push(Finding::NotStored { name });
        }
    }
    Ok(())
}

/// Returns what lies in a client's quarantine, and why.
///
/// # Errors
/// Where the directory cannot be read; that it is not there means that there is nothing in it.
pub fn quarantined(inbox: &Inbox) -> Result<Vec<Finding>, InboxError> {
    /// A reason is shown up to so many bytes.
    const MOST: u64 = 2000;
    let dir = inbox.quarantine_dir();
    if !dir.exists() {
        return Ok(Vec::new());
    }
    let files = Inbox::new(&dir, MOST);
    let mut found = Vec::new();
    for candidate in files.candidates()? {
        if candidate.path().extension().is_some_and(|e| e == "reason") {
            continue;
        }
        let mut note = candidate.path().as_os_str().to_owned();
        note.push(".reason");
        let reason = files.read(&files.candidate(note.into()));
        let why = reason.map_or_else(
            |_| "nobody has noted why".to_owned(),
            |text| RawText::from(text.trim_ascii()).escaped(),
        );
        found.push(Finding::Quarantined { name: candidate.name(), why });
    }
    Ok(found)
}

/// Says so of a bundle of which only the beginning is in the record.
fn damaged(bundle: &StoredBundle) -> Option<Finding> {
    let gap = damage(bundle)?;
    Some(Finding::Damaged { seq: bundle.entry.seq.0, why: RawText::from(&*gap.reason).escaped() })
}

/// Tells whether a bundle's file is still wanted: what has been forgotten has none.
fn has_file(bundle: &StoredBundle) -> bool {
    bundle.triad != TriadId::NONE
}

/// Adds a number to ranges of consecutive ones.
fn extend(ranges: &mut Vec<(u64, u64)>, seq: u64) {
    match ranges.last_mut() {
        Some((_, last)) if *last == seq || last.checked_add(1) == Some(seq) => *last = seq,
        _ => ranges.push((seq, seq)),
    }
}
