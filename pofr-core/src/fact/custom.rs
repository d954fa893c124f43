//! Facts of third-party collectors.

use crate::digest::{KeyDigest, KeyEncoder};
use crate::raw::RawText;
use crate::source::Source;
use serde::Serialize;
use std::collections::BTreeMap;

/// A fact of a third party's collector, told apart by all that it says.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize)]
pub struct Custom {
    /// The collector's source, always [`Source::Custom`].
    pub source: Source,
    /// What the fact is about: unique within the source at a moment.
    pub name: RawText,
    /// What holds of it. A change of any value is a new fact.
    pub attributes: BTreeMap<String, RawText>,
}

impl Custom {
    /// Returns `shasum`.
    #[must_use]
    pub fn digest(&self) -> KeyDigest {
        let key =
            KeyEncoder::new("pofr/custom/2").bytes(self.source.name().as_bytes()).bytes(self.name.as_bytes());
        self.attributes.iter().fold(key, |key, (k, v)| key.bytes(k.as_bytes()).bytes(v.as_bytes())).finish()
    }
}
