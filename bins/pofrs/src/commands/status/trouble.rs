//! What is trouble with a client.

use pofr_core::{identity::Cid, time::WallMicros};
use serde::Serialize;

/// What is wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Kind {
    /// It has sent nothing for long.
    Silent,
    /// What it has sent is not taken in.
    Waiting,
    /// Two of its bundles have one number.
    Fork,
    /// A bundle does not name the one before it.
    Break,
    /// Something is lost.
    Loss,
}

/// One trouble.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub(crate) struct Trouble {
    /// Whose.
    pub(crate) client: Cid,
    /// What.
    pub(crate) kind: Kind,
    /// The same as long as it is the same trouble.
    pub(crate) key: String,
    /// What there is to say, for a person.
    pub(crate) text: String,
    /// Since when it is known, or goes on, by this server's clock.
    pub(crate) at: WallMicros,
}
