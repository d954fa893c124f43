//! Bulk: how much a message may make of its bytes in memory, checked before it is read.
//!
//! A few bytes of protobuf can become hundreds in memory: an empty `learned` has two, and is a whole fact when it is read. Two
//! hundred megabytes of them are some kilobytes of zstd. So the parts of a message are counted first, by walking over them
//! once. The limits are those that [`limits`] has for readers.

use super::{
    fields::{Fields, Value},
    message::sample::{ADDED, LEARNED},
};
use crate::limits;

/// Checks a header's message; the error says what is too much.
pub(super) fn header(message: &[u8]) -> Result<(), String> {
    if message.len() > limits::HEADER.readable() {
        return Err(format!("{} bytes of header", message.len()));
    }
    Ok(())
}

/// How much a sample's message holds.
#[derive(Default)]
pub(super) struct Bulk {
    pub(super) added: usize,
    pub(super) learned: usize,
}

/// Checks a sample's message.
pub(super) fn sample(message: &[u8]) -> Result<Bulk, String> {
    let (mut bulk, mut rest) = (Bulk::default(), 0);
    for field in Fields::of(message) {
        let (tag, value) = field?;
        let bytes = if let Value::Bytes(bytes) = value { bytes } else { &[] };
        match tag {
            ADDED => bulk.added += 1,
            LEARNED => bulk.learned += 1,
            _ => rest += bytes.len() + 1,
        }
        if matches!(tag, ADDED | LEARNED) {
            fact(bytes)?;
        }
    }
    match bulk {
        Bulk { added, .. } if added > limits::FACTS.readable() => {
            Err(format!("a sample that adds {added} facts"))
        }
        Bulk { learned, .. } if learned > limits::LEARNED.readable() => {
            Err(format!("a sample that learns of {learned} facts"))
        }
        _ if rest > limits::REST.readable() => Err(format!("a sample with {rest} bytes besides its facts")),
        bulk => Ok(bulk),
    }
}

/// Checks the message of anything that holds one fact at most.
pub(super) fn fact(bytes: &[u8]) -> Result<(), String> {
    if bytes.len() > limits::FACT.readable() {
        return Err(format!("a fact of {} bytes", bytes.len()));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_would_fill_the_memory_is_refused_before_it_is_read() {
        let long = |key: u8, length: usize| {
            let mut field = vec![key];
            prost::encoding::encode_varint(length as u64, &mut field);
            field.resize(field.len() + length, 0);
            field
        };
        let table = [
            ([0x3a, 0].repeat(500_001), "learns of 500001"),
            ([0x42, 0].repeat(10_000_001), "adds 10000001"),
            (long(0x2a, limits::REST.readable()), "besides its facts"),
            (long(0x42, limits::FACT.readable() + 1), "a fact of"),
        ];
        for (message, what) in table {
            let error = sample(&message).err().unwrap();
            assert!(error.contains(what), "{error}");
        }
        let bulk = sample(&[0x3a, 0, 0x42, 0].repeat(500_000)).unwrap();
        assert_eq!((bulk.added, bulk.learned), (500_000, 500_000));
        header(&vec![0; limits::HEADER.readable() + 1]).unwrap_err();
    }
}
