//! Kept bundles: the files that a record was made of, and can be made of again.
//!
//! ```text
//! bundles/<cid>/20261123/1795413600000000#+0100#<sha256>.tar
//! ```
//!
//! A bundle is kept before the record has it, so every bundle of the record is among them, unless one was removed on
//! purpose. The files are the server's own: written by it from bytes that it has verified, readable by nobody else.

use crate::inbox::{Inbox, InboxError};
use pofr_core::{digest::Sha256, time::WallMicros, wire::name::BundleName};
use std::{
    collections::BTreeMap,
    fs::{self, DirBuilder, File, OpenOptions},
    io::{self, Write as _},
    os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _},
    path::{Path, PathBuf},
};

/// The kept bundles of one client.
#[derive(Clone, Debug)]
pub struct Kept {
    dir: PathBuf,
}

fn fail(action: &'static str, path: &Path) -> impl FnOnce(io::Error) -> InboxError {
    move |cause| InboxError::Io { action, path: path.to_owned(), cause }
}

impl Kept {
    /// Names the client's directory; it is made when the first bundle is kept.
    #[must_use]
    pub fn new(dir: impl Into<PathBuf>) -> Self {
        Self { dir: dir.into() }
    }

    /// Returns the directory.
    #[must_use]
    pub fn dir(&self) -> &Path {
        &self.dir
    }

    /// Returns where a bundle lies, or would: one directory for each day of the names, UTC.
    #[must_use]
    pub fn path_of(&self, name: &BundleName) -> PathBuf {
        let day = jiff::Timestamp::from_microsecond(name.stamp.0)
            .map(|t| t.strftime("%Y%m%d").to_string())
            .unwrap_or_else(|_| "undated".to_owned());
        self.dir.join(day).join(name.to_string())
    }

    /// Keeps a bundle: on the disk, and its name too, when this returns. One that is kept already is left alone.
    ///
    /// # Errors
    /// [`InboxError::Io`], the disk being full included; then nothing is kept of it.
    pub fn put(&self, name: &BundleName, bytes: &[u8]) -> Result<(), InboxError> {
        let path = self.path_of(name);
        if fs::metadata(&path).is_ok_and(|m| m.len() == bytes.len() as u64) {
            return Ok(());
        }
        let parent = path.parent().unwrap_or(&self.dir);
        DirBuilder::new().recursive(true).mode(0o700).create(parent).map_err(fail("make", parent))?;
        let part = parent.join(format!(".{}.part", name.sha256));
        let written = (|| {
            let mut file =
                OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(&part)?;
            file.write_all(bytes)?;
            file.sync_all()
        })();
        if let Err(cause) = written {
            let _ = fs::remove_file(&part);
            return Err(fail("write", &part)(cause));
        }
        fs::rename(&part, &path).map_err(fail("name", &path))?;
        sync_dir(parent)
    }

    /// Lists the inboxes, one for each day, that hold what is kept; oldest day first.
    ///
    /// # Errors
    /// Where a directory cannot be read.
    pub fn days(&self, max_bytes: u64) -> Result<Vec<Inbox>, InboxError> {
        let mut days: Vec<PathBuf> = Vec::new();
        match fs::read_dir(&self.dir) {
            Err(cause) if cause.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
            Err(cause) => return Err(fail("list", &self.dir)(cause)),
            Ok(entries) => {
                for entry in entries {
                    let entry = entry.map_err(fail("list", &self.dir))?;
                    if entry.file_type().is_ok_and(|kind| kind.is_dir()) {
                        days.push(entry.path());
                    }
                }
            }
        }
        days.sort();
        Ok(days.into_iter().map(|day| Inbox::of_kept(day, max_bytes)).collect())
    }

    /// Lists all kept bundles by their digests.
    ///
    /// # Errors
    /// Where a directory cannot be read.
    pub fn all(&self) -> Result<BTreeMap<Sha256, PathBuf>, InboxError> {
        let mut all = BTreeMap::new();
        for day in self.days(0)? {
            for candidate in day.candidates()? {
                if let Ok(name) = candidate.name().parse::<BundleName>() {
                    all.insert(name.sha256, candidate.path().to_owned());
                }
            }
        }
        Ok(all)
    }

    /// Removes these bundles, where they are kept; returns how many were.
    ///
    /// # Errors
    /// Where a file cannot be removed.
    pub fn remove<'a>(&self, names: impl IntoIterator<Item = &'a BundleName>) -> Result<u64, InboxError> {
        let mut removed = 0;
        for name in names {
            let path = self.path_of(name);
            match fs::remove_file(&path) {
                Ok(()) => removed += 1,
                Err(cause) if cause.kind() == io::ErrorKind::NotFound => {}
                Err(cause) => return Err(fail("remove", &path)(cause)),
            }
            if let Some(day) = path.parent() {
                // It stays as long as there is something in it.
                let _ = fs::remove_dir(day);
            }
        }
        Ok(removed)
    }

    /// Returns the names of bundles that were made before `time`.
    ///
    /// # Errors
    /// Where a directory cannot be read.
    pub fn older_than(&self, time: WallMicros) -> Result<Vec<BundleName>, InboxError> {
        let mut old = Vec::new();
        for day in self.days(0)? {
            let names = day.candidates()?.into_iter().filter_map(|c| c.name().parse::<BundleName>().ok());
            let before = old.len();
            old.extend(names.filter(|name| name.stamp < time));
            // The days are in order, so the first that has nothing old ends it.
            if old.len() == before {
                break;
            }
        }
        Ok(old)
    }
}

/// Makes the names in a directory durable.
pub(crate) fn sync_dir(dir: &Path) -> Result<(), InboxError> {
    File::open(dir).and_then(|dir| dir.sync_all()).map_err(fail("sync", dir))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::PermissionsExt as _;

    fn name(stamp: i64, bytes: &[u8]) -> BundleName {
        BundleName { stamp: WallMicros(stamp), zone: Default::default(), sha256: Sha256::of(bytes) }
    }

    #[test]
    fn what_is_kept_is_found_again_and_private() {
        let dir = tempfile::tempdir().unwrap();
        let kept = Kept::new(dir.path().join("bundles/web-1"));
        assert!(kept.all().unwrap().is_empty(), "nothing is kept before the first");
        let (a, b) = (name(1_795_413_600_000_000, b"a"), name(1_795_500_000_000_000, b"b"));
        kept.put(&a, b"a").unwrap();
        kept.put(&a, b"a").unwrap();
        kept.put(&b, b"b").unwrap();
        let all = kept.all().unwrap();
        assert_eq!(all.keys().collect::<Vec<_>>().len(), 2);
        let path = &all[&a.sha256];
        assert!(path.to_str().unwrap().contains("/web-1/20261123/"), "{path:?}");
        assert_eq!(fs::metadata(path).unwrap().permissions().mode() & 0o777, 0o600);
        assert_eq!(fs::metadata(path.parent().unwrap()).unwrap().permissions().mode() & 0o777, 0o700);
        assert_eq!(kept.older_than(b.stamp).unwrap(), [a]);
        assert_eq!(kept.remove(&[a, a]).unwrap(), 1);
        assert_eq!(kept.all().unwrap().keys().copied().collect::<Vec<_>>(), [b.sha256]);
        assert!(!path.parent().unwrap().exists(), "an empty day goes");
    }
}
