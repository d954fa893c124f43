//! The first POFR's bundles: reading only, so that a site can swap its server before its clients.
//!
//! A v1 bundle is a tar of gzip files, two to a snapshot: a *proc half* with the processes and their files, a
//! *net half* with the network tables. The format with all its oddities is in docs/format/bundle-v1.md.
//!
//! ```text
//! tar bytes -> read_tar -> halves -> pair -> raw snapshots -> decode -> facts -> Converter -> observations
//! ```
//!
//! [`Reader`] is the quick way for many snapshots: it reads what changed from one to the next.
//!
//! Nothing here is trusted: whatever the bytes, the answer is a value or an error that names the member and
//! the line. A process that dresses up its name or its arguments can at most make the border between the
//! two uncertain, which is counted; it cannot make a half unreadable.

mod border;
mod convert;
mod name;
mod net;
mod proc;
mod reader;
mod recorder;
mod snapshot;
mod tar;

pub use convert::{Converter, Step, median_interval};
pub use name::{HalfName, HalfNameError, Which};
pub use net::{Holders, NetError, NetHalf, Socket};
pub use proc::{ProcError, ProcHalf, SeenProcess};
pub use reader::{Changed, Reader};
pub use recorder::Recorder;
pub use snapshot::{Clash, Decoded, Paired, RawSnapshot, SnapshotError, decode, pair};
pub use tar::{Caps, Half, TarError, read_tar};
