//! Verification: what a file in the inbox must be before anything is made of it.

use pofr_core::{
    digest::Sha256,
    identity::Cid,
    time::WallMicros,
    wire::{
        name::{BundleName, BundleNameError},
        v1, v2,
    },
};
use std::str::FromStr;

/// What is said of a fork in the chain, wherever it is said.
pub const FORK: &str = "two recorders share one chain, or one was forged";

/// Why a file is not taken. It goes to quarantine with this text.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Rejected {
    /// Its name is not a bundle's.
    #[error(transparent)]
    Name(#[from] BundleNameError),
    /// Its bytes are not those that its name announces.
    #[error("the contents' sha256 is {found}, the name says {announced}: damaged or tampered with")]
    Digest {
        /// What the name says.
        announced: Sha256,
        /// What the bytes give.
        found: Sha256,
    },
    /// Not a good v2 bundle.
    #[error("not a good v2 bundle: {0}")]
    V2(#[from] v2::WireError),
    /// Not a good v1 bundle.
    #[error("not a good v1 bundle: {0}")]
    V1(#[from] v1::TarError),
    /// The stream makes no sense.
    #[error("the records contradict themselves: {0}")]
    Stream(#[from] pofr_core::lifetime::StreamError),
    /// A v1 snapshot cannot be read.
    #[error("not a good v1 bundle: {0}")]
    Snapshot(#[from] v1::SnapshotError),
    /// Two v1 halves of one snapshot that differ.
    #[error(transparent)]
    Clash(#[from] v1::Clash),
    /// The file changed or vanished while it was being taken.
    #[error(transparent)]
    Inbox(#[from] crate::inbox::InboxError),
    /// The v1 snapshots make no sense.
    #[error("the snapshots contradict themselves: {0}")]
    Diff(#[from] pofr_core::diff::DiffError),
    /// Another client's bundle.
    #[error("it is of client {found}, this record is of {expected}")]
    OtherClient {
        /// Whose it is.
        found: Cid,
        /// Whose record this is.
        expected: Cid,
    },
    /// The manifest says other times than the records.
    #[error("the manifest says that its samples are from {announced:?}, they are from {found:?}")]
    Times {
        /// First and last, as announced.
        announced: Option<(i64, i64)>,
        /// First and last, as found.
        found: Option<(i64, i64)>,
    },
    /// It holds no sample.
    #[error("it holds no sample")]
    Empty,
    /// A bundle of the same number and run is stored, and it is another one.
    #[error("bundle {seq} of run {run} is stored already with sha256 {stored}: {}", FORK)]
    Fork {
        /// The number.
        seq: u64,
        /// The run.
        run: String,
        /// The one that is stored.
        stored: Sha256,
    },
    /// Its times lie within those of another bundle of its run.
    #[error("its times {from} to {to} overlap those of bundle {other} of the same run")]
    Overlap {
        /// Its first stamp.
        from: WallMicros,
        /// Its last stamp.
        to: WallMicros,
        /// The other's number.
        other: u64,
    },
    /// A run that is said to be of two boots.
    #[error("run {run} is stored as one of boot {stored}, here it is of {found}")]
    OtherBoot {
        /// The run.
        run: String,
        /// The boot that is stored.
        stored: String,
        /// The boot that this one says.
        found: String,
    },
}

/// A file whose name, size, digest and members are right. Only [`verify`] makes one.
#[derive(Debug)]
pub struct Verified {
    /// The name.
    pub name: BundleName,
    /// The contents.
    pub contents: Contents,
}

/// What a good file holds.
#[derive(Debug)]
pub enum Contents {
    /// The first POFR's snapshots, one half each.
    V1(Vec<v1::Half>),
    /// Our records.
    V2(Box<v2::Bundle>),
}

/// Checks a file's name, digest, format, members and sizes.
///
/// # Errors
/// [`Rejected`], with what is wrong.
pub fn verify(name: &str, bytes: &[u8], limits: v2::Limits) -> Result<Verified, Rejected> {
    let name = BundleName::from_str(name)?;
    let found = Sha256::of(bytes);
    if found != name.sha256 {
        return Err(Rejected::Digest { announced: name.sha256, found });
    }
    let contents = if is_v2(bytes) {
        Contents::V2(Box::new(v2::open(bytes, limits)?))
    } else {
        Contents::V1(v1::read_tar(bytes, &v1::Caps::default())?)
    };
    Ok(Verified { name, contents })
}

/// A v2 tar begins with its manifest; a v1 tar never holds one.
fn is_v2(bytes: &[u8]) -> bool {
    bytes.starts_with(b"manifest.json\0")
}
