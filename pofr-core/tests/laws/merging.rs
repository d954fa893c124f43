//! Merging: whatever is sliced, shuffled, late or lost, the result is that of one pass.

use pofr_core::{
    coverage::{Border, Coverage, Neighbour, PlacedSpan},
    digest::KeyDigest,
    identity::BundleSeq,
    lifetime::{Lifetime, Row, Standing},
    merge::{self, Merge, Stitcher},
    source::Source,
};
use pofr_tests::{
    oracle::{came_to, expected},
    world::{Bundle, Step, endpoint, facts, history, play},
};
use proptest::{prelude::*, sample::Index};
use std::collections::BTreeSet;

fn spans(bundles: &[Bundle]) -> Vec<PlacedSpan> {
    bundles.iter().flat_map(|b| b.spans.clone()).collect()
}

fn rows(bundles: &[Bundle]) -> Vec<Row> {
    bundles.iter().flat_map(|b| b.rows.clone()).collect()
}

fn one_go(bundles: &[Bundle]) -> Vec<Row> {
    merge::stitch(rows(bundles), &Coverage::new(&spans(bundles)))
}

/// Merges in stages, the way slices become archives and archives a period: `cuts` decide which bundles make a
/// triad, and which triads the next one.
fn in_stages(bundles: &[Bundle], stages: &[Vec<Index>]) -> Vec<Row> {
    let mut spans = spans(bundles);
    let mut groups: Vec<(Vec<i64>, Vec<Row>)> =
        bundles.iter().map(|b| (vec![b.seq.0 as i64], b.rows.clone())).collect();
    for stage in stages {
        let mut next: Vec<(Vec<i64>, Vec<Row>)> = Vec::new();
        for (i, (labels, rows)) in groups.into_iter().enumerate() {
            let slot = stage.get(i).map_or(0, |index| index.index(next.len() + 1));
            if slot == next.len() {
                next.push((Vec::new(), Vec::new()));
            }
            next[slot].0.extend(labels);
            next[slot].1.extend(rows);
        }
        for (labels, rows) in &mut next {
            let coverage = Coverage::among(&spans, |group| labels.contains(&group));
            *rows = merge::stitch(std::mem::take(rows), &coverage);
        }
        groups = next;
    }
    let labels: Vec<i64> = groups.iter().flat_map(|(l, _)| l.clone()).collect();
    assert_eq!(labels.len(), bundles.len());
    spans.reverse();
    // The last stage merges sorted inputs as the server does.
    let coverage = Coverage::new(&spans);
    let inputs = groups
        .into_iter()
        .map(|(_, mut rows)| {
            rows.sort_by_key(merge::order);
            rows.into_iter().map(Ok::<_, ()>)
        })
        .collect();
    let mut stitcher = Stitcher::new(&coverage);
    let mut out: Vec<Row> =
        Merge::new(inputs).unwrap().filter_map(|row| stitcher.push(row.unwrap())).collect();
    out.extend(stitcher.finish());
    out
}

fn stages() -> impl Strategy<Value = Vec<Vec<Index>>> {
    prop::collection::vec(prop::collection::vec(any::<Index>(), 40), 0..3)
}

