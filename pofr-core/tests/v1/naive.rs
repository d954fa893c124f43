//! A second reader of v1 bundles, written as simply as possible and sharing no code with the first: the tar's headers by
//! their offsets, everything else by splitting text. It knows only what the fixtures hold, and panics at anything else.

use std::{
    collections::{BTreeMap, BTreeSet},
    io::Read as _,
};

/// A process as text: pid, ppid, ruid, euid, rgid, egid, name, arguments.
pub(crate) type Process = [String; 8];
/// A file as text: pid of the holder, path, whether deleted.
pub(crate) type File = (String, String, bool);
/// An endpoint as text: transport, local, remote, state, inode, uid, pid of a holder.
pub(crate) type Endpoint = [String; 7];

/// What a snapshot shows. Processes and files may come twice, endpoints may not.
#[derive(Debug, Default, PartialEq)]
pub(crate) struct Shown {
    pub(crate) processes: Vec<Process>,
    pub(crate) files: Vec<File>,
    pub(crate) endpoints: BTreeSet<Endpoint>,
    pub(crate) gone: u64,
}

/// Reads tars into texts by member name.
pub(crate) fn members<'a>(tars: impl Iterator<Item = &'a [u8]>) -> BTreeMap<String, String> {
    let mut out = BTreeMap::new();
    for tar in tars {
        let mut at = 0;
        while tar[at] != 0 {
            let text = |from: usize, to: usize| {
                let field = &tar[at + from..at + to];
                String::from_utf8(field.split(|b| *b == 0).next().unwrap().to_vec()).unwrap()
            };
            let size = usize::from_str_radix(text(124, 136).trim(), 8).unwrap();
            if tar[at + 156] == b'0' {
                let mut plain = String::new();
                flate2::read::GzDecoder::new(&tar[at + 512..at + 512 + size])
                    .read_to_string(&mut plain)
                    .unwrap();
                assert_eq!(text(345, 500), "/dev/shm");
                assert_eq!(out.insert(text(0, 100), plain), None);
            }
            at += 512 + size.div_ceil(512) * 512;
        }
    }
    out
}

/// Reads all snapshots, by the µs in their names.
pub(crate) fn snapshots(members: &BTreeMap<String, String>) -> BTreeMap<i64, Shown> {
    let mut out: BTreeMap<i64, Shown> = BTreeMap::new();
    for (name, text) in members {
        let stamp = name.split('#').next().unwrap().parse().unwrap();
        if name.ends_with(".proc.gz") {
            read_proc(text, out.entry(stamp).or_default());
        }
    }
    for (name, text) in members {
        let stamp = name.split('#').next().unwrap().parse().unwrap();
        if name.ends_with(".net.gz") {
            read_net(text, out.get_mut(&stamp).unwrap());
        }
    }
    out
}

fn read_proc(text: &str, shown: &mut Shown) {
    for line in text.lines() {
        let f: Vec<&str> = line.split("###").collect();
        assert_eq!(f.len(), 10, "{line}");
        if f[0].split(',').any(|own| own == f[1]) {
            continue;
        }
        if f[2].is_empty() {
            shown.gone += 1;
            continue;
        }
        let mut process: Process = std::array::from_fn(|i| f[i + 1].to_owned());
        if process[7] == "--NOCMDARGENTRY--" {
            process[7].clear();
        }
        shown.processes.push(process);
        let files = &f[9][..f[9].len() - 1];
        if files != "POFRv1NOOPENFILES" {
            for file in files.split(' ') {
                let deleted = file.ends_with("___(deleted)");
                shown.files.push((f[1].to_owned(), file.replace("___(deleted)", ""), deleted));
            }
        }
    }
    shown.processes.sort();
    shown.files.sort();
}

fn read_net(text: &str, shown: &mut Shown) {
    let parts: Vec<&str> = text.split("###").collect();
    for (i, transport) in [(1, "tcp"), (2, "tcp"), (3, "udp"), (4, "udp")] {
        for line in parts[i].lines().skip(1) {
            let c: Vec<&str> = line.split_whitespace().collect();
            let state = match c[3] {
                "01" => "ESTAB",
                "06" => "TIME-WAIT",
                "0A" => "LISTEN",
                other => panic!("state {other} is not in the fixtures"),
            };
            let uid = if state == "TIME-WAIT" { "-" } else { c[7] };
            let link = format!("socket:[{}]", c[9]);
            let mut holders: Vec<&str> =
                shown.files.iter().filter(|f| f.1 == link).map(|f| f.0.as_str()).collect();
            if holders.is_empty() {
                holders.push("-");
            }
            for holder in holders {
                let columns = [transport, &ipv4(c[1]), &ipv4(c[2]), state, c[9], uid, holder];
                shown.endpoints.insert(columns.map(str::to_owned));
            }
        }
    }
}

/// `0100007F:918F` is 127.0.0.1:37263.
fn ipv4(text: &str) -> String {
    let n = |from: usize, to: usize| u32::from_str_radix(&text[from..to], 16).unwrap();
    assert_eq!(text.len(), 13, "the fixtures' IPv6 tables are empty");
    format!("{}.{}.{}.{}:{}", n(6, 8), n(4, 6), n(2, 4), n(0, 2), n(9, 13))
}
