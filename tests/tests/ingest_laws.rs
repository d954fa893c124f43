//! The laws of the record, on a real store: whatever is sliced, shuffled, late, lost, archived and made a period, and however
//! often `pofrs` is restarted in between, the tables come to one pass over what there is.

#![expect(clippy::unwrap_used, reason = "a test that unwraps nothing fails, as it should")]

mod client;

use client::{Chore, Client};
use pofr_core::{
    coverage::Coverage, digest::KeyDigest, fact::FactKind, identity::BundleSeq, merge as stitching,
    source::Source, store::ClientReader,
};
use pofr_ingest::Inbox;
use pofr_tests::{
    oracle::{came_to, expected},
    record::everything,
    world::{Bundle, Run, RunLog, Step, endpoint, facts, history, play},
};
use proptest::{prelude::*, sample::Index};
use std::{collections::BTreeSet, fs};

/// Few rows to a page, so that there are many.
const PAGE: u32 = 7;

/// What every reader must see, whatever has been merged so far: each snapshot, exactly.
fn check_replay(reader: &mut dyn ClientReader, logs: &[RunLog], there: &BTreeSet<BundleSeq>) {
    for log in logs {
        for happened in log.happened.iter().filter(|h| there.contains(&h.seq)) {
            let Step::Tick { processes, endpoints } = &happened.step else { continue };
            let processes = processes.as_ref().map(|p| facts(log.boot, p));
            let endpoints = endpoints.as_ref().map(|p| p.iter().copied().map(endpoint).collect::<Vec<_>>());
            for (source, facts) in [(Source::Process, processes), (Source::Endpoint, endpoints)] {
                let Some(facts) = facts else { continue };
                let want: BTreeSet<KeyDigest> = facts.iter().map(pofr_core::Fact::digest).collect();
                let mut got = Vec::new();
                for kind in FactKind::TRIAD {
                    let state = reader.state_at(kind, happened.at).unwrap();
                    // Facts that events alone tell of hold between samples, and may overlap one.
                    got.extend(
                        state
                            .certain
                            .into_iter()
                            .filter(|r| {
                                r.run == log.run
                                    && r.fact.source() == source
                                    && r.life.first_seen.is_some()
                                    && r.life.first_seen <= Some(happened.at)
                                    && r.life.last_seen >= Some(happened.at)
                            })
                            .map(|r| r.digest),
                    );
                }
                assert_eq!(got.len(), want.len(), "no fact is there twice at {}", happened.at);
                assert_eq!(got.into_iter().collect::<BTreeSet<_>>(), want, "at {}", happened.at);
            }
        }
    }
}

fn chores() -> impl Strategy<Value = Vec<(Index, Option<Chore>, bool)>> {
    let chore = prop_oneof![3 => Just(None), 1 => Just(Some(Chore::Archive)), 2 => Just(Some(Chore::Archives)), 1 => Just(Some(Chore::Period))];
    prop::collection::vec((any::<Index>(), chore, any::<bool>()), 1..5)
}

/// What happens to a record: what was recorded, which bundles never arrive, what is done in between, and the dice for the order
/// of arrival, if it is not the bundles' own.
type Course = (Vec<Run>, Vec<Index>, Vec<(Index, Option<Chore>, bool)>, Option<u64>);

fn course() -> impl Strategy<Value = Course> {
    (history(), prop::collection::vec(any::<Index>(), 0..3), chores(), any::<Option<u64>>())
}

fn the_tables_come_to_one_pass(client: &Client, (history, lost, chores, seed): &Course) {
    let (logs, bundles) = play(history);
    let lost: BTreeSet<BundleSeq> = lost.iter().map(|i| bundles[i.index(bundles.len())].seq).collect();
    let mut waiting: Vec<&Bundle> =
        bundles.iter().filter(|b| !lost.contains(&b.seq) && !b.spans.is_empty()).collect();
    if seed.is_some() {
        waiting.sort_by_key(|b| {
            (b.seq.0 ^ seed.unwrap_or_default()).wrapping_mul(0x9e37_79b9_7f4a_7c15).rotate_left(17)
        });
    }
    // A bundle without a single sample is refused: for the record it is lost.
    let without_samples = bundles.iter().filter(|b| b.spans.is_empty()).map(|b| b.seq);
    let lost: BTreeSet<BundleSeq> = lost.iter().copied().chain(without_samples).collect();
    let dir = tempfile::tempdir().unwrap();
    let inbox_dir = dir.path().join("inbox");
    fs::create_dir(&inbox_dir).unwrap();
    let inbox = Inbox::new(&inbox_dir, 1 << 20);
    let mut there = BTreeSet::new();
    let total = waiting.len() as u64;
    let mut stored = 0;
    let mut arrive = |bundles: Vec<&Bundle>, workers: usize, there: &mut BTreeSet<BundleSeq>| {
        for bundle in bundles {
            fs::write(inbox_dir.join(&bundle.name), &bundle.tar).unwrap();
            there.insert(bundle.seq);
        }
        let report = client.take(&inbox, workers);
        assert!(report.quarantined.is_empty(), "{:?}", report.quarantined);
        stored += report.stored;
    };
    for (how_many, then, parallel) in chores {
        let n = how_many.index(waiting.len() + 1);
        arrive(waiting.drain(..n).collect(), if *parallel { 3 } else { 1 }, &mut there);
        then.iter().for_each(|chore| client.chore(*chore));
        check_replay(client.read().as_mut(), &logs, &there);
    }
    arrive(std::mem::take(&mut waiting), 1, &mut there);
    assert_eq!(stored, total, "each bundle is stored once");

    // Stitching what is there, in whatever triads, gives one pass …
    let (ledger, rows) = everything(client.read().as_mut(), PAGE);
    let coverage = Coverage::new(&ledger.spans());
    assert_eq!(came_to(&stitching::stitch(rows, &coverage)), expected(&logs, &lost));
    check_replay(client.read().as_mut(), &logs, &there);

    // … and once everything is one period, so do the tables themselves.
    client.chore(Chore::Archive);
    client.chore(Chore::Period);
    let (ledger, rows) = everything(client.read().as_mut(), PAGE);
    assert!(ledger.live().count() <= 1);
    assert_eq!(came_to(&rows), expected(&logs, &lost));
    check_replay(client.read().as_mut(), &logs, &there);

    // Doing it all again changes nothing.
    let again = client.take(&inbox, 2);
    assert_eq!((again.stored, again.rows), (0, 0));
    client.chore(Chore::Period);
    let (_, same) = everything(client.read().as_mut(), PAGE);
    assert_eq!(same, rows);
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 40, ..ProptestConfig::default() })]

    #[test]
    fn on_sqlite(course in course()) {
        client::on_sqlite(|client| the_tables_come_to_one_pass(client, &course));
    }
}

#[cfg(feature = "mariadb")]
proptest! {
    // Each case makes and drops hundreds of tables, which a real server takes its time for.
    #![proptest_config(ProptestConfig { cases: 8, max_shrink_iters: 50, ..ProptestConfig::default() })]

    #[test]
    fn on_mariadb(course in course()) {
        client::on_mariadb(|client| the_tables_come_to_one_pass(client, &course));
    }
}
