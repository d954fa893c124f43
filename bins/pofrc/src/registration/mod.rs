//! Registration: how a server gets to know this client, and this client that server.

mod conversation;
mod host_key;
mod invitation;
mod way;

pub(crate) use conversation::{Conversation, Verdict, shown};
pub(crate) use host_key::HostKey;
pub(crate) use invitation::Invitation;
pub(crate) use way::{Way, agreed};
