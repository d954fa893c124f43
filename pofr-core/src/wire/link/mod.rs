//! The link: what client and server say to each other over a session's stdin and stdout (docs/format/link-v1.md).
//!
//! Everything is a frame: a length, a kind, a protobuf message. What the client says is an [`Up`], what the server says a
//! [`Down`]; [`Reader`] and [`Writer`] carry them over any byte stream. Pure: nothing here knows of SSH, files or clocks. Both
//! ends take the other's bytes for hostile: sizes are capped before anything is allocated, texts have a limit, and no byte
//! makes it panic.

mod down;
mod frame;
mod message;
mod up;

pub use down::{Answer, Down, No, OpenAt, Refusal, status_line};
pub use frame::{LinkMessage, Reader, Writer};
pub use prost::bytes::Bytes;
pub use up::{Goodbye, Request, Service, Splice, Up};

/// The version of the link that this program speaks.
pub const LINK_VERSION: u32 = 1;
/// The largest frame, in bytes: kind and message, without the length before them.
pub const MAX_FRAME: usize = 1 << 20;
/// The largest frame of a registration, in bytes: all that a stranger may make the server hold.
pub const MAX_REQUEST: usize = 8 << 10;
/// How many bytes of a bundle one [`Up::Data`] or [`Up::Frames`] carries at most.
pub const MAX_DATA: usize = 256 << 10;
/// The namespace of the signature that a registration's answer is given for (PROTOCOL.sshsig).
pub const REGISTRATION_NAMESPACE: &str = "pofr-registration";
/// The namespace of the signature by which an old key names the new one.
pub const ROTATION_NAMESPACE: &str = "pofr-rotation";
/// The namespace of a bundle's signature.
pub const BUNDLE_NAMESPACE: &str = "pofr-bundle";

/// Why a session cannot go on.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum LinkError {
    /// The stream failed.
    #[error("the link broke: {0}")]
    Io(#[from] std::io::Error),
    /// The stream ended within a frame.
    #[error("the link ended within a frame")]
    Truncated,
    /// A frame announces more than may be, or nothing.
    #[error("a frame of {length} bytes, where 1 to {limit} are allowed")]
    Length {
        /// What it announces.
        length: u64,
        /// The most that is allowed.
        limit: usize,
    },
    /// A frame of a kind that this end does not know or does not expect.
    #[error("a frame of unknown kind {0}")]
    Kind(u8),
    /// A frame's message is not what its kind says.
    #[error("{kind}: {detail}")]
    Malformed {
        /// The frame's kind.
        kind: &'static str,
        /// What is wrong with it.
        detail: String,
    },
}

impl LinkError {
    fn malformed(kind: &'static str, detail: impl std::fmt::Display) -> Self {
        Self::Malformed { kind, detail: detail.to_string() }
    }
}
