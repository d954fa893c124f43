//! What must hold of the v2 reader whatever the bytes: the body of the fuzz targets, and run by pofr-core's own tests on mutated
//! and random input, so that it is exercised where there is no fuzzer.

use pofr_core::{
    lifetime::Tracker,
    wire::v2::{Decoder, Encoder, Limits, Salvaged, open, salvage_within},
};

/// More than a fuzzer's memory should hold.
const LIMIT: u64 = 4 << 20;

/// Reads `data` as a bundle's tar.
pub(crate) fn bundle(data: &[u8]) {
    let Ok(bundle) = open(data, Limits { tar: LIMIT, records: LIMIT }) else { return };
    assert!(bundle.manifest.agrees_with(&bundle.header).is_ok());
    if let Ok(records) = bundle.records() {
        records.for_each(drop);
    }
}

/// Reads `data` as the messages of a stream, before compression.
pub(crate) fn messages(data: &[u8]) {
    let Ok(frame) = zstd::bulk::compress(data, 1) else { return };
    let Salvaged { good: kept, header: salvaged, last, .. } = salvage_within(&frame, LIMIT);
    let Ok(decoder) = Decoder::new(&frame, LIMIT) else {
        assert!(salvaged.is_none(), "what is salvaged can be read");
        return;
    };
    let header = decoder.header().clone();
    let mut again = Encoder::new(&header);
    let mut tracker = Some(Tracker::new(header.run, header.zone));
    let mut records = Vec::new();
    let mut whole = true;
    for record in decoder {
        let Ok(record) = record else {
            whole = false;
            break;
        };
        again.push(&record);
        // A stream that makes no sense is refused, and nothing after it is asked.
        tracker = tracker.take_if(|tracker| tracker.apply(record.clone()).is_ok());
        records.push(record);
    }
    // A frame is good if everything in it is.
    assert_eq!((kept, salvaged.is_some()), (if whole { frame.len() } else { 0 }, whole));
    assert!(last.is_none() || !records.is_empty());
    let written = again.flush().expect("memory compresses");
    let read: Vec<_> = Decoder::new(&written, u64::MAX)
        .expect("what was read can be written")
        .map(|record| record.expect("what was written can be read"))
        .collect();
    assert_eq!(read, records, "a record changes when it is written anew");
    let Some(tracker) = tracker else { return };
    let tracked = tracker.finish();
    for row in &tracked.rows {
        let life = &row.life;
        assert_eq!(life.first_seen.is_some(), life.last_seen.is_some());
        assert!(life.first_seen <= life.last_seen || life.first_seen.is_none());
        assert!(life.first_seen.is_some() || life.began.is_some() || life.ended.is_some());
        assert_eq!(row.digest, row.fact.digest());
    }
    for span in &tracked.spans {
        assert!(span.first <= span.last);
    }
}
