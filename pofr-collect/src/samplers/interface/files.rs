//! Interfaces and addresses as files tell them: `/sys/class/net`, `/proc/net/if_inet6` (proc_pid_net(5)) and, for IPv4, of
//! whose addresses there is no plain list, `/proc/net/fib_trie` and the networks of `/proc/net/route`.

use super::Link;
use crate::{
    HostView,
    samplers::{optional, route::table::v4, unavailable},
};
use pofr_core::{collector::CollectError, raw::RawText};
use std::{
    net::{IpAddr, Ipv4Addr, Ipv6Addr},
    os::unix::ffi::OsStrExt as _,
    path::Path,
};

/// `IFF_UP` (netdevice(7)).
const UP: u32 = 1;

/// Reads all interfaces.
pub(super) fn links(view: &HostView) -> Result<Vec<Link>, CollectError> {
    let dir = view.sys_root.join("class/net");
    let mut links = Vec::new();
    let entries = match std::fs::read_dir(&dir) {
        Ok(entries) => Some(entries),
        // A container may have no such part of sysfs, a captured tree none that was captured.
        Err(cause) if cause.kind() == std::io::ErrorKind::NotFound => None,
        Err(cause) => return Err(unavailable(&dir, cause)),
    };
    for entry in entries.into_iter().flatten() {
        let entry = entry.map_err(|e| unavailable(&dir, e))?;
        links.extend(link(entry.file_name().as_bytes(), &entry.path()));
    }
    let net = view.proc_root.join("net");
    let read = |name| optional(&net.join(name)).map(Option::unwrap_or_default);
    let six = read("if_inet6")?;
    for (name, address, prefix) in six.split(|b| *b == b'\n').filter_map(inet6) {
        if let Some(link) = links.iter_mut().find(|link| link.name == name) {
            link.addresses.push((address.into(), prefix));
        }
    }
    let networks: Vec<(Ipv4Addr, u8, RawText)> = v4(&read("route")?)
        .into_iter()
        .filter(|route| route.gateway.is_none())
        .filter_map(|route| match route.destination {
            IpAddr::V4(destination) => Some((destination, route.prefix, route.interface)),
            IpAddr::V6(_) => None,
        })
        .collect();
    for address in local(&read("fib_trie")?) {
        let (name, prefix) = home(address, &networks);
        if let Some(link) = links.iter_mut().find(|link| link.name.as_bytes() == name.as_bytes()) {
            link.addresses.push((address.into(), prefix));
        }
    }
    Ok(links)
}

/// Reads one interface; `None` for what is none (`bonding_masters`), and for one that has just gone.
fn link(name: &[u8], dir: &Path) -> Option<Link> {
    let line = |file| std::fs::read(dir.join(file)).map(|text| text.trim_ascii().to_vec());
    // One real line: `0x1003`
    let flags = String::from_utf8(line("flags").ok()?).ok()?;
    let flags = u32::from_str_radix(flags.strip_prefix("0x")?, 16).ok()?;
    let mac = line("address").unwrap_or_default();
    Some(Link { name: name.into(), mac: mac.into(), up: flags & UP != 0, addresses: Vec::new() })
}

/// Reads `fe8000000000000000fc00fffe000001 04 40 20 80     eth0`: address, interface's number, prefix, scope, flags, name.
fn inet6(line: &[u8]) -> Option<(RawText, Ipv6Addr, u8)> {
    let mut fields = line.split(|b| *b == b' ').filter(|field| !field.is_empty());
    let address = hex::<16>(fields.next()?)?;
    let prefix = u8::from_str_radix(std::str::from_utf8(fields.nth(1)?).ok()?, 16).ok()?;
    Some((fields.nth(2)?.into(), address.into(), prefix))
}

/// Reads bytes in hex.
fn hex<const N: usize>(digits: &[u8]) -> Option<[u8; N]> {
    std::str::from_utf8(digits).ok().and_then(pofr_core::digest::unhex)
}

/// Returns the machine's own IPv4 addresses: in the trie a leaf is `|-- 192.0.2.2`, and its line `/32 host LOCAL` says that it
/// is one.
fn local(trie: &[u8]) -> Vec<Ipv4Addr> {
    let mut leaf: Option<Ipv4Addr> = None;
    let mut found = Vec::new();
    for line in trie.split(|b| *b == b'\n').map(<[u8]>::trim_ascii) {
        if let Some(address) = line.strip_prefix(b"|-- ") {
            leaf = std::str::from_utf8(address).ok().and_then(|text| text.parse().ok());
        } else if line == b"/32 host LOCAL" {
            found.extend(leaf.take());
        }
    }
    // The trie is told once for each table.
    found.sort_unstable();
    found.dedup();
    found
}

/// Tells on which interface an address lies, by the smallest network on a link that has it: an address without one, as
/// those of `lo`, lies on `lo`.
fn home(address: Ipv4Addr, networks: &[(Ipv4Addr, u8, RawText)]) -> (RawText, u8) {
    let within = |(network, prefix, _): &&(Ipv4Addr, u8, RawText)| {
        let mask = u32::MAX.checked_shl(32 - u32::from(*prefix)).unwrap_or(0);
        (address.to_bits() ^ network.to_bits()) & mask == 0 && *prefix > 0
    };
    match networks.iter().filter(within).max_by_key(|(_, prefix, _)| *prefix) {
        Some((_, prefix, name)) => (name.clone(), *prefix),
        None => ("lo".into(), if address.is_loopback() { 8 } else { 32 }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_tables_are_understood() {
        let line = b"fe8000000000000000fc00fffe000001 04 40 20 80     eth0";
        let (name, address, prefix) = inet6(line).unwrap();
        assert_eq!((name.as_bytes(), prefix), (&b"eth0"[..], 64));
        assert_eq!(address.to_string(), "fe80::fc:ff:fe00:1");
        for bad in ["", "fe80 04 40 20 80 eth0", "fe8000000000000000fc00fffe000001 04 40 20"] {
            assert!(inet6(bad.as_bytes()).is_none(), "{bad}");
        }
        let trie = b"Local:\n  +-- 0.0.0.0/0 3 0 5\n     |-- 127.0.0.1\n        /32 host LOCAL\n     |-- 192.0.2.0\n        \
            /24 link UNICAST\n     |-- 192.0.2.2\n        /32 host LOCAL\n        /32 link UNICAST\nMain:\n     |-- 127.0.0.1\n        /32 host LOCAL\n";
        let found: Vec<String> = local(trie).iter().map(ToString::to_string).collect();
        assert_eq!(found, ["127.0.0.1", "192.0.2.2"]);
        let networks = [("192.0.2.0", 24, "eth0"), ("192.0.2.0", 28, "vpn0"), ("0.0.0.0", 0, "ppp0")]
            .map(|(network, prefix, name)| (network.parse().unwrap(), prefix, name.into()));
        assert_eq!(home("192.0.2.2".parse().unwrap(), &networks), ("vpn0".into(), 28));
        assert_eq!(home("192.0.2.99".parse().unwrap(), &networks), ("eth0".into(), 24));
        assert_eq!(home("127.0.0.2".parse().unwrap(), &networks), ("lo".into(), 8));
    }
}
