//! What is watched: paths that someone names, and those that matter on every machine.
//!
//! A file is watched by a mark on itself, so that nothing else is slowed down, and one on its directory, which tells when the
//! name is made, removed or given to another file: that one is then marked. A directory is watched with all below it in its
//! filesystem, each directory by a mark of its own; one that is made later is marked when that is told, and what lies in it by
//! then is told as found. Where a tree is a filesystem of its own, or has very many directories when the watching begins, the
//! filesystem is marked. A tree that appears later and has very many is marked in part, and said not to be watched.

use super::{
    group::{Group, Mark},
    places::{Places, bytes},
};
use crate::HostView;
use nix::errno::Errno;
use std::{
    fs, io,
    os::unix::{ffi::OsStrExt as _, fs::MetadataExt as _},
    path::{Path, PathBuf},
};

/// More directories than this are not marked one by one.
const MOST_DIRS: usize = 1_000;
/// More entries than this are not looked at in a tree.
const MOST_ENTRIES: usize = 20_000;

/// So many things that could not be watched are named.
const MOST_FAILED: usize = 100;

/// Something to watch.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Watch {
    /// A file, or a directory with all below it in its filesystem. It need not be there yet, as long as the directory above it is.
    pub path: PathBuf,
    /// Whether opening it to read is told, too, and the time of each opening. It costs who opens a file some µs.
    pub opens: bool,
}

impl Watch {
    /// Watches changes: writing, executing, creating, deleting, renaming.
    #[must_use]
    pub fn changes(path: impl Into<PathBuf>) -> Self {
        Self { path: path.into(), opens: false }
    }

    /// Watches changes and every opening.
    #[must_use]
    pub fn opens(path: impl Into<PathBuf>) -> Self {
        Self { path: path.into(), opens: true }
    }

    /// Returns what matters on every machine: accounts, who may become root, keys for logging in, what is run at times and what
    /// is put into every program. Only changes are watched, which slows nobody down who reads (`benches/benches/watch.rs`).
    #[must_use]
    pub fn sensitive(view: &HostView) -> Vec<Self> {
        let etc = [
            "passwd",
            "group",
            "shadow",
            "gshadow",
            "sudoers",
            "sudoers.d",
            "pam.d",
            "ssh",
            "ld.so.preload",
            "crontab",
            "cron.d",
            "cron.hourly",
            "cron.daily",
            "cron.weekly",
            "cron.monthly",
        ];
        let etc = etc.into_iter().map(|name| view.etc_root.join(name));
        let keys = homes(view).into_iter().map(|home| home.join(".ssh"));
        etc.chain([PathBuf::from("/var/spool/cron")]).chain(keys).map(Self::changes).collect()
    }

    /// Returns what nobody but the system should read: password hashes and private keys. Their openings are watched, which
    /// costs who opens one of them some µs.
    #[must_use]
    pub fn secrets(view: &HostView) -> Vec<Self> {
        let etc = ["shadow", "gshadow", "sudoers", "ssh"].into_iter().map(|name| view.etc_root.join(name));
        let keys = homes(view).into_iter().map(|home| home.join(".ssh"));
        etc.chain(keys).map(Self::opens).collect()
    }
}

/// Returns the home directories of those who may log in (passwd(5)).
fn homes(view: &HostView) -> Vec<PathBuf> {
    let text = fs::read(view.etc_root.join("passwd")).unwrap_or_default();
    let mut homes: Vec<PathBuf> = text
        .split(|b| *b == b'\n')
        .filter_map(|line| {
            let fields: Vec<&[u8]> = line.split(|b| *b == b':').collect();
            let [.., home, shell] = fields[..] else { return None };
            let may =
                !shell.ends_with(b"/nologin") && !shell.ends_with(b"/false") && !shell.ends_with(b"/sync");
            (may && home.len() > 1).then(|| PathBuf::from(std::ffi::OsStr::from_bytes(home)))
        })
        .collect();
    homes.sort_unstable();
    homes.dedup();
    homes
}

/// Everything that is watched.
#[derive(Debug)]
pub(super) struct Watches {
    all: Vec<Watched>,
    /// What could not be watched, and why.
    pub(super) failed: Vec<String>,
    /// Whether all that there was has been marked.
    begun: bool,
}

#[derive(Debug)]
struct Watched {
    watch: Watch,
    /// Whether its whole filesystem is marked.
    whole: bool,
}

impl Watches {
    /// Marks all that there is.
    pub(super) fn new(all: Vec<Watch>, group: &mut Group, places: &mut Places) -> Self {
        let real = |watch: Watch| Watch { path: real(&watch.path), ..watch };
        let all = all.into_iter().map(|watch| Watched { watch: real(watch), whole: false }).collect();
        let mut watches = Self { all, failed: Vec::new(), begun: false };
        watches.mark_all(group, places);
        watches.begun = true;
        watches
    }

    /// Marks all that there is now; after events were lost, once more.
    pub(super) fn mark_all(&mut self, group: &mut Group, places: &mut Places) {
        self.failed.clear();
        for index in 0..self.all.len() {
            let path = self.all[index].watch.path.clone();
            let parent = path.parent().unwrap_or(&path);
            match group.mark(parent, Mark::Entries, false) {
                Ok(()) => places.add(parent),
                // Then nobody can make it there, either.
                Err(Errno::ENOENT | Errno::ENOTDIR) => {}
                Err(errno) => self.fail(parent, errno),
            }
            self.mark(index, &path, group, places, &mut |_| ());
        }
    }

