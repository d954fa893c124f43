//! The host.

use crate::digest::{KeyDigest, KeyEncoder};
use crate::raw::RawText;
use serde::Serialize;

/// What machine this is and what it runs; a change of any of it is a new fact.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize)]
pub struct Host {
    /// The host name (gethostname(2)).
    pub hostname: RawText,
    /// The distribution's name: `NAME` of os-release(5).
    pub os: RawText,
    /// Its version: `VERSION_ID`.
    pub os_version: RawText,
    /// The kernel's release (uname(2)).
    pub kernel: RawText,
    /// The machine's architecture (uname(2)).
    pub architecture: RawText,
    /// The hardware's vendor (`/sys/class/dmi/id/sys_vendor`); empty where there is none.
    pub vendor: RawText,
    /// The hardware's model (`/sys/class/dmi/id/product_name`); empty where there is none.
    pub model: RawText,
    /// The zone's name, such as `Europe/Oslo`; empty where it is not known.
    pub timezone: RawText,
}

impl Host {
    /// Returns `shasum`.
    #[must_use]
    pub fn digest(&self) -> KeyDigest {
        let Self { hostname, os, os_version, kernel, architecture, vendor, model, timezone } = self;
        [hostname, os, os_version, kernel, architecture, vendor, model, timezone]
            .into_iter()
            .fold(KeyEncoder::new("pofr/host/2"), |key, text| key.bytes(text.as_bytes()))
            .finish()
    }
}
