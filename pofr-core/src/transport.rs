//! What carries a session to the server: OpenSSH, a socket pair, a test.

use std::io::{Read, Write};

/// Both directions of a session. Dropping it ends the session.
///
/// Reading and writing fail with [`TimedOut`](std::io::ErrorKind::TimedOut) where the other side is silent, or takes nothing,
/// for longer than the transport has patience: a link that is cut without a word must not hold anybody for ever.
pub trait Duplex: Read + Write + Send {}

impl<T: Read + Write + Send> Duplex for T {}

/// Makes sessions with the server.
pub trait Transport: Send {
    /// Begins a session.
    ///
    /// # Errors
    /// [`Unreachable`], which tells whether it is worth trying again.
    fn connect(&mut self) -> Result<Box<dyn Duplex>, Unreachable>;
}

/// Why there is no session.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Unreachable {
    /// The server may be there later.
    #[error("{0}")]
    Retry(String),
    /// It is of no use to try again before somebody has looked: the server's key is not the pinned one, or ours is not taken.
    #[error("{0}")]
    Final(String),
}