    /// Tells whether what is done to this name is told.
    pub(super) fn covers(&self, path: &[u8]) -> bool {
        self.of(path).is_some()
    }

    /// Tells whether what is done to a file is told, and whether reading it is. What is told by the mark of a file may have another
    /// name by now, or another link: it is told whatever it is called. What is told by the mark of a filesystem is told
    /// of all its files, and goes by the name.
    pub(super) fn tells_files(&self, path: &[u8]) -> (bool, bool) {
        match self.of(path) {
            Some(index) => (true, self.all[index].watch.opens),
            None => {
                let by_marks = !self.all.iter().any(|watched| watched.whole);
                (by_marks, by_marks)
            }
        }
    }

    /// Marks what has appeared at a path, where it takes a mark of its own, and tells what is found below it.
    pub(super) fn appeared(
        &mut self,
        path: &Path,
        is_dir: bool,
        group: &mut Group,
        places: &mut Places,
        found: &mut dyn FnMut(&Path),
    ) {
        let Some(index) = self.of(bytes(path)) else { return };
        let Watched { watch, whole } = &self.all[index];
        if watch.path == path || (is_dir && !whole) {
            self.mark(index, path, group, places, found);
        }
    }

    /// Returns what a path is watched for; where several say so, for the most.
    fn of(&self, path: &[u8]) -> Option<usize> {
        let covers = |index: &usize| {
            let root = bytes(&self.all[*index].watch.path);
            let rest = path.strip_prefix(root);
            rest.is_some_and(|rest| rest.is_empty() || rest.starts_with(b"/") || root == b"/")
        };
        (0..self.all.len()).filter(covers).max_by_key(|index| self.all[*index].watch.opens)
    }

    /// Marks a file, or a directory with all below it.
    fn mark(
        &mut self,
        index: usize,
        path: &Path,
        group: &mut Group,
        places: &mut Places,
        found: &mut dyn FnMut(&Path),
    ) {
        let of = match fs::symlink_metadata(path) {
            Ok(of) => of,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return,
            Err(error) => return self.failed.push(format!("{}: {error}", path.display())),
        };
        let Watched { watch: Watch { opens, .. }, whole } = &mut self.all[index];
        let parent = path.parent().map(fs::symlink_metadata);
        let result = if !of.is_dir() {
            group.mark(path, Mark::File, *opens)
        } else if parent.is_none_or(|parent| parent.is_ok_and(|parent| parent.dev() != of.dev())) {
            places.add(path);
            *whole = true;
            group.mark(path, Mark::Filesystem, *opens)
        } else {
            places.add(path);
            let mut tree = Tree {
                filesystem: of.dev(),
                opens: *opens,
                widens: *whole || !self.begun,
                dirs: 0,
                entries: 0,
            };
            let result = mark_tree(path, &mut tree, group, found);
            *whole |= tree.is_wide();
            if tree.is_cut() {
                let what = format!("{}: has too many directories or entries", path.display());
                if self.failed.len() < MOST_FAILED && !self.failed.contains(&what) {
                    self.failed.push(what);
                }
            }
            result
        };
        match result {
            Ok(()) | Err(Errno::ENOENT) => {}
            Err(errno) => self.fail(path, errno),
        }
    }

    fn fail(&mut self, path: &Path, errno: Errno) {
        if self.failed.len() >= MOST_FAILED {
            return;
        }
        self.failed.push(format!("{}: {}", path.display(), io::Error::from(errno)));
    }
}

/// Returns a path without links, as the kernel tells it.
fn real(path: &Path) -> PathBuf {
    let parent = || Some(fs::canonicalize(path.parent()?).ok()?.join(path.file_name()?));
    fs::canonicalize(path).ok().or_else(parent).unwrap_or_else(|| path.to_owned())
}

/// A tree that is being marked.
struct Tree {
    filesystem: u64,
    opens: bool,
    /// Whether the filesystem may be marked in its place.
    widens: bool,
    dirs: usize,
    entries: usize,
}

impl Tree {
    /// Tells whether the filesystem is to be marked.
    const fn is_wide(&self) -> bool {
        self.widens && self.dirs > MOST_DIRS
    }

    /// Tells whether there is more than is marked or looked at.
    const fn is_cut(&self) -> bool {
        self.entries > MOST_ENTRIES || (!self.widens && self.dirs > MOST_DIRS)
    }
}

/// Marks a directory before it is listed, so that what is made in between is told at least once.
fn mark_tree(
    dir: &Path,
    tree: &mut Tree,
    group: &mut Group,
    found: &mut dyn FnMut(&Path),
) -> Result<(), Errno> {
    tree.dirs += 1;
    if tree.is_wide() {
        return group.mark(dir, Mark::Filesystem, tree.opens);
    }
    if tree.is_cut() {
        return Ok(());
    }
    group.mark(dir, Mark::Dir, tree.opens)?;
    // A directory may go while it is looked at.
    for entry in fs::read_dir(dir).into_iter().flatten().flatten() {
        tree.entries += 1;
        let path = entry.path();
        found(&path);
        let is_dir = entry.file_type().is_ok_and(|kind| kind.is_dir());
        if is_dir && entry.metadata().is_ok_and(|of| of.dev() == tree.filesystem) {
            match mark_tree(&path, tree, group, found) {
                Ok(()) | Err(Errno::ENOENT) => {}
                Err(errno) => return Err(errno),
            }
        }
        if tree.is_wide() || tree.is_cut() {
            break;
        }
    }
    Ok(())
}
