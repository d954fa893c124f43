//! Bundles of the first POFR's client, of a machine that changes as [`Machine`] does.

use crate::{Machine, stamp};
use flate2::{Compression, write::GzEncoder};
use pofr_core::{digest::Sha256, wire::name::BundleName};
use std::io::Write as _;

/// Makes the tar of `samples` snapshots, the first of which is number `from`; returns its name and bytes.
///
/// # Panics
/// Never: nothing is written but to memory.
#[must_use]
pub fn bundle(machine: &Machine, from: u32, samples: u32) -> (String, Vec<u8>) {
    let mut tar = tar::Builder::new(Vec::new());
    for n in from..from + samples {
        for (half, text) in [("proc", proc_half(machine, n)), ("net", net_half(machine, n))] {
            let mut gzip = GzEncoder::new(Vec::new(), Compression::default());
            gzip.write_all(&text).expect("memory takes all");
            let data = gzip.finish().expect("memory takes all");
            let mut header = tar::Header::new_ustar();
            header.set_size(data.len() as u64);
            header.set_mode(0o644);
            header.set_entry_type(tar::EntryType::Regular);
            let name = format!("dev/shm/{:016}#+0000.{half}.gz", stamp(n).0);
            tar.append_data(&mut header, name, data.as_slice()).expect("memory takes all");
        }
    }
    let tar = tar.into_inner().expect("memory takes all");
    let name =
        BundleName { stamp: stamp(from + samples), zone: Default::default(), sha256: Sha256::of(&tar) };
    (name.to_string(), tar)
}

/// Returns the processes that sample `n` shows, as [`Machine::processes`] has them.
fn shown(machine: &Machine, n: u32) -> impl Iterator<Item = u32> + use<> {
    let come = machine.processes + n * machine.churn;
    (0..machine.processes - machine.churn).chain(come..come + machine.churn)
}

fn proc_half(machine: &Machine, n: u32) -> Vec<u8> {
    let mut text = Vec::new();
    for i in shown(machine, n) {
        let (pid, kind) = (1000 + i, i % 50);
        let _ = write!(
            text,
            "1,2###{pid}###1###1000###1000###1000###1000###worker-{kind}###/usr/lib/app/worker-{kind}\0--slot={i}\0###"
        );
        for fd in 0..machine.files {
            let _ = write!(text, "{}/var/lib/app/data/{i}/segment-{fd:04}.db", if fd > 0 { " " } else { "" });
        }
        text.extend(b" \n");
    }
    text
}

const HEADER: &str =
    "  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode\n";

fn net_half(machine: &Machine, n: u32) -> Vec<u8> {
    let mut text = format!("1,2###{HEADER}").into_bytes();
    let churn = machine.churn.min(machine.endpoints);
    let come = machine.endpoints + n * churn;
    for i in (0..machine.endpoints - churn).chain(come..come + churn) {
        let peer = u32::from_le_bytes([10, 1, (i >> 8) as u8, i as u8]);
        let _ = writeln!(
            text,
            "  {:4}: 0100000A:01BB {peer:08X}:9C40 01 00000000:00000000 00:00000000 00000000    33        0 {} 1 0000000026e51ab7 20 0 0 10 -1",
            i % 10_000,
            u64::from(i) + 100_000
        );
    }
    let _ = write!(text, "###{HEADER}###{HEADER}###{HEADER}");
    text
}
