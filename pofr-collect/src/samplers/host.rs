//! The host sampler: what machine this is and what it runs.

use super::{COLD_MICROS, Context};
use crate::HostView;
use pofr_core::{
    Collector, Source,
    collector::{CollectError, Observation},
    fact::{Fact, Host},
    raw::RawText,
};
use std::path::Path;

/// Samples the host.
#[derive(Debug)]
pub struct HostSampler {
    view: HostView,
}

/// Makes the sampler for the registry.
pub(super) fn make(context: &Context) -> Box<dyn Collector> {
    Box::new(HostSampler::new(context))
}

impl HostSampler {
    /// Makes a sampler.
    #[must_use]
    pub fn new(context: &Context) -> Self {
        Self { view: context.view.clone() }
    }
}

impl Collector for HostSampler {
    fn source(&self) -> Source {
        Source::Host
    }

    fn every_micros(&self) -> u64 {
        COLD_MICROS
    }

    fn sample(&mut self, out: &mut Observation) -> Result<(), CollectError> {
        let HostView { proc_root, sys_root, etc_root, architecture, .. } = &self.view;
        let release = std::fs::read(etc_root.join("os-release")).unwrap_or_default();
        out.show(Fact::Host(Host {
            hostname: line(&proc_root.join("sys/kernel/hostname")),
            os: value(&release, "NAME"),
            os_version: value(&release, "VERSION_ID"),
            kernel: line(&proc_root.join("sys/kernel/osrelease")),
            architecture: architecture.clone(),
            vendor: line(&sys_root.join("class/dmi/id/sys_vendor")),
            model: line(&sys_root.join("class/dmi/id/product_name")),
            timezone: zone_name(etc_root),
        }));
        Ok(())
    }
}

/// Reads the one line of a file; empty where there is none.
fn line(path: &Path) -> RawText {
    std::fs::read(path).map(|text| text.trim_ascii().into()).unwrap_or_default()
}

/// Reads the zone's name from where the link `localtime` leads (localtime(5)), which is what the clock on the wall follows; where it is
/// a file of its own, from `timezone` (Debian).
fn zone_name(etc_root: &Path) -> RawText {
    let target = std::fs::read_link(etc_root.join("localtime")).unwrap_or_default();
    match target.to_string_lossy().split_once("zoneinfo/") {
        Some((_, name)) => name.into(),
        None => line(&etc_root.join("timezone")),
    }
}

/// Reads a value of os-release(5): `NAME="Debian GNU/Linux"`, quoted as a shell would.
fn value(release: &[u8], name: &str) -> RawText {
    let assigned =
        |line: &[u8]| Some(line.strip_prefix(name.as_bytes())?.strip_prefix(b"=")?.trim_ascii().to_vec());
    // The last assignment holds, as in a shell.
    let Some(raw) = release.split(|b| *b == b'\n').filter_map(assigned).next_back() else {
        return RawText::default();
    };
    let quote = raw.first().copied().filter(|b| matches!(b, b'"' | b'\''));
    let inner = match quote {
        Some(q) => raw[1..].strip_suffix(&[q]).unwrap_or(&raw[1..]),
        None => &raw,
    };
    let mut text = Vec::with_capacity(inner.len());
    let mut bytes = inner.iter().copied();
    while let Some(byte) = bytes.next() {
        match byte {
            b'\\' if quote != Some(b'\'') => text.extend(bytes.next()),
            other => text.push(other),
        }
    }
    text.into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn os_release_is_read_as_a_shell_would() {
        let text = b"PRETTY_NAME=\"x\"\nNAME='old'\nNAME=\"Deb\\\"ian\\$\"\nVERSION_ID=12\nID='a\\b'\n";
        assert_eq!(value(text, "NAME").as_bytes(), b"Deb\"ian$");
        assert_eq!(value(text, "VERSION_ID").as_bytes(), b"12");
        assert_eq!(value(text, "ID").as_bytes(), b"a\\b");
        assert_eq!(value(text, "BUILD_ID").as_bytes(), b"");
    }
}
