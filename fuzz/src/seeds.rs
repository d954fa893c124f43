//! Good bytes for the formats: the fixtures that the tests keep of every version.

use std::{
    fs,
    io::Read as _,
    path::{Path, PathBuf},
};

/// The bytes of every tar of a directory of fixtures.
fn fixtures(name: &str) -> Vec<Vec<u8>> {
    let dir: PathBuf = [env!("CARGO_MANIFEST_DIR"), "../tests/fixtures", name].iter().collect();
    let entries = fs::read_dir(dir).into_iter().flatten().flatten().map(|entry| entry.path());
    let tars = entries.filter(|path: &PathBuf| path.extension() == Some("tar".as_ref()));
    tars.filter_map(|path: PathBuf| fs::read::<&Path>(&path).ok()).collect()
}

pub(crate) fn v1_tars() -> Vec<Vec<u8>> {
    let mut tars = fixtures("pofr-v1");
    tars.sort_by_key(Vec::len);
    tars.truncate(2);
    tars
}

/// The texts of the first POFR's snapshots.
pub(crate) fn v1_halves() -> Vec<Vec<u8>> {
    let caps = pofr_core::wire::v1::Caps::default();
    let halves = v1_tars()
        .into_iter()
        .filter_map(|tar| pofr_core::wire::v1::read_tar(&tar, &caps).ok())
        .flatten()
        .take(6);
    // A fuzzer is quicker with little.
    halves.map(|half| half.text.into_iter().take(4096).collect()).collect()
}

pub(crate) fn v2_bundles() -> Vec<Vec<u8>> {
    fixtures("pofr-v2")
}

/// The messages of a bundle's stream, before compression.
pub(crate) fn v2_messages() -> Vec<Vec<u8>> {
    let tars = v2_bundles();
    tars.iter()
        .filter_map(|tar| {
            let mut archive = tar::Archive::new(&**tar);
            let mut entries = archive.entries().ok()?.flatten();
            let records =
                entries.find(|entry| entry.path().is_ok_and(|path| path.as_os_str() == "records.pb.zst"))?;
            let mut messages = Vec::new();
            zstd::stream::read::Decoder::new(records).ok()?.read_to_end(&mut messages).ok()?;
            Some(messages)
        })
        .collect()
}
