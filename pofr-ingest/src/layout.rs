//! Where a server keeps its files.
//!
//! ```text
//! <data directory>/inbox/<cid>/                  what the client has sent, until it is in the record
//! <data directory>/inbox/<cid>/quarantine/       what could not be taken, and why
//! <data directory>/bundles/<cid>/20261123/       kept bundles
//! <data directory>/rebuild/<cid>/                a record being made anew; of no use once that has ended
//! <data directory>/<database>.sqlite             the embedded database
//! ```

use crate::{
    inbox::{After, Inbox, InboxError},
    kept::Kept,
};
use pofr_core::identity::Cid;
use std::{
    fs, io,
    path::{Path, PathBuf},
};

/// A data directory.
#[derive(Clone, Debug)]
pub struct Layout {
    dir: PathBuf,
}

impl Layout {
    /// Names the directory.
    #[must_use]
    pub fn new(dir: impl Into<PathBuf>) -> Self {
        Self { dir: dir.into() }
    }

    /// Returns the directory that has an inbox for each client.
    #[must_use]
    pub fn inbox_root(&self) -> PathBuf {
        self.dir.join("inbox")
    }

    /// Returns a client's inbox directory.
    #[must_use]
    pub fn inbox_dir(&self, cid: &Cid) -> PathBuf {
        self.inbox_root().join(cid.as_str())
    }

    /// Returns a client's inbox, out of which what is stored goes: among the kept bundles, or for good.
    #[must_use]
    pub fn inbox(&self, cid: &Cid, max_bytes: u64, keep: bool) -> Inbox {
        let after = if keep { After::Keep(self.kept(cid)) } else { After::Remove };
        Inbox::new(self.inbox_dir(cid), max_bytes).then(after)
    }

    /// Returns a client's kept bundles.
    #[must_use]
    pub fn kept(&self, cid: &Cid) -> Kept {
        Kept::new(self.dir.join("bundles").join(cid.as_str()))
    }

    /// Returns the directory in which a client's record is made anew.
    #[must_use]
    pub fn scratch(&self, cid: &Cid) -> PathBuf {
        self.dir.join("rebuild").join(cid.as_str())
    }

    /// Lists the clients that have an inbox. A directory whose name can be no client's is left alone.
    ///
    /// # Errors
    /// Where the directory cannot be read; that it is not there means that there are none.
    pub fn clients(&self) -> Result<Vec<Cid>, InboxError> {
        let root = self.inbox_root();
        list(&root).or_else(|cause| match cause.kind() {
            io::ErrorKind::NotFound => Ok(Vec::new()),
            _ => Err(InboxError::Io { action: "list", path: root, cause }),
        })
    }
}

fn list(root: &Path) -> io::Result<Vec<Cid>> {
    let mut clients = Vec::new();
    for entry in fs::read_dir(root)? {
        let entry = entry?;
        // Not a link: whoever made one could point it at anything.
        if entry.file_type()?.is_dir()
            && let Some(cid) = entry.file_name().to_str().and_then(Cid::parse)
        {
            clients.push(cid);
        }
    }
    clients.sort();
    Ok(clients)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn clients_are_the_directories_that_can_be() {
        let dir = tempfile::tempdir().unwrap();
        let layout = Layout::new(dir.path());
        assert_eq!(layout.clients().unwrap(), [], "no inbox yet");
        for name in ["web-1", ".hidden", "a b", "db"] {
            fs::create_dir_all(dir.path().join("inbox").join(name)).unwrap();
        }
        fs::write(dir.path().join("inbox/file"), "").unwrap();
        std::os::unix::fs::symlink("/etc", dir.path().join("inbox/link")).unwrap();
        let names: Vec<String> = layout.clients().unwrap().iter().map(ToString::to_string).collect();
        assert_eq!(names, ["db", "web-1"]);
    }
}
