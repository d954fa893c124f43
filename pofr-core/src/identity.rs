//! Who is who: clients, boots, runs, and processes that are never named by a bare pid.

use crate::digest::{KeyDigest, KeyEncoder, Sha256, hex_newtype};
use serde::Serialize;
use std::{
    fmt,
    hash::{Hash, Hasher},
};

hex_newtype! {
    /// A boot of a machine: `/proc/sys/kernel/random/boot_id` without its dashes; zero where unknown (v1).
    BootId, 16
}
hex_newtype! {
    /// One stretch of recording under one clock: random, new at every recorder start and clock step.
    RunId, 16
}

impl RunId {
    /// Returns the run that what was streamed of a bundle has while the whole bundle has not come: one of its own, so that
    /// nothing is stitched to it and it can be taken out again.
    #[must_use]
    pub fn of_stream(self, seq: BundleSeq) -> Self {
        let digest = Sha256::of(format!("pofr/streamed/{self}/{}", seq.0).as_bytes());
        let mut run = [0; 16];
        run.copy_from_slice(&digest.0[..16]);
        Self(run)
    }
}

impl BootId {
    /// The boot that a v1 bundle cannot name.
    pub const UNKNOWN: Self = Self([0; 16]);

    /// Reads the kernel's text, with or without dashes and a trailing newline.
    #[must_use]
    pub fn from_kernel(text: &str) -> Option<Self> {
        Self::parse(&text.trim().replace('-', ""))
    }
}

/// A client's id: system UUID (else machine-id) and a stamp; 1 to 59 characters of `[0-9A-Za-z-]`.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize)]
#[serde(transparent)]
pub struct Cid(String);

impl Cid {
    /// Checks `text`; `None` where it is empty, longer than 59 bytes, holds anything but ASCII letters,
    /// digits and dashes, or nothing but dashes.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let good = (1..=59).contains(&text.len())
            && text.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-')
            && text.bytes().any(|b| b != b'-');
        good.then(|| Self(text.to_owned()))
    }

    /// Returns the text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Returns the name of the client's database: the id without its dashes.
    #[must_use]
    pub fn database(&self) -> String {
        self.0.replace('-', "")
    }
}

impl fmt::Display for Cid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// A bundle's place in its client's chain: 1, 2, 3 … without holes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize)]
#[serde(transparent)]
pub struct BundleSeq(pub u64);

/// A process id as the recorder's pid namespace shows it (pid_namespaces(7)).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize)]
#[serde(transparent)]
pub struct Pid(pub u32);

impl fmt::Display for Pid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// When a process started, in clock ticks since boot: field 22 of `/proc/pid/stat` (proc_pid_stat(5)).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize)]
#[serde(transparent)]
pub struct StartTicks(pub u64);

/// A process across all its facts.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(untagged)]
pub enum Entity {
    /// Told apart by boot, pid and start time: no two processes share all three.
    Started {
        /// The boot.
        boot: BootId,
        /// The process id.
        pid: Pid,
        /// The start time.
        start: StartTicks,
    },
    /// A v1 process, which has no start time: `tag` is a digest of its names, ids and arguments.
    Described {
        /// The process id.
        pid: Pid,
        /// What else tells it apart.
        tag: KeyDigest,
    },
}

impl Hash for Entity {
    /// Hashes all of it, since all of it is a client's word, in few and large pieces.
    fn hash<H: Hasher>(&self, state: &mut H) {
        match self {
            Self::Started { boot, pid, start } => {
                state.write_u128(u128::from_ne_bytes(boot.0));
                state.write_u128(u128::from(start.0) << 32 | u128::from(pid.0));
            }
            Self::Described { pid, tag } => {
                state.write_u32(pid.0);
                state.write(&tag.0);
            }
        }
    }
}

impl Entity {
    /// Returns the process id, which alone identifies nothing.
    #[must_use]
    pub const fn pid(&self) -> Pid {
        match self {
            Self::Started { pid, .. } | Self::Described { pid, .. } => *pid,
        }
    }

    /// Returns the start time where it is known.
    #[must_use]
    pub const fn start(&self) -> Option<StartTicks> {
        match self {
            Self::Started { start, .. } => Some(*start),
            Self::Described { .. } => None,
        }
    }

    /// Adds this entity to a key's encoding.
    #[must_use]
    pub fn encode(&self, key: KeyEncoder) -> KeyEncoder {
        match self {
            Self::Started { boot, pid, start } => key.bytes(&boot.0).int(pid.0).int(start.0),
            Self::Described { pid, tag } => key.bytes(&tag.0).int(pid.0),
        }
    }

    /// Returns the digest that joins the tables: the same for a process and for all that it holds.
    #[must_use]
    pub fn digest(&self) -> KeyDigest {
        self.encode(KeyEncoder::new("pofr/entity/2")).finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cid_cannot_name_anything_but_a_database() {
        assert_eq!(Cid::parse("4c4c4544-0034-4610").unwrap().database(), "4c4c454400344610");
        for bad in ["", "-", "../x", "a b", "a`b", "a/b", "é", &"x".repeat(60)] {
            assert_eq!(Cid::parse(bad), None, "{bad}");
        }
    }
}
