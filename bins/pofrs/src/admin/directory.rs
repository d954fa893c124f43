//! A directory with its owner, group and permission bits.

use super::{account, plan::Step};
use anyhow::{Context as _, bail};
use std::{
    fs,
    io::ErrorKind,
    os::unix::fs::{DirBuilderExt as _, MetadataExt as _, PermissionsExt as _, chown},
    path::PathBuf,
};

/// Makes a directory, or gives one the owner and the bits that it should have.
pub(crate) struct MakeDir {
    path: PathBuf,
    /// Owner and group; `None` where it stays with who makes it.
    owner: Option<(String, String)>,
    mode: u32,
    /// What was there: nothing, or who had it how.
    before: Option<Option<(u32, u32, u32)>>,
}

impl MakeDir {
    /// For root, or whoever makes it.
    pub(crate) fn new(path: impl Into<PathBuf>, mode: u32) -> Self {
        Self { path: path.into(), owner: None, mode, before: None }
    }

    /// For others.
    pub(crate) fn owned(path: impl Into<PathBuf>, owner: &str, group: &str, mode: u32) -> Self {
        Self { owner: Some((owner.to_owned(), group.to_owned())), ..Self::new(path, mode) }
    }
}

impl Step for MakeDir {
    fn says(&self) -> String {
        let whose =
            self.owner.as_ref().map(|(owner, group)| format!(", {owner}:{group}")).unwrap_or_default();
        format!("make directory {}{whose}, mode {:04o}", self.path.display(), self.mode)
    }

    fn is_done(&self) -> anyhow::Result<bool> {
        let Ok(found) = self.path.symlink_metadata() else { return Ok(false) };
        if !found.is_dir() {
            bail!("{} is there, and no directory", self.path.display());
        }
        let owner = match &self.owner {
            None => true,
            Some((owner, group)) => {
                let (uid, gid) = account::ids(owner, group)?;
                (found.uid(), found.gid()) == (uid.as_raw(), gid.as_raw())
            }
        };
        Ok(owner && found.mode() & 0o7777 == self.mode)
    }

    fn act(&mut self) -> anyhow::Result<()> {
        let path = &self.path;
        let ids = self.owner.as_ref().map(|(owner, group)| account::ids(owner, group)).transpose()?;
        match path.symlink_metadata() {
            Ok(found) => self.before = Some(Some((found.uid(), found.gid(), found.mode() & 0o7777))),
            Err(error) if error.kind() == ErrorKind::NotFound => {
                if let Some(parent) = path.parent() {
                    fs::DirBuilder::new().recursive(true).mode(0o755).create(parent)?;
                }
                // For nobody else until it has its owner.
                fs::DirBuilder::new()
                    .mode(0o700)
                    .create(path)
                    .with_context(|| format!("cannot make {}", path.display()))?;
                self.before = Some(None);
            }
            Err(error) => return Err(error).with_context(|| format!("cannot look at {}", path.display())),
        }
        if let Some((uid, gid)) = ids {
            chown(path, Some(uid.as_raw()), Some(gid.as_raw()))
                .with_context(|| format!("cannot give {} away", path.display()))?;
        }
        fs::set_permissions(path, fs::Permissions::from_mode(self.mode))
            .with_context(|| format!("cannot set the mode of {}", path.display()))
    }

    fn undo(&mut self) -> anyhow::Result<()> {
        match self.before.take() {
            None => {}
            Some(None) => fs::remove_dir(&self.path)?,
            Some(Some((uid, gid, mode))) => {
                chown(&self.path, Some(uid), Some(gid))?;
                fs::set_permissions(&self.path, fs::Permissions::from_mode(mode))?;
            }
        }
        Ok(())
    }
}
