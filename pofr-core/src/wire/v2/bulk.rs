//! Bulk: how much a message may make of its bytes in memory, checked before it is read.
//!
//! A few bytes of protobuf can become hundreds in memory: an empty `learned` has two, and is a whole fact when it is read. Two
//! hundred megabytes of them are some kilobytes of zstd. So the parts of a message are counted first, by walking over them
//! once.

/// The header has room for the numbers of a hundred thousand lost bundles.
const MAX_HEADER: usize = 1 << 20;
/// A fact: an argument vector of the kernel's limit (execve(2)), with room to spare.
const MAX_FACT: usize = 8 << 20;
/// Facts that one sample adds: ten times those of a machine with 100,000 processes.
const MAX_ADDED: u64 = 10_000_000;
/// Facts of which one sample learns more.
const MAX_LEARNED: u64 = 500_000;
/// Everything else in a sample: numbers of facts that are gone.
const MAX_REST: usize = 32 << 20;

/// Checks a header's message; the error says what is too much.
pub(super) fn header(message: &[u8]) -> Result<(), String> {
    if message.len() > MAX_HEADER {
        return Err(format!("{} bytes of header", message.len()));
    }
    Ok(())
}

/// Checks a record's message. What is no message at all is left for who reads it to find.
pub(super) fn record(message: &[u8]) -> Result<(), String> {
    let (mut added, mut learned, mut rest) = (0u64, 0u64, 0usize);
    let mut fields = Fields(message);
    while let Some((tag, bytes)) = fields.take() {
        if tag != SAMPLE {
            fact(bytes)?;
            continue;
        }
        // A sample may come in several pieces, which are put together.
        let mut fields = Fields(bytes);
        while let Some((tag, bytes)) = fields.take() {
            match tag {
                ADDED => added += 1,
                LEARNED => learned += 1,
                _ => rest += bytes.len() + 1,
            }
            if matches!(tag, ADDED | LEARNED) {
                fact(bytes)?;
            }
        }
    }
    match () {
        () if added > MAX_ADDED => Err(format!("a sample that adds {added} facts")),
        () if learned > MAX_LEARNED => Err(format!("a sample that learns of {learned} facts")),
        () if rest > MAX_REST => Err(format!("a sample with {rest} bytes besides its facts")),
        () => Ok(()),
    }
}

fn fact(bytes: &[u8]) -> Result<(), String> {
    if bytes.len() > MAX_FACT {
        return Err(format!("a fact of {} bytes", bytes.len()));
    }
    Ok(())
}

/// The fields' numbers in records-v2.proto.
const SAMPLE: u64 = 1;
const LEARNED: u64 = 7;
const ADDED: u64 = 8;

/// Walks over a message's fields.
struct Fields<'a>(&'a [u8]);

impl<'a> Fields<'a> {
    /// Returns the next field's number and its bytes; for a number that is no length those of the varint. `None` at the end, or
    /// where it is not protobuf any more.
    fn take(&mut self) -> Option<(u64, &'a [u8])> {
        let key = self.varint()?;
        let length = match key & 7 {
            0 => {
                let before = self.0;
                self.varint()?;
                return Some((key >> 3, &before[..before.len() - self.0.len()]));
            }
            1 => 8,
            2 => usize::try_from(self.varint()?).ok()?,
            5 => 4,
            _ => return None,
        };
        let (bytes, rest) = self.0.split_at_checked(length)?;
        self.0 = rest;
        Some((key >> 3, bytes))
    }

    fn varint(&mut self) -> Option<u64> {
        let mut value = 0u64;
        for shift in (0..64).step_by(7) {
            let (byte, rest) = self.0.split_first()?;
            self.0 = rest;
            value |= u64::from(byte & 0x7f) << shift;
            if byte & 0x80 == 0 {
                return Some(value);
            }
        }
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::v2::message::{LearnedMessage, RecordKind, RecordMessage, SampleMessage};
    use prost::Message as _;

    fn sample(sample: SampleMessage) -> Vec<u8> {
        RecordMessage { kind: Some(RecordKind::Sample(sample)) }.encode_to_vec()
    }

    /// A sample of these bytes, which would be much larger in memory.
    fn raw(fields: &[u8]) -> Vec<u8> {
        let mut message = vec![0x0a];
        prost::encoding::encode_varint(fields.len() as u64, &mut message);
        message.extend_from_slice(fields);
        message
    }

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
            (long(0x2a, MAX_REST), "besides its facts"),
            (long(0x42, MAX_FACT + 1), "a fact of"),
        ];
        for (fields, what) in table {
            let error = record(&raw(&fields)).unwrap_err();
            assert!(error.contains(what), "{error}");
        }
        let half = raw(&[0x3a, 0].repeat(300_000));
        record(&half).unwrap();
        // In two pieces, which are one when they are read.
        record(&[&half[..], &half].concat()).unwrap_err();
        header(&vec![0; MAX_HEADER + 1]).unwrap_err();
    }

    #[test]
    fn the_numbers_are_those_that_are_written() {
        let learned = vec![LearnedMessage { id: 1, fact: None }];
        let message =
            sample(SampleMessage { learned, added: vec![vec![1, 2, 3].into()], ..Default::default() });
        let (tag, bytes) = Fields(&message).take().unwrap();
        assert_eq!(tag, SAMPLE);
        let mut fields = Fields(bytes);
        let tags: Vec<u64> = std::iter::from_fn(|| fields.take()).map(|(tag, _)| tag).collect();
        assert_eq!(tags, [LEARNED, ADDED]);
    }
}
