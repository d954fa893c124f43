//! Invitations: a token that has all a client needs to be registered, and what the server remembers of it.
//!
//! The token is `pofr1.` and base64url (RFC 4648, 5) of JSON: host, port, the server's host key, a private key made for this
//! one registration, the account to log in as, when it ends. So there is nothing to type and nothing to trust on first use. The
//! server keeps the public half alone. Whoever has the token can ask for one client, once; the administrator still decides.

use super::shelf::{self, ShelfError};
use base64ct::{Base64UrlUnpadded, Encoding as _};
use serde::{Deserialize, Serialize};
use ssh_key::{LineEnding, PrivateKey, PublicKey, private::Ed25519Keypair};
use std::path::{Path, PathBuf};

/// What a token begins with.
const PREFIX: &str = "pofr1.";
/// The longest token, bytes.
const LONGEST: usize = 8 << 10;

/// What a token says.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Invitation {
    /// The server's name or address.
    pub host: String,
    /// Its port.
    pub port: u16,
    /// Its host key, one OpenSSH line without comment.
    pub host_key: String,
    /// The private key, in OpenSSH's format.
    pub key: String,
    /// The account to log in as.
    pub account: String,
    /// When it ends, seconds since 1970.
    pub expires: i64,
}

/// Why a text is no invitation.
#[derive(Clone, Debug, thiserror::Error, PartialEq, Eq)]
#[non_exhaustive]
pub enum InvitationError {
    /// It does not look like one.
    #[error("that is no invitation: it begins with {PREFIX} and is one word")]
    Form,
    /// It looks like one, and has been cut or changed.
    #[error("the invitation is damaged: {0}")]
    Damaged(String),
}

impl Invitation {
    /// Writes the token.
    #[must_use]
    pub fn token(&self) -> String {
        // Strings and numbers alone: there is nothing in it that could not be JSON.
        let json = serde_json::to_vec(self).unwrap_or_default();
        format!("{PREFIX}{}", Base64UrlUnpadded::encode_string(&json))
    }

    /// Reads a token.
    ///
    /// # Errors
    /// [`InvitationError`].
    pub fn parse(token: &str) -> Result<Self, InvitationError> {
        let damaged = |e: &dyn std::fmt::Display| InvitationError::Damaged(e.to_string());
        let body = token.trim().strip_prefix(PREFIX).ok_or(InvitationError::Form)?;
        if body.len() > LONGEST {
            return Err(InvitationError::Form);
        }
        let json = Base64UrlUnpadded::decode_vec(body).map_err(|e| damaged(&e))?;
        let invitation: Self = serde_json::from_slice(&json).map_err(|e| damaged(&e))?;
        PublicKey::from_openssh(&invitation.host_key).map_err(|e| damaged(&e))?;
        PrivateKey::from_openssh(&invitation.key).map_err(|e| damaged(&e))?;
        Ok(invitation)
    }
}

/// What the server remembers of an invitation: `invites/<id>.json`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Invite {
    /// Its id: 16 hex digits.
    pub id: String,
    /// The public half of its key, one OpenSSH line without comment.
    pub public_key: String,
    /// When it ends, seconds since 1970.
    pub expires: i64,
    /// When it was made, seconds since 1970.
    pub made: i64,
    /// Who made it: the server's account.
    pub by: String,
}

/// A new key for one invitation.
pub struct InviteKey {
    /// The private half, in OpenSSH's format.
    pub private: String,
    /// The public half, one OpenSSH line.
    pub public: String,
}

/// Makes a key, ed25519.
///
/// # Errors
/// Where the kernel has no random bytes, as text.
pub fn new_key() -> Result<InviteKey, String> {
    let seed = super::random::<32>().map_err(|e| e.to_string())?;
    let pair = PrivateKey::from(Ed25519Keypair::from_seed(&seed));
    let private = pair.to_openssh(LineEnding::LF).map_err(|e| e.to_string())?.to_string();
    let public = pair.public_key().to_openssh().map_err(|e| e.to_string())?;
    Ok(InviteKey { private, public })
}

