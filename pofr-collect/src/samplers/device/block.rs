//! Block devices: `/sys/block`, without partitions.

use super::{attribute, entries};
use pofr_core::{collector::CollectError, fact::DeviceKey, raw::RawText};
use std::{os::unix::ffi::OsStrExt as _, path::Path};

// Where drivers put what they know, in the order in which it is asked: ATA and SCSI, NVMe, virtio, MMC, device mapper, loop.
const VENDORS: &[&str] = &["device/vendor"];
const PRODUCTS: &[&str] = &["device/model", "device/name", "dm/name", "loop/backing_file"];
const SERIALS: &[&str] = &["device/serial", "serial", "dm/uuid", "device/wwid", "wwid"];

/// Adds the block devices that are there now.
pub(super) fn read(sys_root: &Path, out: &mut Vec<DeviceKey>) -> Result<(), CollectError> {
    let dir = sys_root.join("block");
    for (name, _) in entries(&dir)? {
        let dir = dir.join(&name);
        // A virtual device without a size has nothing behind it, as most `loop0` to `loop7`; an empty drive is a device.
        if attribute(&dir, "size").as_bytes() == b"0" && !dir.join("device").exists() {
            continue;
        }
        let vendor = first(&dir, VENDORS);
        out.push(DeviceKey {
            bus: "block".into(),
            address: name.as_bytes().into(),
            id: attribute(&dir, "dev"),
            vendor: if is_number(&vendor) { RawText::default() } else { vendor },
            product: first(&dir, PRODUCTS),
            serial: first(&dir, SERIALS),
        });
    }
    Ok(())
}

/// Returns the first of these attributes that says something.
fn first(dir: &Path, names: &[&str]) -> RawText {
    let mut texts = names.iter().map(|name| attribute(dir, name));
    texts.find(|text| !text.as_bytes().is_empty()).unwrap_or_default()
}

/// Tells whether a vendor is given by number, as virtio's is: `0x1af4` is no name.
fn is_number(vendor: &RawText) -> bool {
    vendor.as_bytes().starts_with(b"0x")
}
