//! Subjects: what a sampler reads as one.

use super::Fact;
use crate::{fact::SocketId, identity::Entity};

/// What a fact is about, as far as reading goes: a sampler that reads a subject again reads all of its facts.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Subject {
    /// A process with its files.
    Entity(Entity),
    /// A socket with its holders: network namespace and identity. All sockets of a namespace that have neither cookie nor
    /// inode are one subject.
    Socket(Option<u32>, SocketId),
    /// All that is left of a source.
    Rest,
}

impl Fact {
    /// Returns the subject; the same for facts of equal key.
    #[must_use]
    pub const fn subject(&self) -> Subject {
        match self {
            Self::Process(f) => Subject::Entity(f.key.entity),
            Self::File(f) => Subject::Entity(f.key.entity),
            Self::Endpoint(f) => Subject::Socket(f.key.netns, f.key.socket),
            _ => Subject::Rest,
        }
    }
}