/// Tells whether a text is an invite's id, and so can be part of a path.
#[must_use]
pub fn is_id(text: &str) -> bool {
    text.len() == 16 && text.bytes().all(|b| b.is_ascii_hexdigit())
}

impl Invite {
    /// Reads an invite; `None` where there is none.
    ///
    /// # Errors
    /// Where the file cannot be read or is none of ours.
    pub fn load(dir: &Path, id: &str) -> Result<Option<Self>, ShelfError> {
        if is_id(id) { shelf::read(&path(dir, id)) } else { Ok(None) }
    }

    /// Finds the invite whose key that is: a line that has it, as sshd writes it to `SSH_USER_AUTH` (sshd_config(5),
    /// ExposeAuthInfo).
    ///
    /// # Errors
    /// As [`Self::load`].
    pub fn of_key(dir: &Path, line: &str) -> Result<Option<Self>, ShelfError> {
        let wanted = two_words(line);
        Ok(Self::all(dir)?.into_iter().find(|invite| two_words(&invite.public_key) == wanted))
    }

    /// Lists the invites.
    ///
    /// # Errors
    /// As [`Self::load`].
    pub fn all(dir: &Path) -> Result<Vec<Self>, ShelfError> {
        let mut all = Vec::new();
        for id in shelf::names(dir, ".json")? {
            all.extend(Self::load(dir, &id)?);
        }
        Ok(all)
    }

    /// Writes it.
    ///
    /// # Errors
    /// Where the file cannot be written.
    pub fn save(&self, dir: &Path) -> Result<(), ShelfError> {
        shelf::write(&path(dir, &self.id), self, 0o640)
    }

    /// Removes it.
    ///
    /// # Errors
    /// Where the file cannot be removed.
    pub fn remove(&self, dir: &Path) -> Result<(), ShelfError> {
        if is_id(&self.id) { shelf::remove(&path(dir, &self.id)) } else { Ok(()) }
    }
}

fn path(dir: &Path, id: &str) -> PathBuf {
    dir.join(format!("{id}.json"))
}

fn two_words(line: &str) -> Option<(&str, &str)> {
    let mut words = line.split_whitespace();
    Some((words.next()?, words.next()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn invitation() -> Invitation {
        let key = new_key().unwrap();
        Invitation {
            host: "pofr.example.org".into(),
            port: 22,
            host_key: key.public,
            key: key.private,
            account: "pofrsreg".into(),
            expires: 1_795_428_000,
        }
    }

    #[test]
    fn a_token_is_read_back_and_a_cut_one_is_not() {
        let invitation = invitation();
        let token = invitation.token();
        assert!(token.starts_with("pofr1.") && !token.contains(['+', '/', '=', ' ']), "{token}");
        assert_eq!(Invitation::parse(&format!(" {token}\n")).unwrap(), invitation);
        assert_eq!(Invitation::parse("pofr2.e30"), Err(InvitationError::Form));
        for end in [8, 50, token.len() - 1] {
            assert!(matches!(Invitation::parse(&token[..end]), Err(InvitationError::Damaged(_))), "{end}");
        }
    }

    #[test]
    fn an_invite_is_found_by_its_key() {
        let dir = tempfile::tempdir().unwrap();
        let key = new_key().unwrap();
        let invite = Invite {
            id: "0123456789abcdef".into(),
            public_key: key.public.clone(),
            expires: 5,
            made: 1,
            by: "root".into(),
        };
        invite.save(dir.path()).unwrap();
        let line = format!("{} a comment", key.public);
        assert_eq!(Invite::of_key(dir.path(), &line).unwrap(), Some(invite.clone()));
        assert_eq!(Invite::of_key(dir.path(), &new_key().unwrap().public).unwrap(), None);
        assert_eq!(Invite::of_key(dir.path(), "").unwrap(), None);
        assert_eq!(Invite::load(dir.path(), "../0123456789abc").unwrap(), None);
        invite.remove(dir.path()).unwrap();
        assert_eq!(Invite::all(dir.path()).unwrap(), []);
    }
}
