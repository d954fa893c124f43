//! Digests: how a fact's key becomes the 40 hex digits of `shanorm`, `shafull` and `shasum`.
//!
//! The encoding (docs/format/digests.md) is a tag naming the kind and version, then each key column in
//! order: integers as `i` + 8 bytes big-endian, bytes as `b` + length (8 bytes big-endian) + bytes,
//! an unknown as `n`. No two different keys share an encoding, since every part says its length.

use serde::{Serialize, Serializer};
use sha2::{Digest as _, Sha256 as Hasher};
use std::{fmt, hash::Hash};

/// Returns lower-case hex digits of `bytes`.
#[must_use]
pub fn hex(bytes: &[u8]) -> String {
    const DIGITS: &[u8; 16] = b"0123456789abcdef";
    let mut text = String::with_capacity(2 * bytes.len());
    for b in bytes {
        text.push(char::from(DIGITS[usize::from(b >> 4)]));
        text.push(char::from(DIGITS[usize::from(b & 15)]));
    }
    text
}

/// Reads exactly `N` bytes of lower- or upper-case hex.
#[must_use]
pub fn unhex<const N: usize>(text: &str) -> Option<[u8; N]> {
    let (pairs, rest) = text.as_bytes().as_chunks::<2>();
    if pairs.len() != N || !rest.is_empty() {
        return None;
    }
    let mut out = [0; N];
    for (byte, [high, low]) in out.iter_mut().zip(pairs) {
        *byte = nibble(*high)? << 4 | nibble(*low)?;
    }
    Some(out)
}

const fn nibble(digit: u8) -> Option<u8> {
    match digit {
        b'0'..=b'9' => Some(digit - b'0'),
        b'a'..=b'f' => Some(digit - b'a' + 10),
        b'A'..=b'F' => Some(digit - b'A' + 10),
        _ => None,
    }
}

macro_rules! hex_newtype {
    ($(#[$doc:meta])* $name:ident, $len:literal) => {
        $(#[$doc])*
        #[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
        pub struct $name(pub [u8; $len]);

        impl $name {
            /// Reads the hex form.
            #[must_use]
            pub fn parse(text: &str) -> Option<Self> {
                $crate::digest::unhex(text).map(Self)
            }
        }
        impl std::fmt::Display for $name {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str(&$crate::digest::hex(&self.0))
            }
        }
        impl std::fmt::Debug for $name {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str(&$crate::digest::hex(&self.0))
            }
        }
        impl serde::Serialize for $name {
            fn serialize<S: serde::Serializer>(&self, s: S) -> Result<S::Ok, S::Error> {
                s.collect_str(self)
            }
        }
    };
}
pub(crate) use hex_newtype;

hex_newtype! {
    /// A SHA-256 of a file, FIPS 180-4.
    Sha256, 32
}

impl Sha256 {
    /// Hashes `bytes`.
    #[must_use]
    pub fn of(bytes: &[u8]) -> Self {
        Self(Hasher::digest(bytes).into())
    }
}

/// A [`Sha256`] of bytes that come in pieces.
#[derive(Clone, Debug, Default)]
pub struct Hashing(Hasher);

impl Hashing {
    /// Adds the next bytes.
    pub fn add(&mut self, bytes: &[u8]) {
        self.0.update(bytes);
    }

    /// Returns the digest of all of them.
    #[must_use]
    pub fn finish(self) -> Sha256 {
        Sha256(self.0.finalize().into())
    }
}

/// The first 20 bytes of SHA-256 over a fact's encoded key.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct KeyDigest(pub [u8; 20]);

impl Hash for KeyDigest {
    /// Hashes its first 8 bytes, which are as good as random already: nobody finds many digests that begin alike. (Where a client
    /// says what the digest is, as of a process's tag, all of it is hashed: see [`crate::identity::Entity`].)
    fn hash<H: std::hash::Hasher>(&self, state: &mut H) {
        let [a, b, c, d, e, f, g, h, ..] = self.0;
        state.write_u64(u64::from_ne_bytes([a, b, c, d, e, f, g, h]));
    }
}

impl KeyDigest {
    /// Reads 40 hex digits.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        unhex(text).map(Self)
    }
}
impl fmt::Display for KeyDigest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&hex(&self.0))
    }
}
impl fmt::Debug for KeyDigest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&hex(&self.0))
    }
}
impl Serialize for KeyDigest {
    fn serialize<S: Serializer>(&self, s: S) -> Result<S::Ok, S::Error> {
        s.collect_str(self)
    }
}

/// Encodes key columns, one after the other, into a digest.
pub struct KeyEncoder(Vec<u8>);

impl KeyEncoder {
    /// Begins an encoding named `tag`, for instance `pofr/process/2`.
    #[must_use]
    pub fn new(tag: &str) -> Self {
        // Hashing one buffer is faster than many pieces; most keys fit this.
        Self(Vec::with_capacity(256)).bytes(tag.as_bytes())
    }

    /// Adds a whole number.
    #[must_use]
    pub fn int(mut self, value: impl Into<i128>) -> Self {
        self.0.push(b'i');
        // Every key column fits 64 bits, signed or not; truncation keeps those apart by their low bits.
        self.0.extend((value.into() as u64).to_be_bytes());
        self
    }

    /// Adds bytes.
    #[must_use]
    pub fn bytes(mut self, value: &[u8]) -> Self {
        self.0.push(b'b');
        self.0.extend((value.len() as u64).to_be_bytes());
        self.0.extend_from_slice(value);
        self
    }

    /// Adds `present(value)`, or the mark of an unknown.
    #[must_use]
    pub fn option<T>(mut self, value: Option<T>, present: impl FnOnce(Self, T) -> Self) -> Self {
        match value {
            Some(value) => present(self, value),
            None => {
                self.0.push(b'n');
                self
            }
        }
    }

    /// Ends the beginning that many keys share. What follows it in all of them is a whole number.
    #[must_use]
    pub fn shared(mut self) -> KeyPrefix {
        self.0.push(b'i');
        KeyPrefix(Hasher::new_with_prefix(&self.0))
    }

    /// Returns the digest.
    #[must_use]
    pub fn finish(self) -> KeyDigest {
        shortened(Hasher::new_with_prefix(&self.0))
    }
}

/// The beginning of many keys, up to the mark of a whole number, hashed once for all of them.
#[derive(Clone, Debug)]
pub struct KeyPrefix(Hasher);

impl KeyPrefix {
    /// Returns the digest of a key that goes on with this number, and with what `rest` adds.
    #[must_use]
    pub fn digest(&self, number: u32, rest: impl FnOnce(KeyEncoder) -> KeyEncoder) -> KeyDigest {
        let mut key = Vec::with_capacity(256);
        key.extend(u64::from(number).to_be_bytes());
        let KeyEncoder(key) = rest(KeyEncoder(key));
        shortened(self.0.clone().chain_update(key))
    }
}

fn shortened(hasher: Hasher) -> KeyDigest {
    let full: [u8; 32] = hasher.finalize().into();
    let mut short = [0; 20];
    short.copy_from_slice(&full[..20]);
    KeyDigest(short)
}
