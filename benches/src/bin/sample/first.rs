//! A snapshot as the first POFR's client sends it: one line a process with the names of its open files, the kernel's socket
//! tables as they are, each half in gzip.

use crate::ways::Reading;
use flate2::{Compression, write::GzEncoder};
use pofr_core::{fact::Fact, identity::Pid};
use std::{collections::BTreeMap, io::Write as _};

/// Returns how many bytes the snapshot has of what a reading shows.
pub(crate) fn snapshot_bytes(reading: &Reading) -> anyhow::Result<usize> {
    let mut files: BTreeMap<Pid, Vec<u8>> = BTreeMap::new();
    for fact in &reading.process.facts {
        if let Fact::File(file) = fact {
            let names = files.entry(file.key.entity.pid()).or_default();
            names.extend(file.key.path.as_bytes());
            names.push(b' ');
        }
    }
    let mut processes = Vec::new();
    for fact in &reading.process.facts {
        let Fact::Process(process) = fact else { continue };
        let (key, [ruid, euid, rgid, egid]) = (&process.key, process.key.ids.numbers());
        let pid = key.entity.pid();
        write!(processes, "1,2###{}###{}###", pid.0, key.ppid.0)?;
        write!(processes, "{ruid}###{euid}###{rgid}###{egid}###")?;
        for part in [key.comm.as_bytes(), process.arguments().map_or(b"", |a| a.as_bytes())] {
            processes.extend(part);
            processes.extend(b"###");
        }
        processes.extend(files.remove(&pid).unwrap_or_default());
        processes.push(b'\n');
    }
    let mut sockets = b"1,2###".to_vec();
    for table in ["tcp", "tcp6", "udp", "udp6"] {
        sockets.extend(std::fs::read(format!("/proc/net/{table}"))?);
        sockets.extend(b"###");
    }
    Ok(gzip(&processes)? + gzip(&sockets)?)
}

fn gzip(text: &[u8]) -> anyhow::Result<usize> {
    let mut gzip = GzEncoder::new(Vec::new(), Compression::default());
    gzip.write_all(text)?;
    Ok(gzip.finish()?.len())
}
