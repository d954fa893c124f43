//! Devices.

use crate::digest::{KeyDigest, KeyEncoder};
use crate::raw::RawText;
use serde::Serialize;

/// A device that the kernel shows under `/sys`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Device {
    /// What makes it this fact.
    #[serde(flatten)]
    pub key: DeviceKey,
    /// The users who were logged in when it was first seen, in order, separated by commas; empty: nobody was. `None` where the
    /// machine did not tell. Not in the key, since a login makes no other device, and nothing that is learned later: it is
    /// about that moment.
    pub users: Option<RawText>,
}

/// What makes two observations the same device.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize)]
pub struct DeviceKey {
    /// The bus: `usb`, `pci`, `block`.
    pub bus: RawText,
    /// The address on that bus, such as `1-1.4` or `0000:00:1f.2`; the name of a block device, such as `sda`.
    pub address: RawText,
    /// Vendor and product ids, or what else the bus tells a device by.
    pub id: RawText,
    /// The vendor's name, empty where the device does not say.
    pub vendor: RawText,
    /// The product's name, empty where the device does not say.
    pub product: RawText,
    /// The serial number, empty where the device does not say.
    pub serial: RawText,
}

impl DeviceKey {
    /// Returns `shasum`.
    #[must_use]
    pub fn digest(&self) -> KeyDigest {
        let Self { bus, address, id, vendor, product, serial } = self;
        [bus, address, id, vendor, product, serial]
            .into_iter()
            .fold(KeyEncoder::new("pofr/device/2"), |key, text| key.bytes(text.as_bytes()))
            .finish()
    }
}
