//! The key with which a server signs its cases: ed25519, made when the first case is.

use super::{CASE_NAMESPACE, CaseError, fail};
use crate::registration::random;
use ssh_key::{
    HashAlg, LineEnding, PrivateKey,
    private::{Ed25519Keypair, KeypairData},
};
use std::{
    fs::{self, OpenOptions},
    io::{self, Write as _},
    os::unix::fs::OpenOptionsExt as _,
    path::Path,
};

/// Below the data directory; with `.pub` the public half.
const NAME: &str = "case-key";

/// The key for cases.
#[derive(Debug)]
pub struct CaseKey(PrivateKey);

impl CaseKey {
    /// Reads the key of a data directory; makes one where there is none.
    ///
    /// # Errors
    /// [`CaseError::Io`], [`CaseError::Key`] where the file holds something else.
    pub fn of(data_dir: &Path) -> Result<Self, CaseError> {
        let path = data_dir.join(NAME);
        if let Some(key) = Self::read(&path)? {
            return Ok(key);
        }
        let seed = random::<32>().map_err(fail("make", &path))?;
        let bad = |e: ssh_key::Error| CaseError::Key { path: path.clone(), detail: e.to_string() };
        let key = PrivateKey::new(KeypairData::from(Ed25519Keypair::from_seed(&seed)), "pofrs case")
            .map_err(bad)?;
        let text = key.to_openssh(LineEnding::LF).map_err(bad)?;
        let mut part = path.clone().into_os_string();
        part.push(format!(".{}.part", std::process::id()));
        let part = std::path::PathBuf::from(part);
        write(&part, text.as_bytes(), 0o600)?;
        // A link, not a renaming: where two make a key at once, the first stays.
        let linked = fs::hard_link(&part, &path);
        fs::remove_file(&part).map_err(fail("remove", &part))?;
        match linked {
            Err(cause) if cause.kind() != io::ErrorKind::AlreadyExists => {
                return Err(fail("make", &path)(cause));
            }
            _ => {}
        }
        let key = Self::read(&path)?
            .ok_or_else(|| CaseError::Key { path: path.clone(), detail: "it vanished".to_owned() })?;
        let public = data_dir.join(format!("{NAME}.pub"));
        let _ = fs::remove_file(&public);
        write(&public, format!("{}\n", key.public_line()).as_bytes(), 0o644)?;
        Ok(key)
    }

    fn read(path: &Path) -> Result<Option<Self>, CaseError> {
        let text = match fs::read(path) {
            Err(cause) if cause.kind() == io::ErrorKind::NotFound => return Ok(None),
            other => other.map_err(fail("read", path))?,
        };
        let bad = |detail: String| CaseError::Key { path: path.to_owned(), detail };
        let key = PrivateKey::from_openssh(&text).map_err(|e| bad(e.to_string()))?;
        match key.key_data() {
            KeypairData::Ed25519(_) => Ok(Some(Self(key))),
            _ => Err(bad("it is no ed25519 key without a passphrase".to_owned())),
        }
    }

    /// Returns the public key as in `authorized_keys`.
    #[must_use]
    pub fn public_line(&self) -> String {
        self.0.public_key().to_openssh().unwrap_or_default().trim().to_owned()
    }

    /// Returns the public key's fingerprint, as `ssh-keygen -l` shows it.
    #[must_use]
    pub fn fingerprint(&self) -> String {
        self.0.fingerprint(HashAlg::Sha256).to_string()
    }

    /// Returns an armored SSHSIG of `message`.
    pub(super) fn sign(&self, message: &[u8]) -> Result<String, CaseError> {
        let signed = self.0.sign(CASE_NAMESPACE, HashAlg::Sha512, message);
        signed
            .and_then(|signature| signature.to_pem(LineEnding::LF))
            .map_err(|e| CaseError::Key { path: NAME.into(), detail: e.to_string() })
    }
}

fn write(path: &Path, bytes: &[u8], mode: u32) -> Result<(), CaseError> {
    let written = (|| {
        let mut file = OpenOptions::new().write(true).create_new(true).mode(mode).open(path)?;
        file.write_all(bytes)?;
        file.sync_all()
    })();
    written.map_err(fail("write", path))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::PermissionsExt as _;

    #[test]
    fn the_first_key_stays_and_is_private() {
        let dir = tempfile::tempdir().unwrap();
        let key = CaseKey::of(dir.path()).unwrap();
        assert_eq!(CaseKey::of(dir.path()).unwrap().public_line(), key.public_line());
        let path = dir.path().join(NAME);
        assert_eq!(path.metadata().unwrap().permissions().mode() & 0o777, 0o600);
        let public = fs::read_to_string(dir.path().join("case-key.pub")).unwrap();
        assert_eq!(public.trim(), key.public_line());
        fs::write(&path, "rubbish").unwrap();
        assert!(matches!(CaseKey::of(dir.path()), Err(CaseError::Key { .. })));
    }
}
