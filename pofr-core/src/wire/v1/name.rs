//! The names of a v1 tar's members: `<epoch µs, 16 digits>#<±hhmm>.proc.gz` or `.net.gz`.

use crate::{
    raw::RawText,
    time::{WallMicros, ZoneOffset},
    wire::name::{parse_stamp, parse_zone},
};
use std::fmt;

/// Which half of a snapshot.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Which {
    /// The processes with their open files.
    Proc,
    /// The network tables.
    Net,
}

impl Which {
    /// Returns `proc` or `net`.
    #[must_use]
    pub const fn text(self) -> &'static str {
        match self {
            Self::Proc => "proc",
            Self::Net => "net",
        }
    }
}

impl fmt::Display for Which {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.text())
    }
}

/// Why a name is none of half a snapshot.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("member name {name}: {problem}")]
pub struct HalfNameError {
    /// The name.
    pub name: RawText,
    /// What is wrong with it.
    pub problem: &'static str,
}

/// A member's name, taken apart.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct HalfName {
    /// The time taken before reading started.
    pub stamp: WallMicros,
    /// The client's zone.
    pub zone: ZoneOffset,
    /// Which half.
    pub which: Which,
}

impl HalfName {
    /// Reads a member's path, for instance `/dev/shm/1795412711319353#+0000.proc.gz`.
    ///
    /// The client's spool `/dev/shm` may stand before the name, with or without its first slash (which other
    /// tar programs drop); no other directory may.
    ///
    /// # Errors
    /// Where it is anything else.
    pub fn parse(path: &[u8]) -> Result<Self, HalfNameError> {
        let fail = |problem| HalfNameError { name: path.into(), problem };
        let base = strip_spool(path);
        if base.contains(&b'/') {
            return Err(fail("lies in another directory than /dev/shm"));
        }
        let text = std::str::from_utf8(base).map_err(|_| fail("is not ASCII"))?;
        let (stem, which) = match (text.strip_suffix(".proc.gz"), text.strip_suffix(".net.gz")) {
            (Some(stem), _) => (stem, Which::Proc),
            (_, Some(stem)) => (stem, Which::Net),
            _ => return Err(fail("does not end in .proc.gz or .net.gz")),
        };
        let (stamp, zone) = stem.split_once('#').ok_or_else(|| fail("has no # after the stamp"))?;
        Ok(Self {
            stamp: parse_stamp(stamp).ok_or_else(|| fail("the stamp is not 16 decimal digits"))?,
            zone: parse_zone(zone).ok_or_else(|| fail("the zone is not ±hhmm"))?,
            which,
        })
    }
}

impl fmt::Display for HalfName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:016}#{}.{}.gz", self.stamp.0, self.zone, self.which)
    }
}

/// Returns `path` without the client's spool directory.
pub(super) fn strip_spool(path: &[u8]) -> &[u8] {
    let relative = path.strip_prefix(b"/").unwrap_or(path);
    relative.strip_prefix(b"dev/shm/").unwrap_or(path)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_real_name_and_back() {
        let bare = "1795412711319353#+0000.proc.gz";
        for path in [bare.to_owned(), format!("/dev/shm/{bare}"), format!("dev/shm/{bare}")] {
            let name = HalfName::parse(path.as_bytes()).unwrap();
            assert_eq!((name.stamp.0, name.which), (1_795_412_711_319_353, Which::Proc));
            assert_eq!(name.to_string(), bare);
        }
    }

    #[test]
    fn each_bad_name_says_what_is_wrong() {
        let table: [(&[u8], &str); 10] = [
            (b"../1795412711319353#+0000.proc.gz", "another directory"),
            (b"/dev/shm/../1795412711319353#+0000.proc.gz", "another directory"),
            (b"/dev/shm//dev/shm/1795412711319353#+0000.proc.gz", "another directory"),
            (b"/etc/1795412711319353#+0000.net.gz", "another directory"),
            (b"1795412711319353#+0000.proc", ".proc.gz or .net.gz"),
            (b"1795412711319353.net.gz", "no #"),
            (b"179541271131935#+0000.net.gz", "stamp"),
            (b"1795412711319353#0000.net.gz", "zone"),
            (b"1795412711319353#+0000\xff.net.gz", "ASCII"),
            (b"", ".proc.gz or .net.gz"),
        ];
        for (path, what) in table {
            let message = HalfName::parse(path).unwrap_err().to_string();
            assert!(message.contains(what), "{message}");
        }
    }
}
