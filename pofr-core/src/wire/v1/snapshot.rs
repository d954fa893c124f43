//! Snapshots: the two halves put together, and what they say.

use super::{
    name::Which,
    net::{Holders, NetError, NetHalf},
    proc::{ProcError, ProcHalf},
    tar::Half,
};
use crate::{
    fact::Fact,
    time::{WallMicros, ZoneOffset},
};
use std::collections::BTreeMap;

/// A snapshot as it came: one half or both.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RawSnapshot {
    /// The time taken before reading started.
    pub stamp: WallMicros,
    /// The client's zone; that of the proc half where the two differ.
    pub zone: ZoneOffset,
    /// The proc half's text; `None` where it has not come.
    pub proc: Option<Vec<u8>>,
    /// The net half's text; `None` where it has not come.
    pub net: Option<Vec<u8>>,
}

impl RawSnapshot {
    /// Tells whether both halves are there.
    #[must_use]
    pub const fn is_whole(&self) -> bool {
        self.proc.is_some() && self.net.is_some()
    }
}

/// Two halves of one stamp and kind with different texts.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("two {which} halves with stamp {stamp} differ")]
pub struct Clash {
    /// The stamp.
    pub stamp: WallMicros,
    /// Which half.
    pub which: Which,
}

/// What [`pair`] makes of halves.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Paired {
    /// The snapshots in the order of their stamps, those with one half among them: whether the other may still
    /// come in the next tar is for the caller to judge.
    pub snapshots: Vec<RawSnapshot>,
    /// Halves that were left out because one with the same stamp and another text stands before them.
    pub clashes: Vec<Clash>,
}

/// Puts halves together by their stamps, from however many tars they come.
#[must_use]
pub fn pair(halves: impl IntoIterator<Item = Half>) -> Paired {
    let mut snapshots: BTreeMap<WallMicros, RawSnapshot> = BTreeMap::new();
    let mut clashes = Vec::new();
    for Half { stamp, zone, which, text } in halves {
        let snapshot =
            snapshots.entry(stamp).or_insert_with(|| RawSnapshot { stamp, zone, proc: None, net: None });
        let slot = match which {
            Which::Proc => &mut snapshot.proc,
            Which::Net => &mut snapshot.net,
        };
        match slot {
            Some(first) if *first != text => clashes.push(Clash { stamp, which }),
            Some(_) => {}
            None => {
                *slot = Some(text);
                if which == Which::Proc {
                    snapshot.zone = zone;
                }
            }
        }
    }
    Paired { snapshots: snapshots.into_values().collect(), clashes }
}

/// Why a snapshot cannot be read.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum SnapshotError {
    /// Its proc half cannot.
    #[error("snapshot {stamp}: {cause}")]
    Proc {
        /// The stamp.
        stamp: WallMicros,
        /// Why not.
        cause: ProcError,
    },
    /// Its net half cannot.
    #[error("snapshot {stamp}: {cause}")]
    Net {
        /// The stamp.
        stamp: WallMicros,
        /// Why not.
        cause: NetError,
    },
}

/// What a snapshot says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Decoded {
    /// The time taken before reading started.
    pub stamp: WallMicros,
    /// The client's zone.
    pub zone: ZoneOffset,
    /// Each process, followed by its files; `None` where the proc half is missing.
    pub processes: Option<Vec<Fact>>,
    /// The endpoints; `None` where the net half is missing. Without a proc half, no endpoint has a holder.
    pub endpoints: Option<Vec<Fact>>,
    /// How many processes were left out because they were gone before their ids could be read.
    pub pid_only: u64,
    /// How many processes have a name whose end could not be told for certain from their command line.
    pub undecidable: u64,
}

/// Reads both halves of a snapshot, and finds the holders of its sockets.
///
/// # Errors
/// Where a half that is there cannot be read.
pub fn decode(raw: &RawSnapshot) -> Result<Decoded, SnapshotError> {
    let stamp = raw.stamp;
    let proc = raw
        .proc
        .as_deref()
        .map(ProcHalf::parse)
        .transpose()
        .map_err(|cause| SnapshotError::Proc { stamp, cause })?;
    let net = raw
        .net
        .as_deref()
        .map(NetHalf::parse)
        .transpose()
        .map_err(|cause| SnapshotError::Net { stamp, cause })?;
    let holders = proc.as_ref().map(Holders::of_half).unwrap_or_default();
    Ok(Decoded {
        stamp,
        zone: raw.zone,
        endpoints: net.map(|half| half.facts(&holders)),
        pid_only: proc.as_ref().map_or(0, |half| half.pid_only),
        undecidable: proc.as_ref().map_or(0, |half| half.undecidable),
        processes: proc.map(|half| half.facts().collect()),
    })
}
