//! Times: what bundles say of theirs, against the order of the chain and the server's clock.

use super::{Finding, Options};
use pofr_core::store::StoredBundle;

/// Checks bundles in the order of the chain.
pub(super) fn check(chained: &[&StoredBundle], options: &Options, findings: &mut Vec<Finding>) {
    // The latest stamp so far.
    let mut latest: Option<i64> = None;
    for bundle in chained {
        let entry = &bundle.entry;
        let seq = entry.seq.0;
        let ahead = entry.last.since(entry.received);
        if ahead > options.ahead {
            findings.push(Finding::Ahead { seq, by: ahead });
        }
        if let Some(before) = latest
            && before.saturating_sub(entry.first.0) > options.back
        {
            findings.push(Finding::Backdated { seq, by: before - entry.first.0 });
        }
        latest = latest.max(Some(entry.last.0));
    }
    late(chained, findings);
}

/// Finds bundles that came after one that is behind them in the chain: a client sends in order.
fn late(chained: &[&StoredBundle], findings: &mut Vec<Finding>) {
    /// What is taken in side by side differs by less, µs.
    const TOGETHER: i64 = 60_000_000;
    let mut first: Option<(i64, u64)> = None;
    let mut found = Vec::new();
    for bundle in chained.iter().rev() {
        let (seq, received) = (bundle.entry.seq.0, bundle.entry.received.0);
        if let Some((earliest, after)) = first
            && received.saturating_sub(earliest) > TOGETHER
            && after != seq
        {
            found.push(Finding::Late { seq, after, by: received - earliest });
        }
        if first.is_none_or(|(earliest, _)| received < earliest) {
            first = Some((received, seq));
        }
    }
    findings.extend(found.into_iter().rev());
}
