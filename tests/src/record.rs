//! Real records: what `pofrc` makes of this machine, and what `pofrs` has stored of it.

use crate::programs::program;
use pofr_core::{
    fact::FactKind,
    lifetime::Row,
    store::{ClientReader, Ledger, RowId, TableRef},
};
use std::{
    fs,
    path::{Path, PathBuf},
    process::{Command, Stdio},
};

/// Records this machine into `dir` for some seconds, twenty times a second, four bundles a second; returns the bundles in order.
///
/// # Panics
/// Where it does not work.
#[must_use]
pub fn record(dir: &Path, seconds: u64) -> Vec<PathBuf> {
    let mut pofrc = Command::new(program("pofrc"));
    pofrc.args([
        "record",
        "--for",
        &format!("{seconds}s"),
        "--interval",
        "50ms",
        "--bundle",
        "250ms",
        "--out",
    ]);
    assert!(pofrc.arg(dir).stdout(Stdio::null()).stderr(Stdio::null()).status().unwrap().success());
    bundles(dir)
}

/// Returns the bundles that lie in `dir`, in order.
///
/// # Panics
/// Where there is no such directory.
#[must_use]
pub fn bundles(dir: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(dir).unwrap().map(|entry| entry.unwrap().path());
    let mut bundles: Vec<PathBuf> =
        entries.filter(|path| path.extension().is_some_and(|e| e == "tar")).collect();
    bundles.sort();
    bundles
}

/// Puts a bundle into an inbox as who receives it does: whole, or not at all.
///
/// # Panics
/// Where that does not work.
pub fn deliver(bundle: &Path, inbox: &Path) {
    fs::create_dir_all(inbox).unwrap();
    let name = bundle.file_name().unwrap();
    let part = inbox.join(format!(".{}.part", name.to_str().unwrap()));
    fs::copy(bundle, &part).unwrap();
    fs::rename(part, inbox.join(name)).unwrap();
}

/// Returns every row that counts and what the ledger says of each bundle, ids, triads and times of arrival aside, in an order
/// that depends on none of them.
///
/// # Panics
/// Where the record cannot be read.
#[must_use]
pub fn contents(reader: &mut dyn ClientReader) -> Vec<String> {
    let (ledger, rows) = everything(reader, 5000);
    let mut all: Vec<String> = ledger
        .bundles
        .iter()
        .map(|bundle| {
            let mut line = serde_json::to_value(bundle).unwrap();
            line["triad"] = 0.into();
            line["entry"]["received"] = 0.into();
            line.to_string()
        })
        .collect();
    all.extend(rows.iter().map(|row| serde_json::to_string(row).unwrap()));
    all.sort();
    all
}

/// Returns the ledger and every row that counts, read so many at a time.
///
/// # Panics
/// Where the record cannot be read.
#[must_use]
pub fn everything(reader: &mut dyn ClientReader, page: u32) -> (Ledger, Vec<Row>) {
    let ledger = reader.ledger().unwrap();
    let mut rows = Vec::new();
    for kind in FactKind::ALL {
        let triads = ledger.live().map(|t| Some(t.id)).collect();
        for triad in if kind.in_triad() { triads } else { vec![None] } {
            let mut after = RowId(0);
            loop {
                let page = reader.page(TableRef { triad, kind }, after, page).unwrap();
                let Some((last, _)) = page.last() else { break };
                after = *last;
                rows.extend(page.into_iter().map(|(_, row)| row));
            }
        }
    }
    (ledger, rows)
}
