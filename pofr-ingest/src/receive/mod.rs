//! Receiving: a client's session, from what comes over SSH to files in its inbox.
//!
//! The session runs as the client's own account and speaks the link (docs/format/link-v1.md) over any byte stream. It can only
//! add: a bundle whose name, size and digest are right gets a name that nothing had, after it was synced. What is half there
//! has a hidden name, and the next session takes it away. Nothing here reads a bundle's contents: that is for ingest, which is
//! another user and trusts nothing that lies in an inbox.
//!
//! [`Account`] says who the client is, [`Landing`] is its inbox as a session may touch it, [`serve`] is the session,
//! [`scp`] what the first POFR's clients have instead of one.

mod account;
mod arriving;
mod landing;
mod note;
pub mod scp;
mod seat;
mod session;
mod stream;
mod waiting;

pub use account::{Account, AccountError, FormerKey};
pub(crate) use landing::parse_stream_name;
pub use landing::{Landing, LandingError, Put};
pub use note::{NOTE, Note};
pub use seat::Seat;
pub use session::{Ended, Rules, SessionError, serve};
pub use waiting::{Ending, Patient};

/// How many bytes of a client's files may wait in its inbox, where its account does not say.
pub const DEFAULT_QUOTA: u64 = 4 << 30;
/// The directory in an inbox that holds the streams of open bundles.
pub const OPEN_DIR: &str = ".open";
