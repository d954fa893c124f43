//! Kernel modules.

use crate::digest::{KeyDigest, KeyEncoder};
use crate::raw::RawText;
use serde::Serialize;

/// A loaded kernel module: a line of `/proc/modules` (proc_modules(5)).
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize)]
pub struct Module {
    /// The name.
    pub name: RawText,
    /// Its size in memory, bytes.
    pub size: u64,
    /// The taint flags, empty for none.
    pub taint: RawText,
}

impl Module {
    /// Returns `shasum`.
    #[must_use]
    pub fn digest(&self) -> KeyDigest {
        KeyEncoder::new("pofr/module/2")
            .bytes(self.name.as_bytes())
            .int(self.size)
            .bytes(self.taint.as_bytes())
            .finish()
    }
}
