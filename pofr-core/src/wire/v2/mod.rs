//! Bundle format v2: a tar with `manifest.json`, optionally `manifest.sig`, and `records.pb.zst`.
//!
//! The records are length-delimited protobuf messages in a row of whole zstd frames; the first message is the
//! [`Header`]. A stream that was cut off is good up to its last whole frame ([`salvage`]), since a
//! frame holds whole messages only.

mod bulk;
mod bundle;
mod fact;
mod fields;
mod frames;
mod layout;
mod manifest;
mod message;
mod record;
mod within;

pub use bundle::{Bundle, Limits, Sealed, open, seal, seal_signed, seal_streamed};
pub use frames::{Decoder, Encoder, Salvaged, frame_ends, salvage, salvage_within};
pub use layout::{Layout, layout};
pub use manifest::{MANIFEST_VERSION, Manifest};
pub use message::FORMAT_VERSION;

use crate::{
    digest::Sha256,
    identity::{BootId, BundleSeq, Cid, Pid, RunId},
    source::Source,
    time::{WallMicros, ZoneOffset},
};
use serde::Serialize;

/// What is wrong with the bytes.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum WireError {
    /// The tar, or what stands in it, is not as the format says.
    #[error("{part}: {detail}")]
    Malformed {
        /// Which part: a member of the tar, a record's number.
        part: String,
        /// What is wrong with it.
        detail: String,
    },
    /// Larger than may be.
    #[error("{part}: larger than {limit} bytes")]
    TooLarge {
        /// Which part.
        part: String,
        /// The limit.
        limit: u64,
    },
    /// The format is newer than this program.
    #[error("{part}: format version {found}, this program reads up to {known}")]
    Version {
        /// Which part.
        part: String,
        /// What it says.
        found: u32,
        /// What we know.
        known: u32,
    },
    /// A digest does not fit.
    #[error("{part}: sha256 is {found}, not {expected}")]
    Digest {
        /// Which part.
        part: String,
        /// What was announced.
        expected: Sha256,
        /// What it is.
        found: Sha256,
    },
    /// The compressor failed.
    #[error("{part}: {cause}")]
    Compression {
        /// Which part.
        part: String,
        /// What zstd said.
        cause: std::io::Error,
    },
}

impl WireError {
    pub(crate) fn malformed(part: impl Into<String>, detail: impl std::fmt::Display) -> Self {
        Self::Malformed { part: part.into(), detail: detail.to_string() }
    }
}

/// What a stream says of itself before its first record.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Header {
    /// The client.
    pub cid: Cid,
    /// The run.
    pub run: RunId,
    /// The boot.
    pub boot: BootId,
    /// The bundle's number in the client's chain.
    pub seq: BundleSeq,
    /// The SHA-256 of the bundle before.
    pub previous: Option<Sha256>,
    /// The client's zone.
    pub zone: ZoneOffset,
    /// The time between samples that the client aims at, µs.
    pub interval_micros: u64,
    /// When the bundle was opened, on the run's clock.
    pub opened_wall: WallMicros,
    /// The same moment on `CLOCK_BOOTTIME`, µs.
    pub opened_boot_micros: i64,
    /// The recorder's own processes, which it leaves out.
    pub recorder_pids: Vec<Pid>,
    /// The sources that are sampled.
    pub sources: Vec<Source>,
    /// Bundles known to be lost before they could be sent.
    pub missing: Vec<BundleSeq>,
}
