//! Parsing what the first POFR's clients send: bytes of snapshot text a second.

use divan::{Bencher, counter::BytesCount};
use pofr_core::wire::v1;

fn main() {
    divan::main();
}

/// A snapshot of 300 processes × 20 files, as the first POFR's client would write it.
fn snapshot() -> v1::RawSnapshot {
    let mut proc = b"1,2".to_vec();
    for pid in 100..400 {
        let head =
            format!("###{pid}###1###1000###1000###1000###1000###worker###/usr/bin/worker\0--slot={pid}\0###");
        let files: Vec<String> =
            (0..20).map(|fd| format!("/var/lib/app/data/{pid}/segment-{fd:04}.db")).collect();
        proc.extend(format!("{head}{} \n1,2", files.join(" ")).into_bytes());
    }
    proc.truncate(proc.len() - 3);
    v1::RawSnapshot { stamp: pofr_benches::stamp(0), zone: Default::default(), proc: Some(proc), net: None }
}

#[divan::bench]
fn v1_snapshot(bencher: Bencher<'_, '_>) {
    let raw = snapshot();
    let decoded = v1::decode(&raw).expect("a good snapshot");
    assert_eq!(decoded.processes.map(|p| p.len()), Some(300 * 21));
    bencher.counter(BytesCount::new(raw.proc.as_ref().map_or(0, Vec::len))).bench(|| v1::decode(&raw));
}
