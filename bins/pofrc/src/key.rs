//! The client's key: made for POFR alone, for ssh to log in with and for bundles to be signed with.

use crate::state::write_private;
use anyhow::{Context as _, anyhow};
use pofr_collect::Signer;
use pofr_core::wire::link::BUNDLE_NAMESPACE;
use rsa::{
    BigUint, RsaPrivateKey,
    pkcs1v15::SigningKey,
    sha2::Sha512,
    signature::{SignatureEncoding as _, Signer as _},
};
use rustix::rand::{GetRandomFlags, getrandom};
use ssh_key::{
    Algorithm, HashAlg, LineEnding, Mpint, PrivateKey, Signature, SshSig,
    private::{Ed25519Keypair, KeypairData, RsaKeypair},
    rand_core::OsRng,
};
use std::{
    error::Error,
    io,
    path::{Path, PathBuf},
};

/// Bits of an RSA key.
const RSA_BITS: usize = 4_096;

/// What kinds of keys there are.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, clap::ValueEnum)]
pub(crate) enum KeyType {
    /// Small and quick
    #[default]
    Ed25519,
    /// For rules that demand it; making it takes some seconds
    Rsa4096,
}

/// A private key.
#[derive(Clone)]
pub(crate) struct ClientKey(PrivateKey);

impl ClientKey {
    /// Makes a new key.
    pub(crate) fn make(kind: KeyType) -> anyhow::Result<Self> {
        let data = match kind {
            KeyType::Ed25519 => {
                let mut seed = [0; 32];
                let mut filled = 0;
                while filled < seed.len() {
                    filled += getrandom(&mut seed[filled..], GetRandomFlags::empty())
                        .context("cannot get random bytes")?;
                }
                KeypairData::from(Ed25519Keypair::from_seed(&seed))
            }
            KeyType::Rsa4096 => {
                KeypairData::from(RsaKeypair::random(&mut OsRng, RSA_BITS).context("cannot make an RSA key")?)
            }
        };
        PrivateKey::new(data, "pofr").map(Self).context("cannot make a key")
    }

    /// Reads the key in `path`; `None` where there is none.
    pub(crate) fn read(path: &Path) -> anyhow::Result<Option<Self>> {
        let text = match std::fs::read(path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            other => other.with_context(|| format!("cannot read {}", path.display()))?,
        };
        let key = PrivateKey::from_openssh(&text).map_err(|error| anyhow!(error));
        key.map(|key| Some(Self(key))).with_context(|| format!("{} is no private key", path.display()))
    }

    /// Writes the key to `path`, and its public half beside it.
    pub(crate) fn write(&self, path: &Path) -> anyhow::Result<()> {
        let text = self.0.to_openssh(LineEnding::LF).context("cannot write down the key")?;
        write_private(path, text.as_bytes())?;
        write_private(&public_half(path), format!("{}\n", self.public_line()?).as_bytes())
    }

    /// Returns the public key as in `authorized_keys`.
    pub(crate) fn public_line(&self) -> anyhow::Result<String> {
        self.0.public_key().to_openssh().context("cannot write down the public key")
    }

    /// Returns the public key's fingerprint, as `ssh-keygen -l` shows it.
    pub(crate) fn fingerprint(&self) -> String {
        self.0.fingerprint(HashAlg::Sha256).to_string()
    }

    /// Returns an SSHSIG of `message`, armored.
    pub(crate) fn sign(&self, namespace: &str, message: &[u8]) -> Result<String, ssh_key::Error> {
        let signature = match self.0.key_data() {
            KeypairData::Rsa(pair) => sign_rsa(pair, namespace, message)?,
            _ => self.0.sign(namespace, HashAlg::Sha512, message)?,
        };
        signature.to_pem(LineEnding::LF)
    }
}

/// Signs with an RSA key. ssh-key 0.6 cannot: it puts a private key together of its first prime twice.
fn sign_rsa(pair: &RsaKeypair, namespace: &str, message: &[u8]) -> Result<SshSig, ssh_key::Error> {
    let number = |number: &Mpint| number.as_positive_bytes().map(BigUint::from_bytes_be);
    let (public, private) = (&pair.public, &pair.private);
    let parts = [&public.n, &public.e, &private.d, &private.p, &private.q].map(number);
    let [Some(n), Some(e), Some(d), Some(p), Some(q)] = parts else { return Err(ssh_key::Error::Crypto) };
    let key = RsaPrivateKey::from_components(n, e, d, vec![p, q]).map_err(|_| ssh_key::Error::Crypto)?;
    let data = SshSig::signed_data(namespace, HashAlg::Sha512, message)?;
    let signed = SigningKey::<Sha512>::new(key).try_sign(&data).map_err(|_| ssh_key::Error::Crypto)?;
    let algorithm = Algorithm::Rsa { hash: Some(HashAlg::Sha512) };
    let signature = Signature::new(algorithm, signed.to_vec())?;
    SshSig::new(pair.public.clone().into(), namespace, HashAlg::Sha512, signature)
}

/// Returns where the public half of the key in `path` is.
pub(crate) fn public_half(path: &Path) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(".pub");
    name.into()
}

impl Signer for ClientKey {
    fn sign(&self, manifest: &[u8]) -> Result<Vec<u8>, Box<dyn Error + Send + Sync>> {
        Ok(Self::sign(self, BUNDLE_NAMESPACE, manifest)?.into_bytes())
    }
}

impl std::fmt::Debug for ClientKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "ClientKey({})", self.fingerprint())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::PermissionsExt as _;
    use std::process::{Command, Stdio};

    #[test]
    fn a_key_is_private_and_ssh_keygen_agrees_with_what_it_signs() {
        let dir = tempfile::tempdir().unwrap();
        for kind in [KeyType::Ed25519, KeyType::Rsa4096] {
            let path = dir.path().join(format!("{kind:?}"));
            assert!(ClientKey::read(&path).unwrap().is_none());
            let key = ClientKey::make(kind).unwrap();
            key.write(&path).unwrap();
            assert_eq!(path.metadata().unwrap().permissions().mode() & 0o777, 0o600);
            let again = ClientKey::read(&path).unwrap().unwrap();
            assert_eq!(again.public_line().unwrap(), key.public_line().unwrap());

            let (signers, signature) = (dir.path().join("signers"), dir.path().join("signature"));
            std::fs::write(&signers, format!("me {}\n", key.public_line().unwrap())).unwrap();
            std::fs::write(&signature, again.sign("pofr-bundle", b"said").unwrap()).unwrap();
            let verify = |message: &[u8]| {
                let said = dir.path().join("said");
                std::fs::write(&said, message).unwrap();
                let mut keygen = Command::new("ssh-keygen");
                keygen.args(["-Y", "verify", "-n", "pofr-bundle", "-I", "me", "-f"]).arg(&signers);
                keygen.arg("-s").arg(&signature).stdin(std::fs::File::open(said).unwrap());
                keygen.stdout(Stdio::null()).stderr(Stdio::null()).status().unwrap().success()
            };
            assert!(verify(b"said") && !verify(b"not said"), "{kind:?}");
        }
    }
}
