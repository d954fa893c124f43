//! Routes.

use crate::digest::{KeyDigest, KeyEncoder};
use crate::raw::RawText;
use serde::Serialize;
use std::net::IpAddr;

/// A route of the main table (rtnetlink(7)).
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize)]
pub struct Route {
    /// The destination network; unspecified for the default route.
    pub destination: IpAddr,
    /// The prefix length, 0 to 128.
    pub prefix: u8,
    /// The gateway; `None` for a network on the link.
    pub gateway: Option<IpAddr>,
    /// The interface's name.
    pub interface: RawText,
    /// The priority; lower wins.
    pub metric: u32,
}

impl Route {
    /// Returns `shasum`.
    #[must_use]
    pub fn digest(&self) -> KeyDigest {
        KeyEncoder::new("pofr/route/2")
            .bytes(self.destination.to_string().as_bytes())
            .int(self.prefix)
            .option(self.gateway, |key, a| key.bytes(a.to_string().as_bytes()))
            .bytes(self.interface.as_bytes())
            .int(self.metric)
            .finish()
    }
}
