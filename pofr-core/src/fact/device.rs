//! Devices.

use crate::digest::{KeyDigest, KeyEncoder};
use crate::raw::RawText;
use serde::Serialize;

/// A device that the kernel shows under `/sys`, and who was logged in while it was there.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize)]
pub struct Device {
    /// The bus: `usb`, `pci`, `block`.
    pub bus: RawText,
    /// The address on that bus, such as `1-1.4` or `0000:00:1f.2`.
    pub address: RawText,
    /// Vendor and product ids, or what else the bus tells a device by.
    pub id: RawText,
    /// The vendor's name, empty where the device does not say.
    pub vendor: RawText,
    /// The product's name, empty where the device does not say.
    pub product: RawText,
    /// The serial number, empty where the device does not say.
    pub serial: RawText,
    /// The users logged in when it was first seen, separated by commas.
    pub users: RawText,
}

impl Device {
    /// Returns `shasum`.
    #[must_use]
    pub fn digest(&self) -> KeyDigest {
        let Self { bus, address, id, vendor, product, serial, users } = self;
        [bus, address, id, vendor, product, serial, users]
            .into_iter()
            .fold(KeyEncoder::new("pofr/device/2"), |key, text| key.bytes(text.as_bytes()))
            .finish()
    }
}
