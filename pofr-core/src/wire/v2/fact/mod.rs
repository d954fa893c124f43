//! Facts to messages and back. Details that the server works out itself do not travel.

mod decode;
mod encode;

pub(super) use decode::read;
pub(super) use encode::encode;
