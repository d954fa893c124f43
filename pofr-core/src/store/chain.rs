//! The chain of a client's bundles: each has a number and names the one before it, so what is wrong with it shows.
//!
//! ```text
//! 1 ← 2 ← 3 ← 5        4 is missing, or still on its way
//!         └ 3'         a fork: two recorders, or somebody, made a third bundle
//!             5'← 6    a break: 6 does not name the 5 that is stored
//! ```

use super::{BundleFormat, Ledger, StoredBundle};
use crate::{digest::Sha256, identity::BundleSeq, time::WallMicros};
use std::collections::BTreeMap;

/// What is wrong with a chain.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// Several bundles have one number.
    Fork {
        /// The number.
        seq: BundleSeq,
        /// When the last of them came.
        received: WallMicros,
    },
    /// A bundle does not name the one before it that is stored.
    Break {
        /// Its number.
        seq: BundleSeq,
        /// When it came.
        received: WallMicros,
    },
    /// Bundles between two that are stored have not come.
    Missing {
        /// The first number.
        first: BundleSeq,
        /// The last number.
        last: BundleSeq,
        /// When the one behind them came.
        received: WallMicros,
    },
}

/// Returns what is wrong with the chain, by number. v1 has no chain.
#[must_use]
pub fn faults(ledger: &Ledger) -> Vec<Fault> {
    let mut by_seq: BTreeMap<BundleSeq, Vec<&StoredBundle>> = BTreeMap::new();
    // A streamed one that has been withdrawn was the beginning of the whole one.
    let counts = |b: &&StoredBundle| b.entry.format == BundleFormat::V2 && !b.is_withdrawn();
    for bundle in ledger.bundles.iter().filter(counts) {
        by_seq.entry(bundle.entry.seq).or_default().push(bundle);
    }
    let mut faults = Vec::new();
    let mut before: Option<(BundleSeq, Option<Sha256>)> = None;
    for (seq, bundles) in by_seq {
        let received = bundles.iter().map(|b| b.entry.received).max().unwrap_or_default();
        if let Some((left, sha256)) = before {
            if left.0 + 1 < seq.0 {
                let (first, last) = (BundleSeq(left.0 + 1), BundleSeq(seq.0 - 1));
                faults.push(Fault::Missing { first, last, received });
            } else if let [only] = bundles.as_slice()
                && !only.entry.streamed
                && let (Some(named), Some(sha256)) = (only.entry.previous, sha256)
                && named != sha256
            {
                faults.push(Fault::Break { seq, received });
            }
        }
        if bundles.len() > 1 {
            faults.push(Fault::Fork { seq, received });
        }
        // The one behind a streamed one names the whole one, which nobody here has seen.
        let link = (bundles.len() == 1).then(|| &bundles[0].entry).filter(|entry| !entry.streamed);
        before = Some((seq, link.map(|entry| entry.sha256)));
    }
    faults
}

impl Fault {
    /// Returns when the bundle came by which it showed.
    #[must_use]
    pub const fn received(&self) -> WallMicros {
        match self {
            Self::Fork { received, .. } | Self::Break { received, .. } | Self::Missing { received, .. } => {
                *received
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        identity::{BootId, RunId},
        store::{BundleEntry, TriadId},
        time::ZoneOffset,
    };

    fn bundle(seq: u64, content: u8, previous: Option<u8>) -> StoredBundle {
        StoredBundle {
            entry: BundleEntry {
                cid: None,
                sha256: Sha256::of(&[content]),
                name: String::new(),
                format: BundleFormat::V2,
                seq: BundleSeq(seq),
                previous: previous.map(|p| Sha256::of(&[p])),
                run: RunId([content; 16]),
                boot: BootId([1; 16]),
                zone: ZoneOffset::UTC,
                first: WallMicros(0),
                last: WallMicros(0),
                interval_micros: 1,
                samples: 1,
                left_out: 0,
                complete: true,
                streamed: false,
                received: WallMicros(seq as i64),
            },
            spans: Vec::new(),
            gaps: Vec::new(),
            triad: TriadId(1),
        }
    }

    fn found(bundles: Vec<StoredBundle>) -> Vec<Fault> {
        faults(&Ledger { bundles, ..Ledger::default() })
    }

    #[test]
    fn each_fault_is_named() {
        let good = vec![bundle(1, 1, None), bundle(2, 2, Some(1)), bundle(3, 3, Some(2))];
        assert_eq!(found(good.clone()), []);
        let received = WallMicros(6);
        let missing = Fault::Missing { first: BundleSeq(4), last: BundleSeq(5), received };
        assert_eq!(found([good.clone(), vec![bundle(6, 6, Some(5))]].concat()), [missing]);
        let received = WallMicros(4);
        assert_eq!(
            found([good.clone(), vec![bundle(4, 4, Some(9))]].concat()),
            [Fault::Break { seq: BundleSeq(4), received }]
        );
        let forked = [good, vec![bundle(3, 33, Some(2)), bundle(4, 4, Some(33))]].concat();
        assert_eq!(found(forked), [Fault::Fork { seq: BundleSeq(3), received: WallMicros(3) }]);
    }

    #[test]
    fn a_streamed_bundle_stands_in_for_the_one_that_has_not_come() {
        let streamed = |mut bundle: StoredBundle| {
            (bundle.entry.complete, bundle.entry.streamed) = (false, true);
            bundle
        };
        let stand_in = streamed(bundle(2, 22, Some(1)));
        let before_and_after = [bundle(1, 1, None), bundle(3, 3, Some(2))];
        assert_eq!(found([&before_and_after[..], std::slice::from_ref(&stand_in)].concat()), []);
        let whole = [&before_and_after[..], &[bundle(2, 2, Some(1))]].concat();
        let withdrawn = StoredBundle { triad: TriadId::NONE, ..stand_in.clone() };
        assert_eq!(found([&whole[..], &[withdrawn]].concat()), []);
        // Both at once: the whole one does not begin with what was streamed.
        let fork = Fault::Fork { seq: BundleSeq(2), received: WallMicros(2) };
        assert_eq!(found([&whole[..], &[stand_in]].concat()), [fork]);
    }
}
