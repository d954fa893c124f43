//! The parsers of what a user or the kernel writes, for the fuzz targets: each with what must hold of it, and some good bytes.
//!
//! No part of the interface: only there with the feature `fuzzing`, and in this crate's own tests.

/// A parser: its name, what must hold of any bytes, good bytes to begin with.
pub type Target = (&'static str, fn(&[u8]), fn() -> Vec<Vec<u8>>);

/// Every one.
pub const TARGETS: [Target; 9] = [
    ("stat", crate::samplers::process::stat::fuzz, || own("stat")),
    ("status", crate::samplers::process::status::fuzz, || own("status")),
    ("mountinfo", crate::programs::file_id::fuzz, mounts),
    ("auth_log", crate::events::login::accepted::fuzz, logins),
    ("connector", crate::events::process::message::fuzz, connector),
    ("taskstats", crate::netlink::taskstats::stats::fuzz, taskstats),
    ("sock_diag", crate::samplers::endpoint::diag::fuzz, sockets),
    ("destroyed", crate::events::sockets::message::fuzz, sockets),
    ("fanotify", crate::events::files::event::fuzz, opens),
];

/// Of this process and of a kernel thread.
fn own(name: &str) -> Vec<Vec<u8>> {
    let paths = ["self", "1", "2"].map(|pid| format!("/proc/{pid}/{name}"));
    let mut seeds: Vec<_> = paths.iter().filter_map(|path| std::fs::read(path).ok()).collect();
    seeds.push(
        b"812 (it's) R 1 (x) S 811 812 810 34816 812 4194304 111 0 0 0 1 2 0 0 20 0 1 0 54063 2777088 219\n"
            .to_vec(),
    );
    seeds.push(
        b"Name:\tx\\nUid:\t0\nState:\tZ (zombie)\nPPid:\t7\nUid:\t1\t2\t3\t4\nGid:\t5\t6\t7\t8\n".to_vec(),
    );
    seeds
}

fn mounts() -> Vec<Vec<u8>> {
    let line =
        b"36 22 0:32 / /mnt rw,noatime master:1 - fuse.sshfs host: rw\n37 22 0:33 / /t rw - tmpfs tmpfs rw\n";
    [std::fs::read("/proc/self/mountinfo").ok(), Some(line.to_vec())].into_iter().flatten().collect()
}

fn logins() -> Vec<Vec<u8>> {
    let lines: [&[u8]; 4] = [
        b"2026-11-23T10:00:00.123456+01:00 web sshd[812]: Accepted publickey for ann from 192.0.2.7 port 51234 ssh2: ED25519 SHA256:JfA",
        b"Nov  3 10:00:00 web sshd-session[812]: Accepted password for ann from 2001:db8::7 port 51234 ssh2",
        b"Nov 23 10:00:00 web sshd[7]: Accepted keyboard-interactive/pam for ann from fe80::1%eth0 port 22 ssh2",
        b"Nov 23 10:00:00 web sshd[7]: Accepted publickey for ann from 192.0.2.7 port 5 ssh2: ED25519-CERT SHA256:Jf ID ann (serial 0) CA ED25519 SHA256:Q",
    ];
    lines.into_iter().map(<[u8]>::to_vec).collect()
}

/// A netlink message (netlink(7)): header, then what it carries.
fn message(kind: u16, payload: &[u8]) -> Vec<u8> {
    let mut bytes = Vec::new();
    crate::netlink::push_header(&mut bytes, payload.len(), kind, 0, 7);
    bytes.extend_from_slice(payload);
    bytes
}

fn connector() -> Vec<Vec<u8>> {
    let each = [0_u32, 1, 2, 4, 0x40, 0x80, 0x200, 0x8000_0000].map(|what| {
        let words = [1, 1, 77, 0, 40, what, 3, 5, 0, 8, 9, 10, 11, 12, 13, 14, 15];
        message(3, &words.map(u32::to_ne_bytes).concat())
    });
    let all = each.concat();
    each.into_iter().chain([all]).collect()
}

/// An attribute (`struct nlattr`) with its padding.
fn attribute(kind: u16, content: &[u8]) -> Vec<u8> {
    let length = u16::try_from(content.len() + 4).unwrap_or(u16::MAX);
    let mut bytes = [length.to_ne_bytes(), kind.to_ne_bytes()].concat();
    bytes.extend_from_slice(content);
    bytes.resize(bytes.len().next_multiple_of(4), 0);
    bytes
}

fn taskstats() -> Vec<Vec<u8>> {
    let stats = |version: u16, size: usize| {
        let mut stats: Vec<u8> = (0..=255).cycle().take(size).collect();
        stats[..2].copy_from_slice(&version.to_ne_bytes());
        stats
    };
    let whole = |of: [u16; 2], version, size| {
        let inner = [attribute(of[1], &812_u32.to_ne_bytes()), attribute(3, &stats(version, size))].concat();
        message(25, &[vec![1, 1, 0, 0], attribute(of[0], &inner)].concat())
    };
    vec![whole([4, 1], 14, 432), whole([5, 2], 8, 328), whole([4, 1], 16, 500), whole([4, 1], 15, 500)]
}

fn sockets() -> Vec<Vec<u8>> {
    let each = [(2_u8, 1_u8), (10, 10), (2, 7)].map(|(family, state)| {
        let mut socket = vec![family, state, 0, 0];
        socket.extend((4_u8..72).map(|at| at.wrapping_mul(7)));
        socket.extend(attribute(10, &[if state == 7 { 17 } else { 6 }]));
        message(20, &socket)
    });
    let all = each.concat();
    each.into_iter().chain([all]).collect()
}

/// What fanotify tells beside an event: a handle of a directory or a file, and a name (fanotify(7)).
pub(crate) fn file_info(kind: u8, name: &[u8]) -> Vec<u8> {
    let mut info = vec![kind, 0, 0, 0];
    info.extend([1; 8]);
    info.extend(8_u32.to_ne_bytes());
    info.extend(1_i32.to_ne_bytes());
    info.extend([kind; 8]);
    info.extend_from_slice(name);
    info.resize(info.len().next_multiple_of(4), 0);
    let length = u16::try_from(info.len()).unwrap_or(u16::MAX);
    info[2..4].copy_from_slice(&length.to_ne_bytes());
    info
}

/// A whole event of fanotify, as the kernel lays it out.
pub(crate) fn file_event(mask: u64, infos: &[Vec<u8>]) -> Vec<u8> {
    let infos = infos.concat();
    let mut event = u32::try_from(24 + infos.len()).unwrap_or(u32::MAX).to_ne_bytes().to_vec();
    event.extend([3, 0]);
    event.extend(24_u16.to_ne_bytes());
    event.extend(mask.to_ne_bytes());
    event.extend((-1_i32).to_ne_bytes());
    event.extend(812_i32.to_ne_bytes());
    event.extend(infos);
    event
}

fn opens() -> Vec<Vec<u8>> {
    let opened = file_event(0x20, &[file_info(2, b"pass\xffwd\0"), file_info(1, b"")]);
    let renamed =
        file_event(0x1000_0000, &[file_info(10, b"old\0"), file_info(12, b"new name\0"), file_info(1, b"")]);
    vec![[opened.clone(), renamed.clone()].concat(), opened, renamed]
}

#[cfg(test)]
mod tests {
    use super::TARGETS;

    #[test]
    fn hostile_bytes_are_answered() {
        for (name, check, seeds) in TARGETS {
            let seeds = seeds();
            assert!(!seeds.is_empty(), "{name}");
            pofr_tests::mutate::attack(18, &seeds, 3_000, check);
        }
    }
}
