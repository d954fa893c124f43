//! A request to be registered, as it waits for the administrator.

use super::key::{ClientKey, KeyError};
use pofr_core::{identity::Cid, wire::link};
use serde::{Deserialize, Serialize};

/// A request that waits.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Pending {
    /// Its id, for people: 16 hex digits.
    pub request_id: String,
    /// The client's id.
    pub cid: String,
    /// The machine's own id.
    pub uuid: String,
    /// The client's public key, without comment.
    pub public_key: String,
    /// The key's fingerprint.
    pub fingerprint: String,
    /// The machine's name, as it says.
    pub host_name: String,
    /// System and kernel, as it says.
    pub about: String,
    /// The address that the request came from, as sshd saw it.
    pub source: String,
    /// The invitation that it came with; `None` where it came with the password.
    pub invite: Option<String>,
    /// When, µs since 1970, by this server's clock.
    pub at: i64,
}

/// Why a request cannot even wait.
#[derive(Clone, Debug, thiserror::Error, PartialEq, Eq)]
#[non_exhaustive]
pub enum RequestError {
    /// The client's id is none.
    #[error("that is no client id: 8 to 59 ASCII letters, digits and dashes, with a digit among them")]
    Cid,
    /// The machine's id is none.
    #[error("that is no machine id: up to 36 ASCII letters, digits and dashes")]
    Uuid,
    /// The key is none.
    #[error(transparent)]
    Key(#[from] KeyError),
}

/// Reads the id of a client that wants to be registered. It names a database, so a word that might be another database's is
/// none: those have no digits, or underscores.
///
/// # Errors
/// [`RequestError::Cid`].
pub fn new_cid(text: &str) -> Result<Cid, RequestError> {
    let cid = Cid::parse(text).ok_or(RequestError::Cid)?;
    let database = cid.database();
    if text.len() < 8 || !database.bytes().any(|b| b.is_ascii_digit()) || text.starts_with('-') {
        return Err(RequestError::Cid);
    }
    Ok(cid)
}

impl Pending {
    /// Checks what a client sent. Its texts are cut where they are long, and shown escaped everywhere.
    ///
    /// # Errors
    /// [`RequestError`].
    pub fn check(
        request: &link::Request,
        request_id: String,
        source: &str,
        invite: Option<String>,
        at: i64,
    ) -> Result<Self, RequestError> {
        let cid = new_cid(&request.cid)?;
        let good = |b: u8| b.is_ascii_alphanumeric() || b == b'-';
        if request.uuid.len() > 36 || !request.uuid.bytes().all(good) {
            return Err(RequestError::Uuid);
        }
        let key = ClientKey::parse(&request.public_key)?;
        let cut = |text: &str| text.chars().take(100).collect();
        Ok(Self {
            request_id,
            cid: cid.as_str().to_owned(),
            uuid: request.uuid.clone(),
            public_key: key.line().to_owned(),
            fingerprint: key.fingerprint(),
            host_name: cut(&request.host_name),
            about: cut(&request.about),
            source: cut(source),
            invite,
            at,
        })
    }
}

/// A second key that came for a client that is known: a clone of the machine, or a key that was lost.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Conflict {
    /// The fingerprint of the last such key.
    pub fingerprint: String,
    /// Where it came from.
    pub source: String,
    /// When the last one came, µs since 1970.
    pub at: i64,
    /// How many times.
    pub times: u64,
}

#[cfg(test)]
mod tests {
    use super::{super::key::tests::line, *};

    #[test]
    fn ids_that_could_be_something_else_are_none() {
        for good in ["4c4c4544-0034-4610-8047-b6c04f53373311763520", "web-1-prod", "EA4AFEE2"] {
            new_cid(good).unwrap();
        }
        for bad in [
            "mysql",
            "lhlt",
            "sys",
            "performanceschema",
            "12345",
            "../../etc1",
            "a b c d e 1",
            "-a1234567",
            "a'; DROP 1",
        ] {
            assert_eq!(new_cid(bad), Err(RequestError::Cid), "{bad}");
        }
    }

    #[test]
    fn texts_are_cut_and_a_bad_uuid_is_refused() {
        let mut request = link::Request {
            cid: "web-0001".into(),
            uuid: "4c4c4544".into(),
            public_key: line(1),
            host_name: "é".repeat(200),
            about: "\x1b[2J".into(),
        };
        let pending = Pending::check(&request, "1".into(), "10.0.0.1", None, 5).unwrap();
        assert_eq!(pending.host_name.chars().count(), 100);
        request.uuid = "../x".into();
        assert_eq!(Pending::check(&request, "1".into(), "", None, 5), Err(RequestError::Uuid));
    }
}
