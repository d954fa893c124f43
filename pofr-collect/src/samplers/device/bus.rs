//! Devices of the USB and PCI buses: `/sys/bus/BUS/devices` (sysfs(5)).

use super::{attribute, entries};
use pofr_core::{collector::CollectError, fact::DeviceKey, raw::RawText};
use std::{collections::HashMap, ffi::OsString, os::unix::ffi::OsStrExt as _, path::Path};

/// How a bus tells of its devices.
#[derive(Debug)]
pub(super) struct Bus {
    name: &'static str,
    /// Whether a name in the bus's directory is that of a device.
    is_device: fn(&[u8]) -> bool,
    /// The attributes with vendor and product ids, with the vendor's name, the product's name, the serial number.
    attributes: [&'static str; 5],
}

/// USB: `1-1.4` is a device, `1-1.4:1.0` one of its interfaces, `usb1` a hub of the machine's own.
pub(super) const USB: Bus = Bus {
    name: "usb",
    is_device: |name| !name.contains(&b':'),
    attributes: ["idVendor", "idProduct", "manufacturer", "product", "serial"],
};

/// PCI: a device does not say its names, which tools look up in a list by its ids.
pub(super) const PCI: Bus = Bus {
    name: "pci",
    is_device: |_| true,
    attributes: ["vendor", "device", "vendor_name", "product_name", "serial_number"],
};

/// What was read of a bus, by the names of its devices, with their inodes.
#[derive(Debug, Default)]
pub(super) struct Seen(HashMap<OsString, (u64, DeviceKey)>);

impl Seen {
    /// Adds the devices that are there now.
    pub(super) fn read(
        &mut self,
        bus: &Bus,
        sys_root: &Path,
        out: &mut Vec<DeviceKey>,
    ) -> Result<(), CollectError> {
        let dir = sys_root.join("bus").join(bus.name).join("devices");
        let mut before = std::mem::take(&mut self.0);
        for (name, inode) in entries(&dir)? {
            if !(bus.is_device)(name.as_bytes()) {
                continue;
            }
            let key = match before.remove(&name) {
                Some((known, key)) if known == inode => key,
                _ => read(bus, &dir.join(&name), name.as_bytes()),
            };
            out.push(key.clone());
            self.0.insert(name, (inode, key));
        }
        Ok(())
    }
}

fn read(bus: &Bus, dir: &Path, name: &[u8]) -> DeviceKey {
    let [vendor_id, product_id, vendor, product, serial] = bus.attributes.map(|name| attribute(dir, name));
    DeviceKey {
        bus: bus.name.into(),
        address: name.into(),
        id: id(&vendor_id, &product_id),
        vendor,
        product,
        serial,
    }
}

/// Writes ids as `lsusb` and `lspci -n` do: `8086:2922`.
fn id(vendor: &RawText, product: &RawText) -> RawText {
    let digits = |text: &RawText| {
        let bytes = text.as_bytes();
        bytes.strip_prefix(b"0x").unwrap_or(bytes).to_vec()
    };
    let (vendor, product) = (digits(vendor), digits(product));
    if vendor.is_empty() && product.is_empty() {
        return RawText::default();
    }
    [vendor, product].join(&b':').into()
}
