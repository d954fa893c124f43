//! The name of a bundle: `<epoch µs, 16 digits>#<±hhmm>#<sha256, 64 hex>.tar`, in every format the same.
//!
//! A name is only a name: it tells what the client says of the bundle. Whether the bytes are the ones that
//! it names is for [`BundleName::names`] to say, and what is stored is the ledger's to know.

use crate::{
    digest::Sha256,
    raw::RawText,
    time::{WallMicros, ZoneOffset},
};
use std::{fmt, str::FromStr};

/// How many digits a stamp has in a name: enough for µs up to the year 2286.
const STAMP_DIGITS: usize = 16;

/// Why a name is none of a bundle.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum BundleNameError {
    /// It does not end in `.tar`.
    #[error("bundle name {name}: does not end in .tar")]
    Suffix {
        /// The name.
        name: RawText,
    },
    /// It is not three parts with `#` between them.
    #[error("bundle name {name}: {found} parts between #, not 3")]
    Parts {
        /// The name.
        name: RawText,
        /// How many it has.
        found: usize,
    },
    /// The first part is not a stamp.
    #[error("bundle name {name}: the stamp is not 16 decimal digits")]
    Stamp {
        /// The name.
        name: RawText,
    },
    /// The second part is not a zone.
    #[error("bundle name {name}: the zone is not ±hhmm")]
    Zone {
        /// The name.
        name: RawText,
    },
    /// The third part is not a digest.
    #[error("bundle name {name}: the sha256 is not 64 lower-case hex digits")]
    Digest {
        /// The name.
        name: RawText,
    },
}

/// A bundle's name, taken apart. Printing it gives the name back byte for byte.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct BundleName {
    /// When the client made the bundle: later than what it holds (v1). 0 to 10¹⁶ − 1.
    pub stamp: WallMicros,
    /// The client's zone at that time.
    pub zone: ZoneOffset,
    /// The SHA-256 of the whole tar.
    pub sha256: Sha256,
}

impl BundleName {
    /// Tells whether `tar` has the SHA-256 that this name says.
    #[must_use]
    pub fn names(&self, tar: &[u8]) -> bool {
        Sha256::of(tar) == self.sha256
    }
}

impl FromStr for BundleName {
    type Err = BundleNameError;

    fn from_str(text: &str) -> Result<Self, BundleNameError> {
        let name = || RawText::from(text);
        let stem = text.strip_suffix(".tar").ok_or_else(|| BundleNameError::Suffix { name: name() })?;
        let parts: Vec<&str> = stem.split('#').collect();
        let [stamp, zone, sha256] = parts[..] else {
            return Err(BundleNameError::Parts { name: name(), found: parts.len() });
        };
        Ok(Self {
            stamp: parse_stamp(stamp).ok_or_else(|| BundleNameError::Stamp { name: name() })?,
            zone: parse_zone(zone).ok_or_else(|| BundleNameError::Zone { name: name() })?,
            sha256: Sha256::parse(sha256)
                .filter(|_| !sha256.bytes().any(|b| b.is_ascii_uppercase()))
                .ok_or_else(|| BundleNameError::Digest { name: name() })?,
        })
    }
}

impl fmt::Display for BundleName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:0STAMP_DIGITS$}#{}#{}.tar", self.stamp.0, self.zone, self.sha256)
    }
}

/// Reads a stamp as names carry it: exactly 16 decimal digits.
pub(crate) fn parse_stamp(text: &str) -> Option<WallMicros> {
    let good = text.len() == STAMP_DIGITS && text.bytes().all(|b| b.is_ascii_digit());
    good.then(|| text.parse().ok().map(WallMicros))?
}

/// Reads a zone as strftime(3) writes it, which never says `-0000`: a name has one spelling only.
pub(crate) fn parse_zone(text: &str) -> Option<ZoneOffset> {
    ZoneOffset::parse(text).filter(|_| text != "-0000")
}

#[cfg(test)]
mod tests {
    use super::*;

    const NAME: &str =
        "1795412776422153#+0000#f60ecc9a9699deb212d7752295c69b83541218533dde408c46e9bb75c7455349.tar";

    #[test]
    fn a_real_name_and_back() {
        let name: BundleName = NAME.parse().unwrap();
        assert_eq!(name.stamp, WallMicros(1_795_412_776_422_153));
        assert_eq!(name.zone, ZoneOffset::UTC);
        assert_eq!(name.to_string(), NAME);
        assert!(!name.names(b"another tar"));
    }

    #[test]
    fn an_early_stamp_keeps_its_zeros() {
        let text = NAME.replacen("1795412776422153#+0000", "0000000000000007#-0330", 1);
        let name: BundleName = text.parse().unwrap();
        assert_eq!((name.stamp, name.zone.minutes()), (WallMicros(7), -210));
        assert_eq!(name.to_string(), text);
    }

    #[test]
    fn each_bad_name_says_what_is_wrong() {
        let table = [
            (NAME.replace(".tar", ".tgz"), "does not end in .tar"),
            (NAME.replacen("#+0000", "", 1), "2 parts"),
            (format!("x#{NAME}"), "4 parts"),
            (NAME.replacen('1', "", 1), "stamp"),
            (NAME.replacen('1', "+", 1), "stamp"),
            (NAME.replacen('1', "\u{661}", 1), "stamp"),
            (NAME.replace("+0000", "+0060"), "zone"),
            (NAME.replace("+0000", "-0000"), "zone"),
            (NAME.replace("f60e", "F60E"), "sha256"),
            (NAME.replace("f60e", "f60"), "sha256"),
            (format!("../{NAME}"), "stamp"),
            (NAME.replace('#', "\x1b"), "\\x1b"),
        ];
        for (text, what) in table {
            let message = text.parse::<BundleName>().unwrap_err().to_string();
            assert!(message.contains(what), "{text}: {message}");
        }
    }
}
