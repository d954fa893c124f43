//! The device sampler: what hangs on the USB and PCI buses, block devices, and who is logged in when a device appears.
//!
//! A device of a bus is read once: its directory in sysfs(5) has an inode that no other device gets in this boot, so what was
//! read holds as long as that is there. Block devices are read at each look, since a disc that is put into a drive or a file
//! that is set up behind a loop device is news of the same directory. What a container does not show of `/sys` is not there to
//! be recorded.

mod block;
mod bus;
mod logins;

use super::{Context, WARM_MICROS};
use crate::HostView;
use bus::{PCI, USB};
use pofr_core::{
    Collector, Source,
    collector::{CollectError, Observation},
    fact::{Device, DeviceKey, Fact},
    raw::RawText,
};
use std::{collections::HashMap, path::Path};

/// Samples devices.
#[derive(Debug)]
pub struct DeviceSampler {
    view: HostView,
    /// The devices of the last look, with who was logged in at the first.
    known: HashMap<DeviceKey, Option<RawText>>,
    usb: bus::Seen,
    pci: bus::Seen,
}

/// Makes the sampler for the registry.
pub(super) fn make(context: &Context) -> Box<dyn Collector> {
    Box::new(DeviceSampler::new(context))
}

impl DeviceSampler {
    /// Makes a sampler.
    #[must_use]
    pub fn new(context: &Context) -> Self {
        Self {
            view: context.view.clone(),
            known: HashMap::new(),
            usb: bus::Seen::default(),
            pci: bus::Seen::default(),
        }
    }
}

impl Collector for DeviceSampler {
    fn source(&self) -> Source {
        Source::Device
    }

    fn every_micros(&self) -> u64 {
        WARM_MICROS
    }

    fn sample(&mut self, out: &mut Observation) -> Result<(), CollectError> {
        let mut keys = Vec::new();
        self.usb.read(&USB, &self.view.sys_root, &mut keys)?;
        self.pci.read(&PCI, &self.view.sys_root, &mut keys)?;
        block::read(&self.view.sys_root, &mut keys)?;
        // Asked only where there is a new device, and then once.
        let mut users = None;
        let mut before = std::mem::take(&mut self.known);
        for key in keys {
            let users = before
                .remove(&key)
                .unwrap_or_else(|| users.get_or_insert_with(|| logins::names(&self.view)).clone());
            out.show(Fact::Device(Device { key: key.clone(), users: users.clone() }));
            self.known.insert(key, users);
        }
        Ok(())
    }
}

/// Reads the one line of an attribute; empty where the device has none.
fn attribute(dir: &Path, name: &str) -> RawText {
    std::fs::read(dir.join(name)).map(|text| text.trim_ascii().into()).unwrap_or_default()
}

