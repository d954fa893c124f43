//! Argument vectors as columns: text that reads well, and the positions that make it exact.
//!
//! ```text
//! /proc/pid/cmdline    ls\0-l\0a b\0
//! arguments            ls -l a b       each NUL a space, the last one dropped
//! argnuls              2 5 9           where the NULs are, as differences, LEB128
//! ```

/// Splits a vector into the text and the positions of its NULs.
pub(crate) fn split(vector: &[u8]) -> (Vec<u8>, Vec<u8>) {
    let mut text = vector.to_vec();
    let mut positions = Vec::new();
    let mut last = 0;
    for (i, byte) in text.iter_mut().enumerate() {
        if *byte == 0 {
            *byte = b' ';
            push_varint(&mut positions, i - last);
            last = i;
        }
    }
    if vector.last() == Some(&0) {
        text.pop();
    }
    (text, positions)
}

/// Puts a vector together again; `None` where the positions cannot be.
pub(crate) fn join(mut text: Vec<u8>, positions: &[u8]) -> Option<Vec<u8>> {
    let mut rest = positions;
    let mut at = 0usize;
    while !rest.is_empty() {
        at = at.checked_add(take_varint(&mut rest)?)?;
        let len = text.len();
        match text.get_mut(at) {
            Some(byte) => *byte = 0,
            None if at == len && rest.is_empty() => text.push(0),
            None => return None,
        }
    }
    Some(text)
}

fn push_varint(out: &mut Vec<u8>, mut n: usize) {
    while n >= 0x80 {
        out.push((n & 0x7f) as u8 | 0x80);
        n >>= 7;
    }
    out.push(n as u8);
}

fn take_varint(rest: &mut &[u8]) -> Option<usize> {
    let mut n = 0usize;
    for shift in (0..63).step_by(7) {
        let (byte, tail) = rest.split_first()?;
        *rest = tail;
        n |= usize::from(byte & 0x7f) << shift;
        if byte & 0x80 == 0 {
            return Some(n);
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn a_vector_reads_as_a_command_line() {
        let (text, nuls) = split(b"ls\0-l\0a b\0");
        assert_eq!((text.as_slice(), nuls.as_slice()), (&b"ls -l a b"[..], &[2, 3, 4][..]));
        assert_eq!(split(b""), (vec![], vec![]));
        assert_eq!(split(b"\0"), (vec![], vec![0]));
        assert_eq!(join(b"abc".to_vec(), &[9]), None);
        assert_eq!(join(b"abc".to_vec(), &[0x80]), None);
    }

    proptest! {
        #[test]
        fn every_vector_comes_back(vector in prop::collection::vec(prop_oneof![Just(0u8), Just(b' '), any::<u8>()], 0..400)) {
            let (text, nuls) = split(&vector);
            prop_assert!(!text.contains(&0));
            prop_assert_eq!(join(text, &nuls), Some(vector));
        }
    }
}
