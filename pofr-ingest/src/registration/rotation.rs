//! Another key in a key's place: the old one signs the new one's line, the administrator lets it in.
//!
//! A client's session cannot write what sshd goes by. So `receive` leaves the wish in the client's inbox, and `pofrs approve`
//! checks it once more: what lies in an inbox is the client's word.

use super::{
    key::{ClientKey, KeyError},
    shelf::{self, ShelfError},
};
use pofr_core::wire::link::ROTATION_NAMESPACE;
use serde::{Deserialize, Serialize};
use std::path::{Path, PathBuf};

/// A key that names its successor.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Rotation {
    /// The new key's line.
    pub public_key: String,
    /// An SSHSIG of that line by the old key, armored.
    pub signature: String,
    /// When the server got it, µs since 1970.
    pub at: i64,
}

/// The file in a client's inbox.
pub const FILE: &str = ".rotate.json";

impl Rotation {
    /// Takes a client's wish, if the old key names the new one; returns it with the new key.
    ///
    /// # Errors
    /// [`KeyError`].
    pub fn wished(
        old: &str,
        public_key: &str,
        signature: &str,
        at: i64,
    ) -> Result<(Self, ClientKey), KeyError> {
        let wish = Self { public_key: public_key.trim().to_owned(), signature: signature.to_owned(), at };
        let new = wish.check(&ClientKey::parse(old)?)?;
        Ok((wish, new))
    }

    /// Checks that the old key names the new one.
    ///
    /// # Errors
    /// [`KeyError`].
    pub fn check(&self, old: &ClientKey) -> Result<ClientKey, KeyError> {
        let new = ClientKey::parse(&self.public_key)?;
        old.verify(ROTATION_NAMESPACE, self.public_key.trim().as_bytes(), &self.signature)?;
        Ok(new)
    }
}

fn path(inbox: &Path) -> PathBuf {
    inbox.join(FILE)
}

/// Reads a client's wish; `None` where it has none.
///
/// # Errors
/// Where the file cannot be read or is none of ours.
pub fn waiting(inbox: &Path) -> Result<Option<Rotation>, ShelfError> {
    shelf::read(&path(inbox))
}

/// Takes the wish away: it was granted or denied.
///
/// # Errors
/// Where the file cannot be removed.
pub fn done(inbox: &Path) -> Result<(), ShelfError> {
    shelf::remove(&path(inbox))
}

#[cfg(test)]
mod tests {
    use super::{
        super::key::tests::{line, sign},
        *,
    };

    #[test]
    fn only_the_old_key_names_the_new_one() {
        let dir = tempfile::tempdir().unwrap();
        let (old, new) = (line(1), line(2));
        let by = |seed| sign(seed, ROTATION_NAMESPACE, new.as_bytes());
        assert_eq!(Rotation::wished(&old, &new, &by(3), 5).unwrap_err(), KeyError::Signature);
        assert_eq!(Rotation::wished(&old, &line(3), &by(1), 5).unwrap_err(), KeyError::Signature);
        assert_eq!(waiting(dir.path()).unwrap(), None);
        let (wish, key) = Rotation::wished(&old, &new, &by(1), 5).unwrap();
        shelf::write(&path(dir.path()), &wish, 0o640).unwrap();
        let found = waiting(dir.path()).unwrap().unwrap();
        assert_eq!(found.check(&ClientKey::parse(&old).unwrap()).unwrap(), key);
        done(dir.path()).unwrap();
        assert_eq!(waiting(dir.path()).unwrap(), None);
    }
}
