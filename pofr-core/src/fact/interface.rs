//! Network interfaces.

use crate::digest::{KeyDigest, KeyEncoder};
use crate::raw::RawText;
use serde::Serialize;
use std::net::IpAddr;

/// An address of a network interface; an interface without one is a fact with `address: None`.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize)]
pub struct Interface {
    /// The interface's name, at most 15 bytes.
    pub name: RawText,
    /// The hardware address as text, empty where there is none.
    pub mac: RawText,
    /// The address.
    pub address: Option<IpAddr>,
    /// The prefix length, 0 to 128.
    pub prefix: u8,
    /// Whether it is up (`IFF_UP`, netdevice(7)).
    pub up: bool,
}

impl Interface {
    /// Returns `shasum`.
    #[must_use]
    pub fn digest(&self) -> KeyDigest {
        KeyEncoder::new("pofr/interface/2")
            .bytes(self.name.as_bytes())
            .bytes(self.mac.as_bytes())
            .option(self.address, |key, a| key.bytes(a.to_string().as_bytes()))
            .int(self.prefix)
            .int(u8::from(self.up))
            .finish()
    }
}