fn survivors(bundles: &[Bundle], lost: &[Index]) -> (Vec<Bundle>, BTreeSet<BundleSeq>) {
    let lost: BTreeSet<BundleSeq> = lost.iter().map(|i| bundles[i.index(bundles.len())].seq).collect();
    (bundles.iter().filter(|b| !lost.contains(&b.seq)).cloned().collect(), lost)
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 400, ..ProptestConfig::default() })]

    #[test]
    fn one_go_equals_the_oracle(history in history(), lost in prop::collection::vec(any::<Index>(), 0..3)) {
        let (logs, bundles) = play(&history);
        let (there, lost) = survivors(&bundles, &lost);
        prop_assert_eq!(came_to(&one_go(&there)), expected(&logs, &lost));
    }

    #[test]
    fn any_slicing_in_any_order_equals_one_go(
        history in history(), lost in prop::collection::vec(any::<Index>(), 0..3), stages in stages(), seed in any::<u64>(),
    ) {
        let (_, bundles) = play(&history);
        let (mut there, _) = survivors(&bundles, &lost);
        let whole = one_go(&there);
        // Any order of arrival: a shuffle that depends on nothing but the seed.
        there.sort_by_key(|b| (b.seq.0 ^ seed).wrapping_mul(0x9e37_79b9_7f4a_7c15).rotate_left(17));
        prop_assert_eq!(&in_stages(&there, &stages), &whole);
        // Merging twice changes nothing.
        prop_assert_eq!(merge::stitch(whole.clone(), &Coverage::new(&spans(&there))), whole);
    }

    #[test]
    fn a_late_bundle_heals_the_merged_record(
        history in history(), late in prop::collection::vec(any::<Index>(), 1..4), stages in stages(),
    ) {
        let (logs, bundles) = play(&history);
        let (there, missing) = survivors(&bundles, &late);
        let mut merged = in_stages(&there, &stages);
        let mut known = spans(&there);
        for bundle in bundles.iter().filter(|b| missing.contains(&b.seq)) {
            merged.extend(bundle.rows.clone());
            known.extend(bundle.spans.clone());
            merged = merge::stitch(merged, &Coverage::new(&known));
        }
        prop_assert_eq!(came_to(&merged), expected(&logs, &BTreeSet::new()));
    }

    #[test]
    fn replay_is_the_snapshot(history in history(), lost in prop::collection::vec(any::<Index>(), 0..3)) {
        let (logs, bundles) = play(&history);
        let (there, lost) = survivors(&bundles, &lost);
        let merged = one_go(&there);
        for log in &logs {
            for happened in log.happened.iter().filter(|h| !lost.contains(&h.seq)) {
                let Step::Tick { processes, endpoints } = &happened.step else { continue };
                let processes = processes.as_ref().map(|p| facts(log.boot, p));
                let endpoints = endpoints.as_ref().map(|p| p.iter().copied().map(endpoint).collect::<Vec<_>>());
                for (source, facts) in [(Source::Process, processes), (Source::Endpoint, endpoints)] {
                    let Some(facts) = facts else { continue };
                    let want: BTreeSet<KeyDigest> = facts.iter().map(pofr_core::Fact::digest).collect();
                    let seen = |r: &&Row| r.run == log.run && r.fact.source() == source
                        && r.life.first_seen <= Some(happened.at) && r.life.last_seen >= Some(happened.at)
                        && r.life.first_seen.is_some();
                    let got: Vec<KeyDigest> = merged.iter().filter(seen).map(|r| r.digest).collect();
                    prop_assert_eq!(got.len(), want.len(), "no fact is there twice");
                    prop_assert_eq!(got.iter().copied().collect::<BTreeSet<_>>(), want);
                    for row in merged.iter().filter(seen) {
                        prop_assert_eq!(row.life.at(happened.at), Standing::Certain);
                    }
                }
            }
        }
    }

    #[test]
    fn bounds_are_in_order(history in history(), lost in prop::collection::vec(any::<Index>(), 0..3)) {
        let (_, bundles) = play(&history);
        let (there, _) = survivors(&bundles, &lost);
        for row in one_go(&there) {
            let l = row.life;
            for pair in [
                (l.appeared_after, l.began), (l.appeared_after, l.first_seen), (l.began, l.first_seen),
                (l.first_seen, l.last_seen), (l.last_seen, l.ended), (l.last_seen, l.gone_by), (l.began, l.ended),
            ] {
                if let (Some(a), Some(b)) = pair {
                    prop_assert!(a <= b, "{:?}", l);
                }
            }
            prop_assert_eq!(l.first_seen.is_some(), l.last_seen.is_some());
            prop_assert!(l.first_seen.is_some() || l.began.is_some() || l.ended.is_some());
            prop_assert!(l.ended.is_none() || (l.gone_by.is_none() && !l.cut_right));
        }
    }

    /// Settling each border in place, as the server does when a bundle arrives, and stitching afterwards comes to
    /// the same as stitching alone; and the rows in between already know all that their neighbours tell.
    #[test]
    fn settling_in_place_is_stitching_without_joining(history in history(), lost in prop::collection::vec(any::<Index>(), 0..3)) {
        let (_, bundles) = play(&history);
        let (there, _) = survivors(&bundles, &lost);
        let coverage = Coverage::new(&spans(&there));
        let mut settled = rows(&there);
        for span in spans(&there) {
            let Some(Neighbour::Border(border)) = coverage.after(span.run, &span.span.source, span.span.last) else { continue };
            settle_in(&mut settled, &span, &border);
        }
        let whole = one_go(&there);
        prop_assert_eq!(merge::stitch(settled.clone(), &coverage), whole.clone());
        for row in &settled {
            if let Some(gone) = row.life.gone_by {
                prop_assert!(whole.iter().any(|w| w.digest == row.digest && w.run == row.run && w.life.gone_by == Some(gone)));
            }
        }
    }
}

fn settle_in(rows: &mut [Row], span: &PlacedSpan, border: &Border) {
    let mine = |r: &Row| r.run == span.run && r.fact.source() == span.span.source;
    let pick = |rows: &[Row], at: &dyn Fn(&Lifetime) -> bool| -> Vec<usize> {
        (0..rows.len()).filter(|i| mine(&rows[*i]) && at(&rows[*i].life)).collect()
    };
    let left = pick(rows, &|l| l.ends_at(border));
    let right = pick(rows, &|l| l.begins_at(border));
    let lives = |rows: &[Row], which: &[usize]| {
        which.iter().map(|i| (rows[*i].digest, rows[*i].life)).collect::<Vec<_>>()
    };
    let settled = merge::settle(border, &lives(rows, &left), &lives(rows, &right));
    for (i, life) in left.into_iter().zip(settled.left).chain(right.into_iter().zip(settled.right)) {
        rows[i].life = life;
    }
}
