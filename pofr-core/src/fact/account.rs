//! Users and groups.

use crate::digest::{KeyDigest, KeyEncoder};
use crate::raw::RawText;
use serde::Serialize;

/// A user account: a line of passwd(5), without its password field.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize)]
pub struct User {
    /// The name.
    pub name: RawText,
    /// The user id.
    pub uid: u32,
    /// The primary group id.
    pub gid: u32,
    /// The comment field.
    pub gecos: RawText,
    /// The home directory.
    pub home: RawText,
    /// The login shell.
    pub shell: RawText,
}

impl User {
    /// Returns `shasum`.
    #[must_use]
    pub fn digest(&self) -> KeyDigest {
        KeyEncoder::new("pofr/user/2")
            .bytes(self.name.as_bytes())
            .int(self.uid)
            .int(self.gid)
            .bytes(self.gecos.as_bytes())
            .bytes(self.home.as_bytes())
            .bytes(self.shell.as_bytes())
            .finish()
    }
}

/// A group: a line of group(5), without its password field.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize)]
pub struct Group {
    /// The name.
    pub name: RawText,
    /// The group id.
    pub gid: u32,
    /// The members' names, separated by commas.
    pub members: RawText,
}

impl Group {
    /// Returns `shasum`.
    #[must_use]
    pub fn digest(&self) -> KeyDigest {
        KeyEncoder::new("pofr/group/2")
            .bytes(self.name.as_bytes())
            .int(self.gid)
            .bytes(self.members.as_bytes())
            .finish()
    }
}
