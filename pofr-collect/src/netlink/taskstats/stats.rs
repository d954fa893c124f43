//! The structure in which taskstats are told.
//!
//! It grows at its end from version to version, so a field stands where it always stood. Version 15 (Linux 6.14) broke that rule
//! and 16 mended it: 15 is refused.

use crate::{
    figures::Figures,
    netlink::{Message, attribute, attributes, generic, u16_at, u32_at, u64_at},
};

/// `TASKSTATS_TYPE_PID` and `TASKSTATS_TYPE_TGID`, whose numbers those of the two wholes follow.
const ID: [u16; 2] = [1, 2];
/// `TASKSTATS_TYPE_STATS`.
const STATS: u16 = 3;
/// `TASKSTATS_TYPE_AGGR_PID`.
const OF_TASK: u16 = 4;
/// `TASKSTATS_TYPE_AGGR_TGID`.
const OF_PROCESS: u16 = 5;
/// The version whose fields stand elsewhere.
const MISLAID: u16 = 15;
/// Bytes up to and with the last field that is read here from every version.
const LEAST: usize = 288;

/// Statistics, and whose they are.
#[derive(Clone, Copy, Debug)]
pub(crate) struct About<'a> {
    /// The task, or the process.
    pub(crate) id: u32,
    /// Whether they are those of a whole process (what its exited tasks left behind, and what the living have).
    pub(crate) of_process: bool,
    /// What is told.
    pub(crate) stats: Stats<'a>,
}

/// Returns the statistics in a message: those of an exit are of a task and, where that was the last of several in its process, of
/// the process too.
pub(crate) fn stats_of<'a>(message: &Message<'a>) -> impl Iterator<Item = About<'a>> {
    let wholes = attributes(message.payload.get(generic::HEADER..).unwrap_or_default());
    wholes.filter_map(|(kind, content)| {
        let of_process = match kind {
            OF_TASK => false,
            OF_PROCESS => true,
            _ => return None,
        };
        let id = u32_at(attribute(content, ID[usize::from(of_process)])?, 0)?;
        Some(About { id, of_process, stats: Stats::new(attribute(content, STATS)?)? })
    })
}

/// `struct taskstats`, of a version that can be read.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Stats<'a>(&'a [u8]);

impl<'a> Stats<'a> {
    fn new(bytes: &'a [u8]) -> Option<Self> {
        (u16_at(bytes, 0)? != MISLAID && bytes.len() >= LEAST).then_some(Self(bytes))
    }

    /// Reads a field that every version has.
    fn u32(&self, offset: usize) -> u32 {
        u32_at(self.0, offset).unwrap_or(0)
    }

    /// Reads a field that every version has.
    fn u64(&self, offset: usize) -> u64 {
        u64_at(self.0, offset).unwrap_or(0)
    }

    /// Returns what tells whether a process has run.
    pub(super) fn figures(&self) -> Figures {
        Figures {
            // `cpu_count`, `cpu_run_virtual_total` and `cpu_run_real_total`.
            runs: self.u64(16),
            nanos: self.u64(72),
            ticked: self.u64(64),
            switches: (self.u64(272), self.u64(280)),
        }
    }
}

/// What is told of a task at its exit. Of a process, only CPU time and switches are told.
impl<'a> Stats<'a> {
    /// Returns what kind of an exit it was (`ac_flag`): the bits of include/uapi/linux/acct.h.
    pub(crate) fn flags(&self) -> u8 {
        self.0.get(8).copied().unwrap_or(0)
    }

    /// Returns the name.
    pub(crate) fn comm(&self) -> &'a [u8] {
        let name = self.0.get(80..112).unwrap_or_default();
        name.split(|byte| *byte == 0).next().unwrap_or_default()
    }

    /// Returns the real user and group.
    pub(crate) fn uid_and_gid(&self) -> (u32, u32) {
        (self.u32(120), self.u32(124))
    }

    /// Returns the task's own number.
    #[cfg(test)]
    pub(crate) fn pid(&self) -> u32 {
        self.u32(128)
    }

    /// Returns the parent process.
    pub(crate) fn ppid(&self) -> u32 {
        self.u32(132)
    }

    /// Returns when it began: seconds since 1970 by the wall clock now, to the second.
    #[cfg(test)]
    pub(crate) fn began_seconds(&self) -> u64 {
        // The field of 64 bits came with version 10.
        if self.version() >= 10 { self.u64(344) } else { self.u32(136).into() }
    }

    /// Returns how long it has been there, µs.
    pub(crate) fn elapsed_micros(&self) -> u64 {
        self.u64(144)
    }

    /// Returns the CPU time in user and in kernel mode, µs.
    pub(crate) fn cpu_micros(&self) -> (u64, u64) {
        (self.u64(152), self.u64(160))
    }

    /// Returns the CPU time of all tasks that a process ever had, where these are of a process, ns.
    pub(crate) fn cpu_real_nanos(&self) -> u64 {
        self.u64(64)
    }

    /// Returns the bytes read from and written to storage.
    pub(crate) fn storage_bytes(&self) -> (u64, u64) {
        (self.u64(248), self.u64(256))
    }

    /// Returns the process that the task belongs to, told from version 12 on.
    pub(crate) fn process(&self) -> Option<u32> {
        (self.version() >= 12).then(|| u32_at(self.0, 368))?
    }

    fn version(&self) -> u16 {
        u16_at(self.0, 0).unwrap_or(0)
    }
}

/// What must hold of any datagram: statistics lie within it, whatever lengths it names.
#[cfg(any(test, feature = "fuzzing"))]
pub(crate) fn fuzz(datagram: &[u8]) {
    for message in crate::netlink::messages(datagram) {
        for about in stats_of(&message) {
            assert!(about.stats.0.len() <= datagram.len());
            assert!(about.stats.comm().len() <= 32 && !about.stats.comm().contains(&0));
            let stats = about.stats;
            let _ =
                (stats.figures(), stats.flags(), stats.uid_and_gid(), stats.ppid(), stats.elapsed_micros());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_version_that_mislays_its_fields_is_refused() {
        let mut bytes = vec![0; 416];
        for (version, good) in [(8_u16, true), (14, true), (15, false), (16, true)] {
            bytes[..2].copy_from_slice(&version.to_ne_bytes());
            assert_eq!(Stats::new(&bytes).is_some(), good);
        }
        assert!(Stats::new(&bytes[..LEAST - 1]).is_none() && Stats::new(&[]).is_none());
    }
}
