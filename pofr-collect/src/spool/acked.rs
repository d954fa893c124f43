//! What the server has: bundles leave the spool when it has acknowledged them.
//!
//! The shipper may be another user, who reads the spool and cannot write it: whoever could rename or link in a directory that
//! the recorder writes to could have it write anywhere. So the shipper says in a directory of its own, `.acked`, what the
//! server has: by an empty file of the bundle's name. The recorder reads only the names there, takes those that it holds
//! itself, and removes their bundles; the shipper then removes the names of bundles that are gone.

use super::{Spool, SpoolError, durable};
use std::{
    collections::HashSet,
    ffi::OsString,
    fs::{File, OpenOptions, Permissions},
    io,
    os::unix::fs::{DirBuilderExt as _, MetadataExt as _, OpenOptionsExt as _, PermissionsExt as _, fchown},
    path::Path,
};

/// Where the shipper says what the server has.
pub(crate) const ACKED: &str = ".acked";
/// So many names are read there that are none of ours.
const STRANGE: usize = 4_096;
/// The directory for its owner and, to read and to enter, the group that files made in it get (inode(7)).
const SHARED_DIR: u32 = 0o2750;
/// A file for its owner and, to read, the group.
const SHARED_FILE: u32 = 0o640;

impl Spool {
    /// Removes the bundles that the server has.
    pub(super) fn remove_acked(&mut self) -> Result<(), SpoolError> {
        if self.state.held.is_empty() {
            return Ok(());
        }
        let dir = self.settings.dir.join(ACKED);
        // Who may write there may put more there than anybody needs.
        let most = self.state.held.len() + STRANGE;
        let names: HashSet<OsString> = match std::fs::read_dir(&dir) {
            Ok(entries) => entries.take(most).filter_map(|entry| Some(entry.ok()?.file_name())).collect(),
            Err(cause) => return Err(SpoolError::io("list", &dir, cause)),
        };
        let is_acked = |name: &str| names.contains(std::ffi::OsStr::new(name));
        if names.is_empty() || !self.state.held.iter().any(|held| is_acked(&held.name)) {
            return Ok(());
        }
        for held in self.state.held.iter().filter(|held| is_acked(&held.name)) {
            let path = self.settings.dir.join(&held.name);
            durable::remove(&path).map_err(|cause| SpoolError::io("remove", &path, cause))?;
        }
        self.state.held.retain(|held| !is_acked(&held.name));
        // Else the next boot, which finds the spool gone, would call lost what the server has.
        self.unsaved = true;
        self.save()
    }
}

/// Opens a spool's bundles, the open one included, to the group `gid` for reading, and lets the user `uid` say which the server
/// has. For root, or whoever else may give files to that group; it may be called while a recorder is at work, whose next files
/// are shared as well.
///
/// # Errors
/// [`SpoolError`], naming what could not be changed.
pub fn share_spool(dir: &Path, uid: u32, gid: u32) -> Result<(), SpoolError> {
    let io = |action, path: &Path| {
        let path = path.to_owned();
        move |cause| SpoolError::Io { action, path: path.clone(), cause }
    };
    let (open, acked) = (dir.join(".open"), dir.join(ACKED));
    for (path, owner, mode) in
        [(dir, None, SHARED_DIR), (&open, None, SHARED_DIR), (&acked, Some(uid), 0o755)]
    {
        let shared = || {
            std::fs::DirBuilder::new().recursive(true).mode(0o700).create(path)?;
            let found = real(path)?;
            let owner = owner.or(if path == dir { None } else { Some(dir.metadata()?.uid()) });
            fchown(&found, owner, Some(gid))?;
            found.set_permissions(Permissions::from_mode(mode))
        };
        shared().map_err(io("share", path))?;
    }
    for place in [dir, &open] {
        for entry in std::fs::read_dir(place).map_err(io("list", place))? {
            let path = entry.map_err(io("list", place))?.path();
            if path.extension().is_some_and(|e| e == "tar" || e == "frames") {
                share_file(&path, gid).map_err(io("share", &path))?;
            }
        }
    }
    Ok(())
}

/// Opens what is there itself, and not what a link there leads to.
fn real(path: &Path) -> io::Result<File> {
    let flags = rustix::fs::OFlags::NOFOLLOW | rustix::fs::OFlags::NONBLOCK;
    OpenOptions::new().read(true).custom_flags(flags.bits().cast_signed()).open(path)
}

fn share_file(path: &Path, gid: u32) -> io::Result<()> {
    let file = match real(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        other => other?,
    };
    let found = file.metadata()?;
    // A second name of somebody else's file is not a bundle.
    if !found.is_file() || found.nlink() > 1 {
        return Ok(());
    }
    fchown(&file, None, Some(gid))?;
    file.set_permissions(Permissions::from_mode(SHARED_FILE))
}

/// Lets the group read a file that was just made, where it may read the directory that the file is in.
pub(super) fn share_as_its_directory(file: &File, path: &Path) -> io::Result<()> {
    let parent = path.parent().unwrap_or(Path::new("."));
    if parent.metadata()?.mode() & 0o040 == 0 {
        return Ok(());
    }
    file.set_permissions(Permissions::from_mode(SHARED_FILE))
}
