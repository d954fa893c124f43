//! What must hold of the v1 reader whatever the bytes: the body of the fuzz targets, and run by pofr-core's
//! own tests on mutated and random input, so that it is exercised where there is no fuzzer.

use pofr_core::{
    fact::{ByKey, Fact},
    wire::v1::{Caps, Holders, NetHalf, ProcHalf, decode, pair, read_tar},
};
use std::collections::HashSet;

/// Reads `data` as a proc half.
pub(crate) fn proc(data: &[u8]) {
    let Ok(half) = ProcHalf::parse(data) else { return };
    let records = half.processes.len() as u64 + half.pid_only;
    let lines = data.iter().filter(|b| **b == b'\n').count() as u64;
    assert!(records <= lines, "{records} records in {lines} lines");
    assert!(half.undecidable <= half.processes.len() as u64);
    let mut bytes = 0;
    for seen in &half.processes {
        let key = &seen.process.key;
        assert!(!half.recorder.is(key.entity.pid()), "the recorder records itself");
        bytes += key.comm.as_bytes().len() + key.arguments.as_ref().map_or(0, |a| a.as_bytes().len());
        bytes += seen.files.iter().map(|f| f.key.path.as_bytes().len()).sum::<usize>();
        let distinct: HashSet<_> = seen.files.iter().map(|f| &f.key).collect();
        assert_eq!(distinct.len(), seen.files.len(), "two files of a process are one fact");
        for file in &seen.files {
            assert_eq!(file.key.entity, key.entity);
            assert!(!file.key.path.as_bytes().iter().any(|b| b" \n".contains(b)));
        }
    }
    assert!(bytes <= data.len(), "more bytes come out than went in");
    let _ = Holders::of_half(&half);
}

/// Reads `data` as a net half.
pub(crate) fn net(data: &[u8]) {
    let Ok(half) = NetHalf::parse(data) else { return };
    let lines = data.iter().filter(|b| **b == b'\n').count();
    assert!(half.sockets.len() <= lines);
    let facts = half.facts(&Holders::default());
    assert!(facts.len() <= half.sockets.len());
    let lines: HashSet<_> = half.sockets.iter().collect();
    assert_eq!(facts.len(), lines.len(), "a line is lost");
    assert!(facts.iter().all(|fact| matches!(fact, Fact::Endpoint(_))));
}

/// Reads `data` as a tar, and all that is in it, under caps small enough for a fuzzer's memory.
pub(crate) fn tar(data: &[u8]) {
    let caps =
        Caps { text_bytes: 1 << 20, total_text_bytes: 4 << 20, ratio_from_bytes: 1 << 16, ..Caps::default() };
    let Ok(halves) = read_tar(data, &caps) else { return };
    let total: usize = halves.iter().map(|half| half.text.len()).sum();
    assert!(total <= caps.total_text_bytes);
    let count = halves.len();
    let paired = pair(halves);
    assert!(paired.snapshots.len() <= count);
    assert!(paired.snapshots.is_sorted_by(|a, b| a.stamp < b.stamp));
    for raw in &paired.snapshots {
        let Ok(decoded) = decode(raw) else { continue };
        assert_eq!(decoded.processes.is_some(), raw.proc.is_some());
        assert_eq!(decoded.endpoints.is_some(), raw.net.is_some());
        let keys: HashSet<_> = decoded.endpoints.iter().flatten().cloned().map(ByKey).collect();
        assert!(keys.len() <= decoded.endpoints.iter().flatten().count());
    }
}
