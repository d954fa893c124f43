//! A database of places, written for a test (MaxMind DB File Format Specification 2.0): an IPv6 tree with records of 24 bits.

use std::net::IpAddr;

/// Writes a database of the kind City in which each network (address and prefix length) has a country code and a city.
///
/// # Panics
/// Where networks overlap, or there are too many.
#[must_use]
pub fn mmdb(networks: &[(IpAddr, u8, &str, &str)]) -> Vec<u8> {
    // A node's two records: another node, or where in the data an entry begins.
    let mut nodes: Vec<[Record; 2]> = vec![[Record::Empty; 2]];
    let mut data = Vec::new();
    for (ip, prefix, country, city) in networks {
        let (bits, length) = match ip {
            IpAddr::V4(ip) => (u128::from(u32::from(*ip)), 96 + u32::from(*prefix)),
            IpAddr::V6(ip) => (u128::from(*ip), u32::from(*prefix)),
        };
        let mut node = 0;
        for depth in 0..length {
            let bit = usize::from(bits >> (127 - depth) & 1 == 1);
            if depth + 1 == length {
                assert!(matches!(nodes[node][bit], Record::Empty), "networks overlap");
                nodes[node][bit] = Record::Data(data.len());
            } else {
                if matches!(nodes[node][bit], Record::Empty) {
                    nodes.push([Record::Empty; 2]);
                    nodes[node][bit] = Record::Node(nodes.len() - 1);
                }
                let Record::Node(next) = nodes[node][bit] else { panic!("networks overlap") };
                node = next;
            }
        }
        map(&mut data, 2);
        text(&mut data, "country");
        map(&mut data, 1);
        text(&mut data, "iso_code");
        text(&mut data, country);
        text(&mut data, "city");
        map(&mut data, 1);
        text(&mut data, "names");
        map(&mut data, 1);
        text(&mut data, "en");
        text(&mut data, city);
    }
    let mut out = Vec::new();
    for record in nodes.iter().flatten() {
        let value = match record {
            Record::Empty => nodes.len(),
            Record::Node(node) => *node,
            Record::Data(at) => nodes.len() + 16 + at,
        };
        out.extend_from_slice(&u32::try_from(value).unwrap().to_be_bytes()[1..]);
    }
    out.extend_from_slice(&[0; 16]);
    out.extend(data);
    out.extend_from_slice(b"\xab\xcd\xefMaxMind.com");
    map(&mut out, 9);
    text(&mut out, "description");
    map(&mut out, 0);
    let number = |out: &mut Vec<u8>, name: &str, kind: u8, value: u32| {
        text(out, name);
        out.push(kind << 5 | 4);
        out.extend_from_slice(&value.to_be_bytes());
    };
    number(&mut out, "node_count", 6, u32::try_from(nodes.len()).unwrap());
    for (name, value) in [
        ("record_size", 24_u8),
        ("ip_version", 6),
        ("binary_format_major_version", 2),
        ("binary_format_minor_version", 0),
    ] {
        text(&mut out, name);
        out.extend_from_slice(&[5 << 5 | 1, value]);
    }
    text(&mut out, "database_type");
    text(&mut out, "Test-City");
    text(&mut out, "languages");
    // An array of one, an extended type: 11 is 7 and 4.
    out.extend_from_slice(&[1, 4]);
    text(&mut out, "en");
    text(&mut out, "build_epoch");
    // An unsigned number of 64 bits, another: 9 is 7 and 2.
    out.extend_from_slice(&[4, 2]);
    out.extend_from_slice(&1_700_000_000_u32.to_be_bytes());
    out
}

#[derive(Clone, Copy)]
enum Record {
    Empty,
    Node(usize),
    Data(usize),
}

fn map(out: &mut Vec<u8>, pairs: u8) {
    out.push(7 << 5 | pairs);
}

fn text(out: &mut Vec<u8>, text: &str) {
    let length = u8::try_from(text.len()).unwrap();
    match length {
        0..29 => out.push(2 << 5 | length),
        _ => out.extend_from_slice(&[2 << 5 | 29, length - 29]),
    }
    out.extend_from_slice(text.as_bytes());
}
