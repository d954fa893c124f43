//! Wire formats: what travels from client to server, as bytes.
//!
//! [`v2`] is ours (docs/format/bundle-v2.md). Everything read here is hostile: sizes are capped before anything
//! is allocated, and an error names what is wrong.

pub mod v2;
