//! The ledger: clients, bundles and triads, as the store keeps them. The truth about what is stored.

use super::Action;
use crate::{
    coverage::{PlacedSpan, Span, Succession},
    digest::Sha256,
    gap::Gap,
    identity::{BootId, BundleSeq, Cid, RunId},
    time::{WallMicros, ZoneOffset},
};
use serde::Serialize;

/// A client as the host-lookup table has it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct ClientEntry {
    /// The id.
    pub cid: Cid,
    /// The machine's UUID, or as much of the id as stands for it; at most 36 characters.
    pub uuid: String,
    /// The account on the server: 32 hex digits.
    pub ciduser: String,
    /// The address that it last sent from.
    pub last_ip: Option<String>,
    /// When it was registered.
    pub registered: WallMicros,
}

/// How far rows have been merged.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Level {
    /// Level 1: up to an hour of bundles.
    Slice,
    /// Level 2: slices, stitched.
    Archive,
    /// Level 3: archives, stitched.
    Period,
}

/// Where a triad stands on its way in and out of the store.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum TriadState {
    /// Its tables may exist, in part or in whole; nothing in them counts. Recovery drops it.
    Creating,
    /// It counts.
    Live,
    /// Another has replaced it; readers that began before may still read. Dropped one run later.
    Dead,
}

/// Names a triad within its client.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize)]
#[serde(transparent)]
pub struct TriadId(pub i64);

impl TriadId {
    /// The triad of bundles that have none: those whose time has been forgotten.
    pub const NONE: Self = Self(0);
}

/// A triad as the ledger has it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Triad {
    /// Its id.
    pub id: TriadId,
    /// How far merged.
    pub level: Level,
    /// Where it stands.
    pub state: TriadState,
    /// Whether bundles may still extend it in place (slices only).
    pub open: bool,
    /// The names of its tables: processes, files, endpoints.
    pub tables: [String; 3],
    /// The first stamp of all its bundles.
    pub from: WallMicros,
    /// The last stamp of all its bundles.
    pub to: WallMicros,
    /// The client's zone at `from`, which names archives and periods.
    pub zone: ZoneOffset,
    /// Rows in each table.
    pub rows: [u64; 3],
    /// Whether its tables are in [`crate::merge::order`] by their primary keys.
    pub sorted: bool,
}

/// Which format a bundle came in.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum BundleFormat {
    /// The first POFR's: gzip snapshots.
    V1,
    /// Ours: a keyframe, deltas, events.
    V2,
}

/// A bundle as the ledger has it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct BundleEntry {
    /// The client that it says it is of; v1 does not say. All bundles of one record name the same.
    pub cid: Option<Cid>,
    /// The SHA-256 of the whole tar: what makes it this bundle.
    pub sha256: Sha256,
    /// The name it came with.
    pub name: String,
    /// The format.
    pub format: BundleFormat,
    /// Its number in the chain; for v1 the stamp of its name.
    pub seq: BundleSeq,
    /// The SHA-256 of the bundle before it, where the client had one.
    pub previous: Option<Sha256>,
    /// The run.
    pub run: RunId,
    /// The boot; [`BootId::UNKNOWN`] for v1.
    pub boot: BootId,
    /// The client's zone.
    pub zone: ZoneOffset,
    /// The first stamp.
    pub first: WallMicros,
    /// The last stamp.
    pub last: WallMicros,
    /// The time between samples that the client aimed at, µs.
    pub interval_micros: u64,
    /// How many samples it holds.
    pub samples: u64,
    /// How many records were left out because nothing could be made of them (v1: pid-only).
    pub left_out: u64,
    /// Whether the client sealed it; else it was cut off and says so.
    pub complete: bool,
    /// Whether the server made it of what was streamed while it grew, because the whole one has not come; never `complete`, and
    /// of a run of its own ([`RunId::of_stream`]).
    pub streamed: bool,
    /// When this server took it in, by this server's clock.
    pub received: WallMicros,
}

impl BundleFormat {
    /// Tells how bundles of this format and pace follow each other: v1 has no numbers, and a silence of more
    /// than five intervals (at least two seconds) is a gap.
    #[must_use]
    pub fn succession(self, interval_micros: u64) -> Succession {
        match self {
            Self::V1 => Succession::Within(
                i64::try_from(interval_micros).unwrap_or(i64::MAX).saturating_mul(5).max(2_000_000),
            ),
            Self::V2 => Succession::Numbered,
        }
    }
}

impl BundleEntry {
    /// Tells how this bundle is followed, see [`BundleFormat::succession`].
    #[must_use]
    pub fn succession(&self) -> Succession {
        self.format.succession(self.interval_micros)
    }
}

/// A bundle with all that the ledger keeps of it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct StoredBundle {
    /// The bundle.
    pub entry: BundleEntry,
    /// For which stretches it has samples.
    pub spans: Vec<Span>,
    /// What it says is missing.
    pub gaps: Vec<Gap>,
    /// The triad that holds its rows; [`TriadId::NONE`] where they have been forgotten.
    pub triad: TriadId,
}

/// The truth about what is stored.
#[derive(Clone, Debug, Default, Serialize)]
pub struct Ledger {
    /// Goes up by one with every change of the set of triads.
    pub generation: i64,
    /// All bundles, by run and number.
    pub bundles: Vec<StoredBundle>,
    /// All triads, dead and half-made ones included.
    pub triads: Vec<Triad>,
    /// What was done to the record other than adding to it, oldest first.
    pub actions: Vec<Action>,
}

impl Ledger {
    /// Returns every span, labelled with its triad's id, for [`crate::coverage::Coverage`].
    #[must_use]
    pub fn spans(&self) -> Vec<PlacedSpan> {
        self.bundles.iter().flat_map(StoredBundle::placed_spans).collect()
    }

    /// Returns the triads that count.
    pub fn live(&self) -> impl Iterator<Item = &Triad> {
        self.triads.iter().filter(|t| t.state == TriadState::Live)
    }
}

impl StoredBundle {
    /// Tells whether it was made of what was streamed, and taken out again when the whole bundle came.
    #[must_use]
    pub fn is_withdrawn(&self) -> bool {
        self.entry.streamed && self.triad == TriadId::NONE
    }

    /// Returns this bundle's spans, labelled with its triad's id.
    pub fn placed_spans(&self) -> impl Iterator<Item = PlacedSpan> + '_ {
        self.spans.iter().map(|span| PlacedSpan {
            run: self.entry.run,
            boot: self.entry.boot,
            seq: self.entry.seq,
            succession: self.entry.succession(),
            group: self.triad.0,
            span: span.clone(),
        })
    }
}
