//! Limits: how large a record may be, in one table for those who write records and those who read them.
//!
//! A writer keeps to [`Limit::written`]; a reader refuses what is beyond [`Limit::read`]. The reader's limits are the wider ones:
//! they let pass all that earlier versions wrote. So what the writer writes the reader accepts.
//!
//! What is too long is cut where a record is made ([`fit`]) and says so; what would be too many becomes a thin gap
//! ([`Differ`](crate::diff::Differ)). docs/format/bundle-v2.md states the table, and a test compares the two.

mod fit;
mod weight;

pub use fit::{cut_text, fit, reason};
pub(crate) use fit::{fit_endpoint, is_named, marked};
pub use weight::weight;

use crate::time::WallMicros;

/// One row of the table.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limit {
    /// What it bounds.
    pub what: &'static str,
    /// The most that is written.
    pub written: u64,
    /// The most that is read.
    pub read: u64,
}

macro_rules! table {
    ($($(#[$doc:meta])* $name:ident = $what:literal, $written:expr, $read:expr;)+) => {
        $($(#[$doc])* pub const $name: Limit = Limit { what: $what, written: $written, read: $read };)+

        /// The whole table, in the order of the documentation.
        pub const TABLE: &[Limit] = &[$($name),+];
    };
}

table! {
    /// The argument vector of a process. execve(2) lets it have some MiB.
    ARGUMENTS = "bytes of an argument vector", 32 << 10, 8 << 20;
    /// A path: a link's text, a file's name. The kernel's own limit, its mark ` (deleted)` included (PATH_MAX).
    PATH = "bytes of a path", 4_096, 8 << 20;
    /// A process's name; the kernel gives 15, or 63 for a worker (proc_pid_comm(5)).
    COMM = "bytes of a process's name", 64, 8 << 20;
    /// The control groups of a process.
    CGROUP = "bytes of a process's control groups", 16 << 10, 8 << 20;
    /// The members of a group.
    MEMBERS = "bytes of a group's members", 256 << 10, 8 << 20;
    /// Any other text of a fact.
    TEXT = "bytes of any other text", 4_096, 8 << 20;
    /// Attributes of a custom fact.
    ATTRIBUTES = "attributes of a custom fact", 256, 8 << 20;
    /// The name of an attribute.
    ATTRIBUTE_NAME = "bytes of an attribute's name", 256, 8 << 20;
    /// The value of an attribute.
    ATTRIBUTE = "bytes of an attribute's value", 16 << 10, 8 << 20;
    /// A fact as a message.
    FACT = "bytes of a fact", 5 << 20, 8 << 20;
    /// A network address.
    ADDRESS = "bytes of an address", 16, 16;
    /// The reason of a gap.
    REASON = "bytes of a gap's reason", 1_000, 1_000;
    /// Thin gaps that a bundle states one by one.
    GAPS = "thin gaps of a bundle", 10_000, u64::MAX;
    /// Facts that one sample adds, and that one source shows at a time.
    FACTS = "facts that a sample adds", 1_000_000, 10_000_000;
    /// Facts of which one sample learns more.
    LEARNED = "facts of which a sample learns", 100_000, 500_000;
    /// Facts that one sample removes or loses: those that samples and those that events told.
    GONE = "facts that a sample removes or loses", 2_000_000, 6_710_886;
    /// All of a sample but its facts.
    REST = "bytes of a sample besides its facts", 28 << 20, 32 << 20;
    /// A record as a message.
    MESSAGE = "bytes of a message", 160 << 20, 256 << 20;
    /// All records of a bundle, unpacked. A bundle ends before it has as many; one tick may add to that.
    RECORDS = "bytes of a bundle's records", 256 << 20, 4 << 30;
    /// The file of a bundle.
    TAR = "bytes of a bundle's file", 512 << 20, 512 << 20;
    /// The header of a bundle's records.
    HEADER = "bytes of a header", 1 << 20, 1 << 20;
    /// Lost bundles that one bundle names.
    MISSING = "lost bundles that a bundle names", 16_384, 1 << 20;
    /// Processes of the recorder itself.
    PIDS = "processes of the recorder", 1_024, 1 << 20;
    /// Sources of a bundle.
    SOURCES = "sources of a bundle", 256, 1 << 20;
    /// The manifest.
    MANIFEST = "bytes of a manifest", 2 << 20, 4 << 20;
    /// Notes, losses and audits of a manifest.
    NOTES = "notes, losses and audits of a manifest, each", 64, 4 << 20;
    /// One note, and a name of any of them.
    NOTE = "bytes of a note", 1_000, 4 << 20;
}

impl Limit {
    /// Returns how much may be written, as a length in memory.
    #[must_use]
    pub const fn most(&self) -> usize {
        self.written as usize
    }

    /// Returns how much may be read, as a length in memory.
    #[must_use]
    pub const fn readable(&self) -> usize {
        self.read as usize
    }
}

/// The facts of one source may weigh so much, so that a message that adds or learns all of them fits.
pub const SHOWN_BYTES: u64 = 128 << 20;
const _: () = assert!(SHOWN_BYTES + REST.written < MESSAGE.written);

/// 4000-01-01: later times are nonsense, and would overflow a database's calendar.
pub const LATEST: WallMicros = WallMicros(64_060_588_800_000_000);

/// Tells whether a time can be one of the record: from 1970 to 4000.
#[must_use]
pub fn is_time(t: WallMicros) -> bool {
    (WallMicros(0)..LATEST).contains(&t)
}

/// Returns the nearest time that can be one of the record.
#[must_use]
pub fn time(t: WallMicros) -> WallMicros {
    t.clamp(WallMicros(0), LATEST.plus(-1))
}
