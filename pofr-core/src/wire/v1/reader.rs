//! Reading one snapshot after the other, quickly: most records of a proc half are, byte for byte, those of the half before.
//!
//! Such a record says what it said. So only records that are new are read, and the observation tells of the processes alone
//! whose records came or went; a [`crate::diff::Differ`] that is fed these comes to what whole readings come to. The net half
//! changes with every timer and is read whole.

use super::{
    net::{Holders, NetHalf},
    proc::{OTHER_RECORDER, ProcError, Told, lines, next_record, read_record},
    recorder::Recorder,
    snapshot::{RawSnapshot, SnapshotError},
};
use crate::{
    collector::{Extent, Observation},
    fact::{Fact, Subject},
};
use hashbrown::{HashMap, HashSet};

/// What a snapshot says, as far as it differs from the one that the same reader read before.
#[derive(Debug)]
pub struct Changed {
    /// The processes whose records came or went, with their files; `None` where the proc half is missing.
    pub processes: Option<Observation>,
    /// All endpoints; `None` where the net half is missing. Without a proc half, no endpoint has a holder.
    pub endpoints: Option<Vec<Fact>>,
    /// How many processes were left out because they were gone before their ids could be read.
    pub pid_only: u64,
    /// How many processes have a name whose end could not be told for certain from their command line.
    pub undecidable: u64,
}

/// Reads snapshots one after the other.
#[derive(Debug, Default)]
pub struct Reader {
    /// The records of the last proc half, by their bytes.
    records: HashMap<Box<[u8]>, Known>,
    /// How many proc halves were read.
    halves: u64,
}

/// A record that was read.
#[derive(Debug)]
struct Known {
    recorder: Recorder,
    told: Told,
    /// How often it stands in the last two halves that had it, and the number of the last.
    times: [u32; 2],
    half: u64,
}

impl Reader {
    /// Reads the next snapshot. The first one with a proc half is told whole. After an error the reader is of no further use.
    ///
    /// # Errors
    /// Where a half that is there cannot be read.
    pub fn read(&mut self, raw: &RawSnapshot) -> Result<Changed, SnapshotError> {
        let stamp = raw.stamp;
        let processes = match raw.proc.as_deref() {
            Some(text) => Some(self.read_proc(text).map_err(|cause| SnapshotError::Proc { stamp, cause })?),
            None => None,
        };
        let told = || processes.iter().flat_map(|_| self.records.values());
        let holders = Holders::of_processes(
            told().filter_map(|known| match &known.told {
                Told::Process { seen, .. } => Some(&**seen),
                _ => None,
            }),
            told()
                .flat_map(|known| match &known.told {
                    Told::Recorder { sockets } => sockets.as_slice(),
                    _ => &[],
                })
                .copied(),
        );
        let net = raw.net.as_deref().map(NetHalf::parse).transpose();
        let net = net.map_err(|cause| SnapshotError::Net { stamp, cause })?;
        let count = |wanted: fn(&Told) -> bool| -> u64 {
            told().filter(|known| wanted(&known.told)).map(|known| u64::from(known.times[1])).sum()
        };
        Ok(Changed {
            endpoints: net.map(|half| half.facts(&holders)),
            pid_only: count(|told| matches!(told, Told::PidOnly)),
            undecidable: count(|told| matches!(told, Told::Process { certain: false, .. })),
            processes,
        })
    }

    /// Reads a proc half's text; returns what of it is not as before.
    fn read_proc(&mut self, text: &[u8]) -> Result<Observation, ProcError> {
        self.halves += 1;
        let half = self.halves;
        let mut recorder = None;
        let (mut rest, mut line) = (text, 1);
        while !rest.is_empty() {
            let (bytes, after) = next_record(rest).ok_or(ProcError::CutOff { line })?;
            let fail = |problem| ProcError::Record { line, problem };
            let known = match self.records.get_mut(bytes) {
                Some(known) => known,
                None => {
                    let (recorder, told) = read_record(bytes).map_err(fail)?;
                    let known = Known { recorder, told, times: [0, 0], half: 0 };
                    self.records.entry(bytes.into()).or_insert(known)
                }
            };
            if *recorder.get_or_insert(known.recorder) != known.recorder {
                return Err(fail(OTHER_RECORDER));
            }
            if known.half != half {
                known.times = [if known.half + 1 == half { known.times[1] } else { 0 }, 0];
                known.half = half;
            }
            known.times[1] += 1;
            line += lines(bytes);
            rest = after;
        }
        if recorder.is_none() {
            return Err(ProcError::Empty);
        }
        Ok(self.changed(half))
    }

    /// Forgets the records that are gone, and tells of the processes whose records are not as often there as before.
    fn changed(&mut self, half: u64) -> Observation {
        let mut subjects = HashSet::new();
        self.records.retain(|_, known| {
            let is_there = known.half == half;
            if let Told::Process { seen, .. } = &known.told
                && (!is_there || known.times[0] != known.times[1])
            {
                subjects.insert(Subject::Entity(seen.process.key.entity));
            }
            is_there
        });
        let mut facts = Vec::new();
        for known in self.records.values() {
            if let Told::Process { seen, .. } = &known.told
                && subjects.contains(&Subject::Entity(seen.process.key.entity))
            {
                facts.extend(seen.facts());
            }
        }
        let extent = match half {
            1 => Extent::Whole,
            _ => Extent::Subjects(subjects.into_iter().map(Into::into).collect()),
        };
        Observation { facts, extent, ..Observation::default() }
    }
}
