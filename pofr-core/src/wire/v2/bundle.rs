//! Bundles: the tar around manifest, signature and records.

use super::{Decoder, Header, Manifest, WireError, frames::stamp, manifest::Counts, within};
use crate::{
    collector::Closing,
    digest::Sha256,
    limits,
    record::Record,
    time::{WallMicros, ZoneOffset},
};
use std::{collections::BTreeMap, io::Read};

pub(super) const MANIFEST: &str = "manifest.json";
const SIGNATURE: &str = "manifest.sig";
pub(super) const RECORDS: &str = "records.pb.zst";

/// How much a bundle may hold. The defaults fit a machine of 10,000 processes at 20 Hz with room to spare.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// Bytes of the tar.
    pub tar: u64,
    /// Bytes of the records after decompression.
    pub records: u64,
}

impl Default for Limits {
    fn default() -> Self {
        Self { tar: limits::TAR.read, records: limits::RECORDS.read }
    }
}

/// A bundle made.
#[derive(Debug)]
pub struct Sealed {
    /// `<last stamp, µs, 16 digits>#<zone>#<sha256>.tar`.
    pub name: String,
    /// The bytes.
    pub tar: Vec<u8>,
    /// Their SHA-256.
    pub sha256: Sha256,
    /// The manifest within.
    pub manifest: Manifest,
}

/// Makes the bundle of a whole stream of frames, unsigned.
///
/// # Errors
/// [`WireError`] where `frames` is not a whole stream.
pub fn seal(frames: &[u8], complete: bool, closing: &Closing) -> Result<Sealed, WireError> {
    seal_signed(frames, complete, closing, |_| None)
}

/// The manifest's note by which a server says that it made the bundle of what was streamed.
const STREAMED: &str = "streamed";

/// Makes the bundle of what a client streamed of one that never came whole. The same bytes give the same bundle.
///
/// # Errors
/// [`WireError`] where `frames` is not a whole stream.
pub fn seal_streamed(frames: &[u8]) -> Result<Sealed, WireError> {
    let note = "made by the server of what was streamed; the whole bundle has not come";
    let notes = BTreeMap::from([(STREAMED.to_owned(), note.to_owned())]);
    seal(frames, false, &Closing { notes, ..Closing::default() })
}

/// Makes the bundle of a whole stream of frames; `sign` gets the manifest's bytes and returns its SSHSIG.
///
/// # Errors
/// [`WireError`] where `frames` is not a whole stream.
pub fn seal_signed(
    frames: &[u8],
    complete: bool,
    closing: &Closing,
    sign: impl FnOnce(&[u8]) -> Option<Vec<u8>>,
) -> Result<Sealed, WireError> {
    let mut decoder = Decoder::new(frames, u64::MAX)?;
    let mut counts = Counts::default();
    for record in decoder.by_ref() {
        let record = record?;
        counts.records += 1;
        if let Record::Sample(sample) = &record {
            *counts.samples.entry(sample.source.name().to_owned()).or_default() += 1;
        }
        if let Some(t) = stamp(&record) {
            counts.first = Some(counts.first.map_or(t, |first| first.min(t)));
            counts.last = Some(counts.last.map_or(t, |last| last.max(t)));
        }
    }
    let header = decoder.header();
    let closing = within::closing(closing);
    let manifest = Manifest::new(header, &counts, Sha256::of(frames), complete, &closing);
    let mut json = serde_json::to_vec_pretty(&manifest).map_err(|e| WireError::malformed(MANIFEST, e))?;
    json.push(b'\n');
    let named = counts.last.unwrap_or(header.opened_wall);
    let tar = pack(
        &[(MANIFEST, Some(&json)), (SIGNATURE, sign(&json).as_deref()), (RECORDS, Some(frames))],
        named,
    )?;
    let sha256 = Sha256::of(&tar);
    let name = bundle_name(named, header.zone, sha256);
    Ok(Sealed { name, tar, sha256, manifest })
}

/// Returns a bundle's file name.
fn bundle_name(stamp: WallMicros, zone: ZoneOffset, sha256: Sha256) -> String {
    format!("{:016}#{zone}#{sha256}.tar", stamp.0)
}

