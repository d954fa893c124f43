//! POFR's server side: from an inbox of bundles to rows, and from slices to archives and periods.
//!
//! The way of a bundle: [`Inbox`] lists it; [`verify`] checks its name, digest, sizes and members; [`track`] turns it into rows;
//! [`place`] finds the slice that it belongs to and what its neighbours learn from it; the store commits rows and ledger in one
//! transaction. A bundle that cannot be taken goes to quarantine with the reason, and changes nothing else.
//!
//! [`merge`] does levels 2 and 3: it stitches the rows of many triads into one and swaps it in.
//!
//! Nothing here knows which database it is: everything goes through [`pofr_core::store`].

pub mod abandoned;
pub mod case;
pub mod enrich;
pub mod forget;
#[cfg(any(test, feature = "fuzzing"))]
#[doc(hidden)]
pub mod fuzzing;
pub mod inbox;
pub mod ingest;
pub mod kept;
pub mod stop;

pub mod layout;
pub mod levels;
pub mod merge;
pub mod place;
pub mod prune;
pub mod rebuild;
pub mod receive;
pub mod registration;
pub mod service;
pub mod track;
mod urls;
pub mod verify;
pub mod verify_chain;

pub use inbox::Inbox;
pub use ingest::{IngestError, Options, Outcome, Report, ingest};
pub use kept::Kept;
pub use layout::Layout;
pub use stop::Stop;
