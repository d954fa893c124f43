//! How questions and answers lie in an area: words, and bytes behind a word that says how many.

use std::sync::atomic::{AtomicU64, Ordering};

/// Writes from the start of a piece of an area.
#[derive(Debug)]
pub(super) struct Writer<'a> {
    words: &'a [AtomicU64],
    at: usize,
}

impl<'a> Writer<'a> {
    pub(super) const fn new(words: &'a [AtomicU64]) -> Self {
        Self { words, at: 0 }
    }

    /// Returns for how many words there is room.
    pub(super) const fn room(&self) -> usize {
        self.words.len() - self.at
    }

    /// Writes a word; beyond the end nothing.
    pub(super) fn put(&mut self, value: u64) {
        if let Some(word) = self.words.get(self.at) {
            word.store(value, Ordering::Relaxed);
            self.at += 1;
        }
    }

    /// Writes bytes and how many they are.
    pub(super) fn put_bytes(&mut self, bytes: &[u8]) {
        self.put(bytes.len() as u64);
        for chunk in bytes.chunks(8) {
            let mut word = [0; 8];
            word[..chunk.len()].copy_from_slice(chunk);
            self.put(u64::from_ne_bytes(word));
        }
    }
}

/// Reads what a [`Writer`] wrote. Where there is no more, words are 0 and bytes none.
#[derive(Debug)]
pub(super) struct Reader<'a> {
    words: &'a [AtomicU64],
    at: usize,
}

impl<'a> Reader<'a> {
    pub(super) const fn new(words: &'a [AtomicU64]) -> Self {
        Self { words, at: 0 }
    }

    pub(super) fn take(&mut self) -> u64 {
        let word = self.words.get(self.at).map_or(0, |word| word.load(Ordering::Relaxed));
        self.at += 1;
        word
    }

    /// Reads a number of 32 bits.
    pub(super) fn take_u32(&mut self) -> u32 {
        u32::try_from(self.take()).unwrap_or(0)
    }

    /// Reads bytes into the beginning of `out`; returns how many. It allocates nothing.
    pub(super) fn take_bytes(&mut self, out: &mut [u8]) -> usize {
        let length = self.length().min(out.len());
        for chunk in out[..length].chunks_mut(8) {
            let word = self.take().to_ne_bytes();
            chunk.copy_from_slice(&word[..chunk.len()]);
        }
        length
    }

    /// Reads bytes.
    pub(super) fn bytes(&mut self) -> Vec<u8> {
        let mut out = vec![0; self.length()];
        for chunk in out.chunks_mut(8) {
            let word = self.take().to_ne_bytes();
            chunk.copy_from_slice(&word[..chunk.len()]);
        }
        out
    }

    fn length(&mut self) -> usize {
        let said = usize::try_from(self.take()).unwrap_or(usize::MAX);
        said.min(self.words.len().saturating_sub(self.at) * 8)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_written_is_read_and_beyond_the_end_is_nothing() {
        let words: Vec<AtomicU64> = (0..8).map(|_| AtomicU64::default()).collect();
        let mut writer = Writer::new(&words);
        writer.put(7);
        writer.put_bytes(b"nine byte");
        writer.put_bytes(b"");
        assert_eq!(writer.room(), 3);
        let mut reader = Reader::new(&words);
        assert_eq!((reader.take(), reader.bytes(), reader.bytes()), (7, b"nine byte".to_vec(), Vec::new()));
        let mut reader = Reader::new(&words[..2]);
        reader.take();
        assert_eq!((reader.bytes(), reader.take()), (Vec::new(), 0));
    }
}