fn pack(members: &[(&str, Option<&[u8]>)], at: WallMicros) -> Result<Vec<u8>, WireError> {
    let mut builder = tar::Builder::new(Vec::new());
    for (name, bytes) in members {
        let Some(bytes) = bytes else { continue };
        let mut header = tar::Header::new_ustar();
        header.set_size(bytes.len() as u64);
        header.set_mode(0o600);
        header.set_mtime(u64::try_from(at.0 / 1_000_000).unwrap_or(0));
        header.set_entry_type(tar::EntryType::Regular);
        builder.append_data(&mut header, name, *bytes).map_err(|e| WireError::malformed(*name, e))?;
    }
    builder.into_inner().map_err(|e| WireError::malformed("tar", e))
}

/// A bundle whose parts have been found, and agree with each other and with their digests. Its records are not read yet.
#[derive(Debug)]
pub struct Bundle {
    /// What it says of itself.
    pub manifest: Manifest,
    /// The manifest's bytes, as they were signed.
    pub manifest_bytes: Vec<u8>,
    /// The SSHSIG, where there is one.
    pub signature: Option<Vec<u8>>,
    /// What the stream says of itself.
    pub header: Header,
    records: Vec<u8>,
    limits: Limits,
}

impl Bundle {
    /// Reads the records.
    ///
    /// # Errors
    /// [`WireError`]; the stream's items are results as well.
    pub fn records(&self) -> Result<Decoder<'_>, WireError> {
        Decoder::new(&self.records, self.limits.records)
    }

    /// Tells whether it says that a server made it of what was streamed ([`seal_streamed`]).
    #[must_use]
    pub fn is_streamed(&self) -> bool {
        self.signature.is_none() && !self.manifest.complete && self.manifest.notes.contains_key(STREAMED)
    }

    /// Returns the bytes of the records, which are a row of zstd frames.
    #[must_use]
    pub fn frames(&self) -> &[u8] {
        &self.records
    }
}

/// Opens a bundle's tar: exactly the members that the format names, each once, whole, and as announced.
///
/// # Errors
/// [`WireError`], naming the member.
pub fn open(tar: &[u8], limits: Limits) -> Result<Bundle, WireError> {
    if tar.len() as u64 > limits.tar {
        return Err(WireError::TooLarge { part: "tar".into(), limit: limits.tar });
    }
    let mut members: BTreeMap<&'static str, Vec<u8>> = BTreeMap::new();
    let mut archive = tar::Archive::new(tar);
    for entry in archive.entries().map_err(|e| WireError::malformed("tar", e))? {
        let mut entry = entry.map_err(|e| WireError::malformed("tar", e))?;
        let path = entry.path_bytes().into_owned();
        let shown = crate::raw::RawText::from(&*path).escaped();
        let Some(name) = [MANIFEST, SIGNATURE, RECORDS].into_iter().find(|name| name.as_bytes() == path)
        else {
            return Err(WireError::malformed("tar", format!("unexpected member {shown}")));
        };
        if entry.header().entry_type() != tar::EntryType::Regular {
            return Err(WireError::malformed(name, "not a regular file"));
        }
        // The size is the client's word; reading is bounded by the tar itself.
        let mut bytes = Vec::new();
        entry.read_to_end(&mut bytes).map_err(|e| WireError::malformed(name, e))?;
        if bytes.len() as u64 != entry.size() {
            return Err(WireError::malformed(name, "truncated"));
        }
        if members.insert(name, bytes).is_some() {
            return Err(WireError::malformed(name, "there twice"));
        }
    }
    let mut member =
        |name: &'static str| members.remove(name).ok_or_else(|| WireError::malformed(name, "missing"));
    let (manifest_bytes, records) = (member(MANIFEST)?, member(RECORDS)?);
    let signature = members.remove(SIGNATURE);
    if manifest_bytes.len() as u64 > limits::MANIFEST.read {
        return Err(WireError::TooLarge { part: MANIFEST.into(), limit: limits::MANIFEST.read });
    }
    let manifest = Manifest::parse(&manifest_bytes)?;
    let found = Sha256::of(&records);
    match Sha256::parse(&manifest.records_sha256) {
        Some(expected) if expected == found => {}
        Some(expected) => return Err(WireError::Digest { part: RECORDS.into(), expected, found }),
        None => return Err(WireError::malformed(MANIFEST, "records_sha256 is not a sha256")),
    }
    let header = Decoder::new(&records, limits.records)?.header().clone();
    manifest.agrees_with(&header)?;
    Ok(Bundle { manifest, manifest_bytes, signature, header, records, limits })
}
