//! The manifest: what a bundle says of itself, in JSON, for people, for signatures and for `receive`.

use super::{Header, WireError};
use crate::{
    collector::{Audit, Closing},
    digest::Sha256,
    identity::{BootId, BundleSeq, Cid, RunId},
    time::{WallMicros, ZoneOffset},
};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// The version of the manifest that this program writes.
pub const MANIFEST_VERSION: u32 = 2;

/// What a bundle says of itself. It repeats the stream's header, and adds what is known only at the end.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Manifest {
    /// [`MANIFEST_VERSION`].
    pub version: u32,
    /// The client.
    pub cid: String,
    /// The run, 32 hex digits.
    pub run: String,
    /// The boot, 32 hex digits.
    pub boot: String,
    /// The number in the client's chain.
    pub seq: u64,
    /// The SHA-256 of the bundle before; `null` for the first.
    pub previous: Option<String>,
    /// The zone, `+hhmm`.
    pub zone: String,
    /// First and last stamp, µs since 1970 on the run's clock; `null` where there is no sample.
    pub wall: Option<(i64, i64)>,
    /// The same on `CLOCK_BOOTTIME`, µs.
    pub boottime: Option<(i64, i64)>,
    /// The time between samples that the client aimed at, µs.
    pub interval_micros: u64,
    /// The sources sampled, each with the number of its samples.
    pub sources: BTreeMap<String, u64>,
    /// What each event source knows that it lost.
    pub losses: BTreeMap<String, u64>,
    /// What the samplers found that skip what seems unchanged and read it now and then all the same.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub audits: BTreeMap<String, Audit>,
    /// How samplers and event sources worked that did not work as usual.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub notes: BTreeMap<String, String>,
    /// The recorder's own processes, left out of the record.
    pub recorder_pids: Vec<u32>,
    /// Bundles of this client known to be lost before they could be sent.
    pub missing: Vec<u64>,
    /// How many records there are.
    pub records: u64,
    /// The SHA-256 of `records.pb.zst`.
    pub records_sha256: String,
    /// Whether the recorder closed the bundle itself; `false`: it was cut off and this is what could be kept.
    pub complete: bool,
}

impl Manifest {
    /// Reads a manifest's JSON.
    ///
    /// # Errors
    /// [`WireError`] where it is none, or newer.
    pub fn parse(json: &[u8]) -> Result<Self, WireError> {
        const PART: &str = "manifest.json";
        #[derive(Deserialize)]
        struct Version {
            version: u32,
        }
        let Version { version } = serde_json::from_slice(json).map_err(|e| WireError::malformed(PART, e))?;
        if version != MANIFEST_VERSION {
            return Err(WireError::Version { part: PART.into(), found: version, known: MANIFEST_VERSION });
        }
        serde_json::from_slice(json).map_err(|e| WireError::malformed(PART, e))
    }

    /// Checks that the manifest and the stream's header say the same.
    ///
    /// # Errors
    /// [`WireError::Malformed`] naming the field that differs.
    pub fn agrees_with(&self, header: &Header) -> Result<(), WireError> {
        let differs = [
            ("cid", Cid::parse(&self.cid).as_ref() != Some(&header.cid)),
            ("run", RunId::parse(&self.run) != Some(header.run)),
            ("boot", BootId::parse(&self.boot) != Some(header.boot)),
            ("seq", BundleSeq(self.seq) != header.seq),
            ("previous", self.previous.as_deref().map(Sha256::parse) != header.previous.map(Some)),
            ("zone", ZoneOffset::parse(&self.zone) != Some(header.zone)),
            ("interval_micros", self.interval_micros != header.interval_micros),
        ];
        match differs.into_iter().find(|(_, differs)| *differs) {
            Some((field, _)) => {
                Err(WireError::malformed("manifest.json", format!("{field} is not the records' {field}")))
            }
            None => Ok(()),
        }
    }

    /// Makes the manifest of a stream that has just been read through.
    pub(super) fn new(
        header: &Header,
        counts: &Counts,
        records_sha256: Sha256,
        complete: bool,
        closing: &Closing,
    ) -> Self {
        let to_boottime =
            |t: WallMicros| header.opened_boot_micros.saturating_add(t.since(header.opened_wall));
        let wall = counts.first.zip(counts.last);
        Self {
            version: MANIFEST_VERSION,
            cid: header.cid.as_str().to_owned(),
            run: header.run.to_string(),
            boot: header.boot.to_string(),
            seq: header.seq.0,
            previous: header.previous.map(|d| d.to_string()),
            zone: header.zone.to_string(),
            wall: wall.map(|(a, b)| (a.0, b.0)),
            boottime: wall.map(|(a, b)| (to_boottime(a), to_boottime(b))),
            interval_micros: header.interval_micros,
            sources: header
                .sources
                .iter()
                .map(|s| (s.name().to_owned(), 0))
                .chain(counts.samples.iter().map(|(name, n)| (name.clone(), *n)))
                .collect(),
            losses: closing.losses.clone(),
            audits: closing.audits.clone(),
            notes: closing.notes.clone(),
            recorder_pids: header.recorder_pids.iter().map(|p| p.0).collect(),
            missing: header.missing.iter().map(|s| s.0).collect(),
            records: counts.records,
            records_sha256: records_sha256.to_string(),
            complete,
        }
    }
}

/// What is counted while a stream is read through.
#[derive(Debug, Default)]
pub(super) struct Counts {
    pub(super) records: u64,
    pub(super) samples: BTreeMap<String, u64>,
    pub(super) first: Option<WallMicros>,
    pub(super) last: Option<WallMicros>,
}
