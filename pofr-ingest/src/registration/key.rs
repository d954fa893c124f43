//! A client's public key, as it is registered.

use base64ct::{Base64, Base64Unpadded, Encoding as _};
use pofr_core::{digest::Sha256, raw::RawText};
use ssh_key::{Algorithm, HashAlg, PublicKey, SshSig};

/// The longest line that is looked at, bytes: RSA with 8192 bits has some 1,400.
const LONGEST: usize = 2048;
/// The smallest RSA modulus, bits.
const SMALLEST_RSA: usize = 3072;

/// Why a text is no key that a client may have.
#[derive(Clone, Debug, thiserror::Error, PartialEq, Eq)]
#[non_exhaustive]
pub enum KeyError {
    /// It is no line of an OpenSSH public key.
    #[error("that is no OpenSSH public key: {0}")]
    Unreadable(String),
    /// It is of a kind that is not taken.
    #[error("a key of type {0} is not taken; ed25519 is, and RSA of 3072 bits or more")]
    Type(String),
    /// The signature is not by this key, or not of these bytes.
    #[error("the signature is not by the client's key")]
    Signature,
}

/// A client's public key: ed25519, or RSA of at least 3072 bits; without comment.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ClientKey {
    key: PublicKey,
    line: String,
}

impl ClientKey {
    /// Reads one line as `ssh-keygen` writes it to `.pub`. Options before the key, as in `authorized_keys`, are no part of a key.
    ///
    /// # Errors
    /// [`KeyError::Unreadable`], [`KeyError::Type`].
    pub fn parse(text: &str) -> Result<Self, KeyError> {
        let text = text.trim();
        if text.len() > LONGEST || text.chars().any(char::is_control) {
            return Err(KeyError::Unreadable("it is more than one short line".into()));
        }
        let mut key = PublicKey::from_openssh(text).map_err(|e| KeyError::Unreadable(e.to_string()))?;
        match key.algorithm() {
            Algorithm::Ed25519 => {}
            Algorithm::Rsa { .. } => {
                let bits = key.key_data().rsa().and_then(|rsa| rsa.n.as_positive_bytes()).map_or(0, bits);
                if bits < SMALLEST_RSA {
                    return Err(KeyError::Type(format!("RSA of {bits} bits")));
                }
            }
            other => return Err(KeyError::Type(RawText::from(other.as_str()).escaped())),
        }
        // What a stranger writes there has no place in a file of ours.
        key.set_comment("");
        let line = key.to_openssh().map_err(|e| KeyError::Unreadable(e.to_string()))?;
        Ok(Self { key, line: line.trim().to_owned() })
    }

    /// Returns the line: type and base64, without comment.
    #[must_use]
    pub fn line(&self) -> &str {
        &self.line
    }

    /// Returns `SHA256:…`, as `ssh-keygen -l` shows it.
    #[must_use]
    pub fn fingerprint(&self) -> String {
        self.key.fingerprint(HashAlg::Sha256).to_string()
    }

    /// Checks an armored SSHSIG of `message`, made for `namespace`.
    ///
    /// # Errors
    /// [`KeyError::Signature`].
    pub fn verify(&self, namespace: &str, message: &[u8], armored: &str) -> Result<(), KeyError> {
        let signature = SshSig::from_pem(armored).map_err(|_| KeyError::Signature)?;
        self.key.verify(namespace, message, &signature).map_err(|_| KeyError::Signature)
    }
}

/// Returns the fingerprint of any public key's line, `SHA256:…`, whatever its type; `None` where it is none.
#[must_use]
pub fn fingerprint_of(line: &str) -> Option<String> {
    let blob = Base64::decode_vec(line.split_whitespace().nth(1)?).ok()?;
    Some(format!("SHA256:{}", Base64Unpadded::encode_string(&Sha256::of(&blob).0)))
}

/// Returns how many bits a big-endian number has.
fn bits(bytes: &[u8]) -> usize {
    bytes.len() * 8 - bytes.first().map_or(0, |b| b.leading_zeros() as usize)
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;
    use ssh_key::{LineEnding, PrivateKey, private::Ed25519Keypair};

    /// A key pair that is always the same.
    pub(in crate::registration) fn pair(seed: u8) -> PrivateKey {
        PrivateKey::from(Ed25519Keypair::from_seed(&[seed; 32]))
    }

    pub(in crate::registration) fn line(seed: u8) -> String {
        pair(seed).public_key().to_openssh().unwrap()
    }

    pub(in crate::registration) fn sign(seed: u8, namespace: &str, message: &[u8]) -> String {
        pair(seed).sign(namespace, HashAlg::Sha512, message).unwrap().to_pem(LineEnding::LF).unwrap()
    }

    #[test]
    fn a_key_is_taken_without_its_comment_and_verifies_its_own() {
        let key = ClientKey::parse(&format!("{} root@host\n", line(1))).unwrap();
        assert_eq!(key.line(), line(1));
        assert!(key.fingerprint().starts_with("SHA256:"));
        assert_eq!(fingerprint_of(&line(1)), Some(key.fingerprint()));
        assert_eq!((fingerprint_of("ssh-ed25519"), fingerprint_of("a b!")), (None, None));
        let signature = sign(1, "a", b"nonce");
        key.verify("a", b"nonce", &signature).unwrap();
        assert_eq!(key.verify("b", b"nonce", &signature), Err(KeyError::Signature), "another namespace");
        assert_eq!(key.verify("a", b"other", &signature), Err(KeyError::Signature), "other bytes");
        assert_eq!(key.verify("a", b"nonce", &sign(2, "a", b"nonce")), Err(KeyError::Signature));
        assert_eq!(key.verify("a", b"nonce", "rubbish"), Err(KeyError::Signature));
    }

    #[test]
    fn what_is_no_key_is_none() {
        let options = format!("command=\"sh\" {}", line(1));
        let two = format!("{}\n{}", line(1), line(2));
        let ecdsa = "ecdsa-sha2-nistp256 AAAAE2VjZHNhLXNoYTItbmlzdHAyNTYAAAAIbmlzdHAyNTYAAABBBGcMdO7s81j5VvBNE\
            CQ3bY6nWQ0zZC5RcmY0uuI3Bgdq4aMeCIs0ikEkpSc0fdLhAbhAzZAU2qjMjj7m/M2lHdM=";
        for bad in ["", "ssh-ed25519", "ssh-ed25519 !!!", &options, &two, &"x".repeat(5000), ecdsa] {
            ClientKey::parse(bad).unwrap_err();
        }
    }
}
