//! Packing: the list of digests first, its signature, then what is listed.

use super::{CASE_NAMESPACE, CaseError, CaseKey, SEAL, SIGNER, SUMS, TOP, fail};
use pofr_core::{
    digest::{Hashing, Sha256},
    time::WallMicros,
};
use std::{
    fmt::Write as _,
    fs::File,
    io::{self, Read, Write},
    path::PathBuf,
};

/// What a member holds.
#[derive(Clone, Debug)]
pub enum Content {
    /// These bytes.
    Bytes(Vec<u8>),
    /// What is in a file, which is read twice, and must be the same.
    File(PathBuf),
}

/// A member of a case.
#[derive(Clone, Debug)]
pub struct Member {
    /// Its name within the case, without a line's end in it.
    pub name: String,
    /// What it holds.
    pub content: Content,
}

impl Member {
    /// Makes a member of bytes.
    #[must_use]
    pub fn new(name: impl Into<String>, bytes: impl Into<Vec<u8>>) -> Self {
        Self { name: name.into(), content: Content::Bytes(bytes.into()) }
    }

    /// Makes a member of a file.
    #[must_use]
    pub fn file(name: impl Into<String>, path: impl Into<PathBuf>) -> Self {
        Self { name: name.into(), content: Content::File(path.into()) }
    }

    fn measure(&self) -> Result<(Sha256, u64), CaseError> {
        match &self.content {
            Content::Bytes(bytes) => Ok((Sha256::of(bytes), bytes.len() as u64)),
            Content::File(path) => {
                let mut reader = Hashed::new(File::open(path).map_err(fail("open", path))?);
                let size = io::copy(&mut reader, &mut io::sink()).map_err(fail("read", path))?;
                Ok((reader.hashing.finish(), size))
            }
        }
    }
}

/// Writes a case of these members, in this order behind the list and its signature; returns the digest of the list.
///
/// # Errors
/// [`CaseError`]; what was written until then is no case.
pub fn pack(
    members: &[Member],
    key: &CaseKey,
    at: WallMicros,
    out: &mut dyn Write,
) -> Result<Sha256, CaseError> {
    let line = key.public_line();
    let signer = Member::new(SIGNER, format!("{line}\n"));
    let signers = Member::new("allowed_signers", format!("pofr namespaces=\"{CASE_NAMESPACE}\" {line}\n"));
    let members: Vec<&Member> = [&signer, &signers].into_iter().chain(members).collect();
    let mut sums = String::new();
    let mut sizes = Vec::with_capacity(members.len());
    for member in &members {
        let (sha256, size) = member.measure()?;
        let _ = writeln!(sums, "{sha256}  {}", member.name);
        sizes.push((sha256, size));
    }
    let seal = key.sign(sums.as_bytes())?;
    let mut tar = tar::Builder::new(out);
    let archive = |cause| CaseError::Archive { action: "write", cause };
    let mut append = |name: &str, size: u64, from: &mut dyn Read| {
        let mut header = tar::Header::new_ustar();
        header.set_size(size);
        header.set_mode(0o600);
        header.set_mtime(u64::try_from(at.0 / 1_000_000).unwrap_or(0));
        header.set_entry_type(tar::EntryType::Regular);
        tar.append_data(&mut header, format!("{TOP}/{name}"), from).map_err(archive)
    };
    append(SUMS, sums.len() as u64, &mut sums.as_bytes())?;
    append(SEAL, seal.len() as u64, &mut seal.as_bytes())?;
    for (member, (sha256, size)) in members.iter().zip(sizes) {
        match &member.content {
            Content::Bytes(bytes) => append(&member.name, size, &mut bytes.as_slice())?,
            Content::File(path) => {
                let mut reader = Hashed::new(File::open(path).map_err(fail("open", path))?.take(size));
                append(&member.name, size, &mut reader)?;
                if reader.hashing.finish() != sha256 {
                    return Err(CaseError::Changed(path.clone()));
                }
            }
        }
    }
    tar.into_inner().map_err(archive)?.flush().map_err(archive)?;
    Ok(Sha256::of(sums.as_bytes()))
}

/// A reader that hashes what is read through it.
pub(super) struct Hashed<R> {
    inner: R,
    pub(super) hashing: Hashing,
}

impl<R> Hashed<R> {
    pub(super) fn new(inner: R) -> Self {
        Self { inner, hashing: Hashing::default() }
    }
}

impl<R: Read> Read for Hashed<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let n = self.inner.read(buffer)?;
        self.hashing.add(&buffer[..n]);
        Ok(n)
    }
}
