//! Places: from the handles in events to paths.
//!
//! A handle is opened where its filesystem is mounted, and the kernel says what it is called now (open_by_handle_at(2), which takes
//! CAP_DAC_READ_SEARCH). A directory that is gone by then keeps the path that it was last known by.

use super::event::{Entry, Handle};
use crate::sys;
use rustix::fs::{Mode, OFlags};
use std::{
    collections::HashMap,
    os::{
        fd::{AsFd as _, AsRawFd as _, OwnedFd},
        unix::ffi::{OsStrExt as _, OsStringExt as _},
    },
    path::{Path, PathBuf},
};

/// How many paths of directories are remembered.
const REMEMBERED: usize = 4_096;
/// What the kernel adds to the path of a directory that is gone (d_path in fs/d_path.c).
const DELETED: &[u8] = b" (deleted)";

/// Knows where directories are.
#[derive(Debug, Default)]
pub(super) struct Places {
    /// A directory that is watched in each filesystem.
    filesystems: HashMap<[u8; 8], PathBuf>,
    remembered: HashMap<Handle, Vec<u8>>,
}

/// What was looked up for one batch of events, in which nobody renames a directory twice.
#[derive(Debug, Default)]
pub(super) struct Batch {
    mounts: HashMap<[u8; 8], Option<OwnedFd>>,
    paths: HashMap<Handle, Option<Vec<u8>>>,
}

/// Opens a directory, or the nearest one above it that is still there.
fn open(path: &Path) -> Option<OwnedFd> {
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
    path.ancestors().find_map(|path| rustix::fs::open(path, flags, Mode::empty()).ok())
}

impl Places {
    /// Takes note of a directory that is watched.
    pub(super) fn add(&mut self, dir: &Path) {
        if let Some(Ok(id)) = open(dir).map(sys::filesystem_id) {
            self.filesystems.entry(id).or_insert_with(|| dir.to_owned());
        }
    }

    /// Returns the path of a name; `None` where its directory cannot be found.
    pub(super) fn path(&mut self, entry: &Entry, batch: &mut Batch) -> Option<Vec<u8>> {
        let mut path = self.dir(&entry.dir, batch)?;
        // The directory itself.
        if entry.name != b"." && !entry.name.is_empty() {
            if path != b"/" {
                path.push(b'/');
            }
            path.extend(&entry.name);
        }
        Some(path)
    }

    fn dir(&mut self, handle: &Handle, batch: &mut Batch) -> Option<Vec<u8>> {
        if let Some(path) = batch.paths.get(handle) {
            return path.clone();
        }
        let path = self.look_up(handle, batch).or_else(|| self.remembered.get(handle).cloned());
        batch.paths.insert(handle.clone(), path.clone());
        path
    }

    fn look_up(&mut self, handle: &Handle, batch: &mut Batch) -> Option<Vec<u8>> {
        let mount = batch.mounts.entry(handle.filesystem).or_insert_with(|| {
            let known = self.filesystems.get(&handle.filesystem)?;
            open(known).filter(|dir| sys::filesystem_id(dir) == Ok(handle.filesystem))
        });
        let dir = sys::open_by_handle(mount.as_ref()?.as_fd(), &handle.bytes).ok()?;
        let link = std::fs::read_link(format!("/proc/self/fd/{}", dir.as_raw_fd())).ok()?;
        let path = link.into_os_string().into_vec();
        if path.ends_with(DELETED) {
            return None;
        }
        if self.remembered.len() == REMEMBERED {
            self.remembered.clear();
        }
        self.remembered.insert(handle.clone(), path.clone());
        Some(path)
    }
}

/// Returns a path as bytes.
pub(super) fn bytes(path: &Path) -> &[u8] {
    path.as_os_str().as_bytes()
}
