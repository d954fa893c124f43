//! Wire formats: what travels from client to server, as bytes.
//!
//! [`v2`] is ours (docs/format/bundle-v2.md), [`v1`] the first POFR's, which is only read (docs/format/bundle-v1.md); the names
//! of their bundles look the same ([`name`]). [`link`] is how they are sent. Everything read here is hostile: sizes are capped
//! before anything is allocated, and an error names what is wrong.

pub mod link;
pub mod name;
pub mod v1;
pub mod v2;