/// Returns the names in a directory of sysfs with their inodes, in order; none where there is no such directory.
fn entries(dir: &Path) -> Result<Vec<(std::ffi::OsString, u64)>, CollectError> {
    use std::os::unix::fs::DirEntryExt as _;
    let read = || {
        let entry = |entry: std::io::Result<std::fs::DirEntry>| entry.map(|e| (e.file_name(), e.ino()));
        std::fs::read_dir(dir)?.map(entry).collect::<std::io::Result<Vec<_>>>()
    };
    match read() {
        Ok(mut entries) => {
            entries.sort_unstable();
            Ok(entries)
        }
        Err(cause) if cause.kind() == std::io::ErrorKind::NotFound => Ok(Vec::new()),
        Err(cause) => Err(super::unavailable(dir, cause)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;

    /// A tree with one device of each bus, and a loop device with nothing behind it.
    fn tree() -> (tempfile::TempDir, HostView) {
        let dir = tempfile::tempdir().unwrap();
        let file = |path: &str, text: &str| {
            let path = dir.path().join(path);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, text).unwrap();
        };
        file("proc/sys/kernel/random/boot_id", "11111111-2222-3333-4444-555555555555\n");
        for (name, text) in [("idVendor", "0781\n"), ("idProduct", "5567\n"), ("manufacturer", "SanDisk\n")] {
            file(&format!("sys/bus/usb/devices/1-1.4/{name}"), text);
        }
        file("sys/bus/usb/devices/1-1.4/product", "Cruzer Blade\n");
        file("sys/bus/usb/devices/1-1.4/serial", "4C530001\n");
        file("sys/bus/usb/devices/1-1.4:1.0/bInterfaceNumber", "00\n");
        file("sys/bus/pci/devices/0000:00:1f.2/vendor", "0x8086\n");
        file("sys/bus/pci/devices/0000:00:1f.2/device", "0x2922\n");
        for (disk, size) in [("sda", "1000\n"), ("loop0", "0\n"), ("loop1", "8\n"), ("sr0", "0\n")] {
            file(&format!("sys/block/{disk}/size"), size);
            file(&format!("sys/block/{disk}/dev"), "8:0\n");
        }
        file("sys/block/sda/device/vendor", "ATA     \n");
        file("sys/block/sda/device/model", "QEMU HARDDISK   \n");
        file("sys/block/sr0/device/model", "QEMU DVD-ROM\n");
        file("sys/block/loop1/loop/backing_file", "/root/hidden.img\n");
        file("run/systemd/users/1000", "# private\nNAME=ann\nSTATE=active\n");
        file("run/systemd/users/1001", "NAME=bob\nSTATE=lingering\n");
        let view = HostView::of_tree(dir.path()).unwrap();
        (dir, view)
    }

    fn shown(sampler: &mut DeviceSampler) -> Vec<String> {
        let mut out = Observation::default();
        sampler.sample(&mut out).unwrap();
        let line = |fact: &Fact| {
            let Fact::Device(Device { key, users }) = fact else { panic!("{fact:?}") };
            let texts = [&key.bus, &key.address, &key.id, &key.vendor, &key.product, &key.serial];
            let users = users.as_ref().map_or_else(|| "?".to_owned(), RawText::escaped);
            format!("{}|{users}", texts.map(RawText::escaped).join("|"))
        };
        out.facts.iter().map(line).collect()
    }

    #[test]
    fn devices_say_what_they_are_and_keep_who_saw_them_come() {
        let (dir, view) = tree();
        let mut sampler = DeviceSampler::new(&Context::new(view));
        let stick = "usb|1-1.4|0781:5567|SanDisk|Cruzer Blade|4C530001|ann";
        let first = [
            stick,
            "pci|0000:00:1f.2|8086:2922||||ann",
            "block|loop1|8:0||/root/hidden.img||ann",
            "block|sda|8:0|ATA|QEMU HARDDISK||ann",
            "block|sr0|8:0||QEMU DVD-ROM||ann",
        ];
        assert_eq!(shown(&mut sampler), first);
        // A login makes no other device; a device that comes after it knows of it.
        fs::write(dir.path().join("run/systemd/users/1001"), "NAME=bob\nSTATE=online\n").unwrap();
        fs::write(dir.path().join("sys/block/loop0/size"), "8\n").unwrap();
        let second = shown(&mut sampler);
        assert_eq!(second[0], stick);
        assert!(second.contains(&"block|loop0|8:0||||ann,bob".to_owned()), "{second:?}");
        fs::remove_dir_all(dir.path().join("sys/bus/usb")).unwrap();
        fs::remove_dir_all(dir.path().join("run")).unwrap();
        let third = shown(&mut sampler);
        assert!(!third.iter().any(|line| line.starts_with("usb")), "{third:?}");
        assert!(third[0].ends_with("|ann"), "{third:?}");
        let unknown = shown(&mut DeviceSampler::new(&sampler_context(&sampler)));
        assert!(unknown.iter().all(|line| line.ends_with("|?")), "{unknown:?}");
    }

    fn sampler_context(sampler: &DeviceSampler) -> Context {
        Context::new(sampler.view.clone())
    }

    #[test]
    fn a_device_that_is_plugged_in_again_is_read_again() {
        let (dir, view) = tree();
        let mut sampler = DeviceSampler::new(&Context::new(view));
        shown(&mut sampler);
        let devices = dir.path().join("sys/bus/usb/devices");
        // Another stick in the same port: a directory of its own, with an inode of its own.
        fs::rename(devices.join("1-1.4"), devices.join("away")).unwrap();
        fs::create_dir(devices.join("1-1.4")).unwrap();
        fs::remove_dir_all(devices.join("away")).unwrap();
        for (name, text) in [("idVendor", "1234\n"), ("idProduct", "5678\n"), ("serial", "666\n")] {
            fs::write(devices.join("1-1.4").join(name), text).unwrap();
        }
        assert_eq!(shown(&mut sampler)[0], "usb|1-1.4|1234:5678|||666|ann");
    }
}
