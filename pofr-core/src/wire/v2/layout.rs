//! The layout of a bundle's tar: its manifest, and where the records stand, found without reading those.

use super::{
    Manifest, WireError,
    bundle::{MANIFEST, RECORDS},
};
use crate::limits;
use std::io::{Read, Seek};

/// What is where in a bundle's tar.
#[derive(Clone, Debug)]
pub struct Layout {
    /// What the bundle says of itself; nothing of it is checked against the records.
    pub manifest: Manifest,
    /// Where the bytes of the records begin in the tar.
    pub records_at: u64,
    /// How many there are.
    pub records_len: u64,
}

/// Finds the parts of a bundle's tar. For who made the bundle: nothing is verified, as [`open`](super::open) does.
///
/// # Errors
/// [`WireError`], naming the member that is missing or wrong.
pub fn layout(tar: impl Read + Seek) -> Result<Layout, WireError> {
    let mut archive = tar::Archive::new(tar);
    let (mut manifest, mut records) = (None, None);
    for entry in archive.entries_with_seek().map_err(|e| WireError::malformed("tar", e))? {
        let entry = entry.map_err(|e| WireError::malformed("tar", e))?;
        let name = entry.path_bytes().into_owned();
        if name == MANIFEST.as_bytes() {
            let mut bytes = Vec::new();
            entry
                .take(limits::MANIFEST.read)
                .read_to_end(&mut bytes)
                .map_err(|e| WireError::malformed(MANIFEST, e))?;
            manifest = Some(Manifest::parse(&bytes)?);
        } else if name == RECORDS.as_bytes() {
            records = Some((entry.raw_file_position(), entry.size()));
        }
    }
    let manifest = manifest.ok_or_else(|| WireError::malformed(MANIFEST, "missing"))?;
    let (records_at, records_len) = records.ok_or_else(|| WireError::malformed(RECORDS, "missing"))?;
    Ok(Layout { manifest, records_at, records_len })
}
