//! The committed bundles: eight tars that the first POFR's own client made, 146 snapshots in 45 s.

use pofr_core::wire::{
    name::BundleName,
    v1::{Caps, Decoded, Half, Paired, decode, pair, read_tar},
};
use std::{fs, path::PathBuf, sync::LazyLock};

/// Where they are.
pub(crate) fn dir() -> PathBuf {
    PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/../tests/fixtures/pofr-v1"))
}

/// The tars with their names, in the order of the names.
pub(crate) static TARS: LazyLock<Vec<(String, Vec<u8>)>> = LazyLock::new(|| {
    let mut tars: Vec<(String, Vec<u8>)> = fs::read_dir(dir())
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.extension().is_some_and(|e| e == "tar"))
        .map(|path| (path.file_name().unwrap().to_str().unwrap().to_owned(), fs::read(&path).unwrap()))
        .collect();
    tars.sort();
    assert_eq!(tars.len(), 8);
    for (name, bytes) in &tars {
        assert!(name.parse::<BundleName>().unwrap().names(bytes), "{name}");
    }
    tars
});

/// All halves of all tars.
pub(crate) static HALVES: LazyLock<Vec<Half>> =
    LazyLock::new(|| TARS.iter().flat_map(|(_, bytes)| read_tar(bytes, &Caps::default()).unwrap()).collect());

/// All snapshots, decoded.
pub(crate) static SNAPSHOTS: LazyLock<Vec<Decoded>> = LazyLock::new(|| {
    let Paired { snapshots, clashes } = pair(HALVES.iter().cloned());
    assert_eq!(clashes, []);
    snapshots.iter().map(|raw| decode(raw).unwrap()).collect()
});
