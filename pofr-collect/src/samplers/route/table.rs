//! `/proc/net/route` and `/proc/net/ipv6_route` (proc_pid_net(5); net/ipv4/fib_trie.c, net/ipv6/route.c).

use crate::sys;
use pofr_core::fact::Route;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

// Flags of a route (include/uapi/linux/route.h, ipv6_route.h).
const REJECT: u32 = 0x0200;
const ANYCAST: u32 = 0x0010_0000;
const CACHE: u32 = 0x0100_0000;
const LOCAL: u32 = 0x8000_0000;

/// Reads the IPv4 table.
pub(crate) fn v4(table: &[u8]) -> Vec<Route> {
    table.split(|b| *b == b'\n').filter_map(line4).collect()
}

/// Reads the IPv6 table, without what belongs to the table `local`: our own addresses, anycast, multicast.
pub(super) fn v6(table: &[u8]) -> Vec<Route> {
    table.split(|b| *b == b'\n').filter_map(line6).collect()
}

/// Reads `eth0 000200C0 00000000 0001 0 0 0 00FFFFFF 0 0 0`, with tabs between: interface, destination, gateway, flags,
/// reference count, use, metric, mask. Addresses are 32-bit numbers of the machine that wrote them, whose bytes in memory are
/// in network order.
fn line4(line: &[u8]) -> Option<Route> {
    let fields: Vec<&[u8]> = line.split(|b| *b == b'\t').map(<[u8]>::trim_ascii).collect();
    let [interface, destination, gateway, flags, _, _, metric, mask, ..] = fields[..] else { return None };
    let address = |digits| Some(Ipv4Addr::from(number(digits)?.to_ne_bytes()));
    let gateway = address(gateway)?;
    let leads_nowhere = number(flags)? & REJECT != 0;
    Some(Route {
        destination: address(destination)?.into(),
        prefix: u8::try_from(number(mask)?.count_ones()).ok()?,
        gateway: (!gateway.is_unspecified()).then_some(IpAddr::V4(gateway)),
        // The interface of a route that leads nowhere is `*`.
        interface: if leads_nowhere { Default::default() } else { interface.into() },
        metric: sys::parse(metric)?,
    })
}

/// Reads `fe800000000000000000000000000000 40 00000000000000000000000000000000 00 00000000000000000000000000000000 00000100
/// 00000002 00000000 00000001     eth0`: destination and prefix, source and prefix, gateway, metric, reference count, use,
/// flags, interface.
fn line6(line: &[u8]) -> Option<Route> {
    let fields: Vec<&[u8]> = line.split(|b| *b == b' ').filter(|field| !field.is_empty()).collect();
    let [destination, prefix, _, _, gateway, metric, _, _, flags, interface] = fields[..] else {
        return None;
    };
    let address = |digits| {
        let bytes: [u8; 16] = pofr_core::digest::unhex(std::str::from_utf8(digits).ok()?)?;
        Some(Ipv6Addr::from(bytes))
    };
    let (destination, gateway, flags) = (address(destination)?, address(gateway)?, number(flags)?);
    if flags & (LOCAL | ANYCAST | CACHE) != 0 || destination.is_multicast() {
        return None;
    }
    // The end of every table: "no route", which no table of the kernel's own tool lists.
    if flags & REJECT != 0 && number(metric)? == u32::MAX {
        return None;
    }
    Some(Route {
        destination: destination.into(),
        prefix: u8::try_from(number(prefix)?).ok()?,
        gateway: (!gateway.is_unspecified()).then_some(IpAddr::V6(gateway)),
        interface: interface.into(),
        metric: number(metric)?,
    })
}

/// Reads a number in hex.
fn number(digits: &[u8]) -> Option<u32> {
    u32::from_str_radix(std::str::from_utf8(digits).ok()?, 16).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_no_route_of_the_main_table_is_left_out() {
        let header = "Iface\tDestination\tGateway \tFlags\tRefCnt\tUse\tMetric\tMask\t\tMTU\tWindow\tIRTT";
        assert_eq!(v4(header.as_bytes()), []);
        let nowhere = "*\t000200C0\t00000000\t0200\t0\t0\t7\t00FFFFFF\t0\t0\t0";
        let [route] = &v4(nowhere.as_bytes())[..] else { panic!("one route") };
        assert_eq!((route.interface.as_bytes(), route.metric, route.prefix), (&b""[..], 7, 24));
        let line = |destination: &str, prefix: &str, flags: &str| {
            let zero = "0".repeat(32);
            format!("{destination} {prefix} {zero} 00 {zero} 00000100 00000001 00000000 {flags}     eth0")
        };
        let fe80 = format!("fe8{}", "0".repeat(29));
        for (destination, prefix, flags, is_route) in [
            (fe80.as_str(), "40", "00000001", true),
            (&fe80, "80", "80200001", false),
            (&fe80, "80", "00100001", false),
            (&format!("ff{}", "0".repeat(30)), "08", "00000001", false),
            ("fe8", "40", "00000001", false),
        ] {
            let routes = v6(line(destination, prefix, flags).as_bytes());
            assert_eq!(routes.len(), usize::from(is_route), "{destination} {flags}");
        }
    }
}
