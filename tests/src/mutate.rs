//! Hostile bytes, made of good ones: what a parser is given where no fuzzer is to be had.
//!
//! The same seed makes the same bytes, so that what is found can be found again.

use crate::dice::Dice;

/// What stands for an end, a length, a sign or a character that is none.
const ODD: [&[u8]; 24] = [
    b"\0",
    b"\n",
    b" ",
    b"\t",
    b"\xff",
    b"\xff\xff\xff\xff",
    b"\x80",
    b"\0\0\0\0",
    b"(",
    b")",
    b"/",
    b":",
    b"'",
    b"\"",
    b"\\",
    b";",
    b"-1",
    b"4294967295",
    b"18446744073709551616",
    b"9999999999999999999999",
    b"\x1b[2J",
    b"\xc3",
    b"\xe2\x80\xae",
    b"..",
];

/// Makes hostile bytes.
#[derive(Debug)]
pub struct Mutator {
    dice: Dice,
    corpus: Vec<Vec<u8>>,
    most: usize,
}

impl Mutator {
    /// Begins with good bytes, at least one piece; nothing that it makes is longer than `most`.
    #[must_use]
    pub fn new(seed: u64, corpus: Vec<Vec<u8>>, most: usize) -> Self {
        let corpus = if corpus.is_empty() { vec![Vec::new()] } else { corpus };
        Self { dice: Dice::new(seed), corpus, most }
    }

    fn below(&mut self, below: usize) -> usize {
        usize::try_from(self.dice.roll(below as u64)).unwrap_or(0)
    }

    /// Returns the next bytes: one piece of the corpus with some changes, or noise.
    pub fn next_bytes(&mut self) -> Vec<u8> {
        let which = self.below(self.corpus.len());
        let mut bytes = self.corpus[which].clone();
        for _ in 0..=self.below(6) {
            self.change(&mut bytes);
        }
        bytes.truncate(self.most);
        bytes
    }

    fn change(&mut self, bytes: &mut Vec<u8>) {
        let at = self.below(bytes.len() + 1);
        let to = (at + self.below(64)).min(bytes.len());
        match self.below(9) {
            0 if at < bytes.len() => bytes[at] = self.dice.roll(256).to_le_bytes()[0],
            1 if at < bytes.len() => bytes[at] ^= 1 << self.below(8),
            2 => drop(bytes.drain(at..to)),
            3 => bytes.truncate(at),
            4 => {
                let piece = bytes[at..to].to_vec();
                let there = self.below(bytes.len() + 1);
                bytes.splice(there..there, piece);
            }
            5 => {
                let odd = ODD[self.below(ODD.len())];
                bytes.splice(at..at, odd.iter().copied());
            }
            6 => {
                let odd = ODD[self.below(ODD.len())];
                let end = (at + odd.len()).min(bytes.len());
                bytes.splice(at..end, odd.iter().copied());
            }
            7 => {
                let which = self.below(self.corpus.len());
                let from = self.below(self.corpus[which].len() + 1);
                bytes.truncate(at);
                bytes.extend_from_slice(&self.corpus[which][from..]);
            }
            _ => {
                let length = self.below(40);
                let noise: Vec<u8> = (0..length).map(|_| self.dice.roll(256).to_le_bytes()[0]).collect();
                bytes.splice(at..at, noise);
            }
        }
    }
}

/// Runs a check on good bytes and on so many hostile ones made of them.
pub fn attack(seed: u64, corpus: &[Vec<u8>], runs: u64, check: fn(&[u8])) {
    corpus.iter().for_each(|bytes| check(bytes));
    let mut mutator = Mutator::new(seed, corpus.to_vec(), 1 << 20);
    (0..runs).for_each(|_| check(&mutator.next_bytes()));
}
