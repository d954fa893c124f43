//! `kill -9` of `pofrc record` at random moments: at most the last second is missing, and a gap says so.
#![expect(clippy::unwrap_used, reason = "what a test cannot go on without ends it")]

use pofr_core::{
    gap::{Gap, Severity},
    record::Record,
    wire::v2::{Bundle, Limits, open},
};
use std::{
    collections::BTreeSet,
    hash::{BuildHasher as _, RandomState},
    path::Path,
    process::{Child, Command, Stdio},
    time::Duration,
};

const KILLS: usize = 20;

/// A number from 0 to `below`, different every time.
fn random(below: u64) -> u64 {
    RandomState::new().hash_one(0) % below
}

fn record(dir: &Path, session: usize, limit: &str) -> Child {
    // Long bundles are killed while they grow, short ones while one follows the other.
    let bundle = if session.is_multiple_of(2) { "45s" } else { "300ms" };
    Command::new(env!("CARGO_BIN_EXE_pofrc"))
        .args(["record", "--interval", "20ms", "--bundle", bundle, "--for", limit, "--out"])
        .arg(dir.join("out"))
        .arg("--snapshots")
        .arg(dir.join(format!("{session}.ndjson")))
        .stdout(Stdio::null())
        .stderr(Stdio::inherit())
        .spawn()
        .unwrap()
}

/// Stamps of the process snapshots that the session wrote down as it took them.
fn snapshots(dir: &Path, session: usize) -> BTreeSet<i64> {
    let text = std::fs::read(dir.join(format!("{session}.ndjson"))).unwrap_or_default();
    let lines = text.split_inclusive(|b| *b == b'\n').filter(|line| line.ends_with(b"\n"));
    let parsed = lines.map(|line| serde_json::from_slice::<serde_json::Value>(line).unwrap());
    parsed.filter(|s| s["source"] == "process").map(|s| s["stamp"].as_i64().unwrap()).collect()
}

fn bundles(dir: &Path) -> Vec<Bundle> {
    let entries = std::fs::read_dir(dir.join("out")).unwrap().map(|e| e.unwrap().path());
    let tars = entries.filter(|path| path.extension().is_some_and(|e| e == "tar"));
    let mut bundles: Vec<_> =
        tars.map(|path| open(&std::fs::read(path).unwrap(), Limits::default()).unwrap()).collect();
    bundles.sort_by_key(|bundle| bundle.manifest.seq);
    bundles
}

fn stamps_and_gaps(bundles: &[Bundle]) -> (BTreeSet<i64>, Vec<Gap>) {
    let (mut stamps, mut gaps) = (BTreeSet::new(), Vec::new());
    for record in bundles.iter().flat_map(|bundle| bundle.records().unwrap()) {
        match record.unwrap() {
            Record::Sample(sample) if sample.source.name() == "process" => {
                stamps.insert(sample.stamp.0);
            }
            Record::Gap(gap) => gaps.push(gap),
            _ => {}
        }
    }
    (stamps, gaps)
}

#[test]
fn twenty_kills_lose_a_second_each_at_most_and_every_loss_is_a_gap() {
    let dir = tempfile::tempdir().unwrap();
    for session in 0..KILLS {
        let mut child = record(dir.path(), session, "1h");
        std::thread::sleep(Duration::from_millis(random(2_500)));
        child.kill().unwrap();
        child.wait().unwrap();
    }
    assert!(record(dir.path(), KILLS, "300ms").wait().unwrap().success());

    let bundles = bundles(dir.path());
    let (kept, gaps) = stamps_and_gaps(&bundles);
    let blind: Vec<_> = gaps.iter().filter(|g| g.severity == Severity::Blind && g.source.is_none()).collect();
    let (mut taken, mut lost_ever, mut longest) = (0, 0, 0);
    for session in 0..=KILLS {
        let taken_here = snapshots(dir.path(), session);
        taken += taken_here.len();
        let Some(last) = taken_here.last() else { continue };
        // What the machine's other work takes from us between two ticks comes on top of the second.
        let pauses = taken_here.iter().zip(taken_here.iter().skip(1)).map(|(a, b)| b - a);
        let allowed = 1_000_000 + pauses.max().unwrap_or(0);
        for stamp in taken_here.difference(&kept) {
            lost_ever += 1;
            longest = longest.max(last - stamp);
            assert!(
                last - stamp <= allowed,
                "session {session}: {} µs before its end are lost",
                last - stamp
            );
            let told = |gap: &&&Gap| gap.from.0 < *stamp && gap.to.is_some_and(|to| *stamp < to.0);
            assert!(
                blind.iter().any(|gap| told(&gap)),
                "session {session}: no gap tells that {stamp} is lost"
            );
        }
        assert!(session < KILLS || taken_here.is_subset(&kept), "nothing is lost by an end in order");
    }
    assert!(kept.len() > KILLS && taken >= kept.len(), "{} of {taken} snapshots kept", kept.len());
    println!(
        "{taken} snapshots taken, {lost_ever} lost in {KILLS} kills, at most the last {longest} µs; {} bundles",
        bundles.len()
    );

    // The numbers have no holes but those that a later bundle names, and each bundle names the one before.
    let seqs: BTreeSet<u64> = bundles.iter().map(|bundle| bundle.manifest.seq).collect();
    let named: BTreeSet<u64> = bundles.iter().flat_map(|bundle| bundle.manifest.missing.clone()).collect();
    assert!(seqs.is_disjoint(&named));
    assert!((1..=*seqs.last().unwrap()).all(|seq| seqs.contains(&seq) || named.contains(&seq)));
    assert_eq!(bundles.iter().map(|b| &b.manifest.cid).collect::<BTreeSet<_>>().len(), 1);
    for two in bundles.windows(2) {
        assert!(two[1].manifest.previous.is_some() && two[0].manifest.previous != two[1].manifest.previous);
    }
    // No gap hides a sample that is there.
    for gap in &blind {
        let hidden = kept.iter().find(|s| gap.from.0 < **s && gap.to.is_some_and(|to| **s < to.0));
        assert_eq!(hidden, None, "{gap:?}");
    }
}
