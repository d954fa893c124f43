//! Squatted places: `/dev/shm` and `/tmp` are open to everyone, so somebody may have made what we want to make there, before us.
//!
//! What is not ours is never used, changed or removed. Another directory is made beside it, under a name that nobody can guess, and
//! found again by that name and its owner: nobody else can make a directory that belongs to us. Once there is one, it stays in use
//! even if the place itself becomes free, so that what lies in it is not forgotten.

use crate::places::{self, check_private};
use anyhow::Context as _;
use rustix::{fs::Mode, io::Errno, process::geteuid};
use std::{
    ffi::OsStr,
    os::unix::{ffi::OsStrExt as _, fs::MetadataExt as _},
    path::{Path, PathBuf},
};

/// Hexadecimal digits of the part of a name that nobody can guess.
const DIGITS: usize = 16;

/// Where a directory of ours is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Settled {
    pub(crate) path: PathBuf,
    /// Why it is not where it was to be.
    pub(crate) note: Option<String>,
}

/// Makes the directory `path`, for us or for `other`, or one in its place.
pub(crate) fn settle(path: &Path, other: Option<u32>) -> anyhow::Result<Settled> {
    let owners = [Some(geteuid().as_raw()), other];
    let mut note = None;
    let path = walk(path, |spot, here| {
        if let Some(ours) = spot.ours(&owners) {
            note = Some(format!("{} is used in the place of {}", ours.display(), here.display()));
            return Ok(ours);
        }
        let Some(why) = take(&here, &owners)? else { return Ok(here) };
        let ours = spot.make_another()?;
        let said = format!("{} {why}: {} is used in its place", here.display(), ours.display());
        tracing::warn!("{said}");
        note = Some(said);
        Ok(ours)
    })?;
    places::make_private(&path, other)?;
    Ok(Settled { path, note })
}

/// Finds the directory that [`settle`] has made for `path`, be it root's.
pub(crate) fn find(path: &Path, other: Option<u32>) -> PathBuf {
    let owners = [Some(geteuid().as_raw()), other, Some(0)];
    let found = walk(path, |spot, here| Ok(spot.ours(&owners).unwrap_or(here)));
    found.unwrap_or_else(|_| path.to_owned())
}

/// Walks down a path, and goes where `settled` says wherever it comes to a place that anyone may make.
fn walk(
    path: &Path,
    mut settled: impl FnMut(&Spot<'_>, PathBuf) -> anyhow::Result<PathBuf>,
) -> anyhow::Result<PathBuf> {
    let mut at = PathBuf::new();
    for part in path.components() {
        let is_open = at.metadata().is_ok_and(|found| found.is_dir() && found.mode() & 0o1002 == 0o1002);
        let here = at.join(part);
        at = if is_open { settled(&Spot { open: &at, name: part.as_os_str() }, here)? } else { here };
    }
    Ok(at)
}

/// A place that anyone may make.
struct Spot<'a> {
    /// The directory that is open to everyone, but keeps what somebody has made from others.
    open: &'a Path,
    name: &'a OsStr,
}

impl Spot<'_> {
    /// Returns the directory of ours in the place of this one, if there is one.
    fn ours(&self, owners: &[Option<u32>]) -> Option<PathBuf> {
        let entries = std::fs::read_dir(self.open).ok()?.flatten();
        let named = entries.filter(|entry| is_another(&entry.file_name(), self.name));
        let ours = named.map(|entry| entry.path()).filter(|path| is_ours(path, owners));
        ours.min()
    }

    fn make_another(&self) -> anyhow::Result<PathBuf> {
        let mut random = [0; DIGITS / 2];
        rustix::rand::getrandom(&mut random, rustix::rand::GetRandomFlags::empty())
            .context("the kernel gives no random number")?;
        let mut name = self.name.to_owned();
        name.push(".");
        name.push(random.iter().map(|byte| format!("{byte:02x}")).collect::<String>());
        let path = self.open.join(name);
        // Never one that is there.
        rustix::fs::mkdir(&path, Mode::RWXU).with_context(|| format!("cannot make {}", path.display()))?;
        Ok(path)
    }
}

/// Makes the directory, if it is not there; returns what is wrong with one that is there and is somebody else's.
fn take(here: &Path, owners: &[Option<u32>]) -> anyhow::Result<Option<String>> {
    match rustix::fs::mkdir(here, Mode::RWXU) {
        Ok(()) => return Ok(None),
        Err(Errno::EXIST) => {}
        Err(error) => return Err(error).with_context(|| format!("cannot make {}", here.display())),
    }
    let found = here.symlink_metadata().with_context(|| format!("cannot look at {}", here.display()))?;
    // Another name of a file of ours, or a link, anybody may have put there.
    if !found.is_dir() {
        return Ok(Some("is not a directory".to_owned()));
    }
    // Nobody has to hold out against root.
    if found.uid() != 0 && !owners.contains(&Some(found.uid())) {
        return Ok(Some(format!("belongs to another user ({})", found.uid())));
    }
    Ok(None)
}

/// Tells whether a name is that of a directory in the place of `name`.
fn is_another(found: &OsStr, name: &OsStr) -> bool {
    let digits = found.as_bytes().strip_prefix(name.as_bytes()).and_then(|rest| rest.strip_prefix(b"."));
    digits.is_some_and(|digits| {
        digits.len() == DIGITS && digits.iter().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f'))
    })
}

fn is_ours(path: &Path, owners: &[Option<u32>]) -> bool {
    path.symlink_metadata().is_ok_and(|found| found.is_dir() && owners.contains(&Some(found.uid())))
        && check_private(path, owners).is_ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::{PermissionsExt as _, chown, symlink};

    /// A directory that is open to everyone, as `/tmp` is.
    fn open() -> tempfile::TempDir {
        let dir = tempfile::tempdir().unwrap();
        std::fs::set_permissions(dir.path(), std::fs::Permissions::from_mode(0o1777)).unwrap();
        dir
    }

    /// Puts something in our place.
    type Put = fn(&Path);

    fn settled(path: &Path) -> Settled {
        settle(path, None).unwrap()
    }

    #[test]
    fn what_nobody_has_taken_is_used() {
        let dir = open();
        let path = dir.path().join("pofr/spool");
        assert_eq!(settled(&path), Settled { path: path.clone(), note: None });
        assert_eq!(settled(&path), Settled { path: path.clone(), note: None });
        assert_eq!(find(&path, None), path);
        assert_eq!(dir.path().join("pofr").metadata().unwrap().mode() & 0o777, 0o700);
    }

    #[test]
    fn what_somebody_has_taken_stays_as_it_is_and_another_is_used_from_then_on() {
        let put: [(&str, Put); 4] = [
            ("a file", |path| std::fs::write(path, "theirs").unwrap()),
            ("a link that leads nowhere", |path| symlink("/nowhere", path).unwrap()),
            ("a link to a directory of ours", |path| symlink(path.parent().unwrap(), path).unwrap()),
            ("their directory", |path| {
                std::fs::create_dir(path).unwrap();
                std::fs::write(path.join("theirs"), "").unwrap();
                if geteuid().is_root() {
                    chown(path, Some(65_534), None).unwrap();
                }
            }),
        ];
        for (what, put) in put {
            let dir = open();
            let place = dir.path().join("pofr");
            put(&place);
            if what == "their directory" && !geteuid().is_root() {
                eprintln!("SKIPPED: without root no directory can be another's");
                continue;
            }
            let before = format!("{:?}", place.symlink_metadata().unwrap());
            let first = settled(&place.join("spool"));
            let name = first.path.parent().unwrap().file_name().unwrap();
            assert!(is_another(name, OsStr::new("pofr")), "{what}: {first:?}");
            assert!(
                first.note.as_ref().is_some_and(|note| note.ends_with(" is used in its place")),
                "{first:?}"
            );
            assert_eq!(settled(&place.join("run")).path.parent(), first.path.parent(), "{what}");
            assert_eq!(find(&place.join("spool"), None), first.path, "{what}");
            let after = format!("{:?}", place.symlink_metadata().unwrap());
            assert_eq!(before, after, "{what}");
            // It stays in use when the other is gone.
            let _ = std::fs::remove_dir_all(&place);
            let _ = std::fs::remove_file(&place);
            let again = settled(&place.join("spool"));
            assert_eq!(again.path, first.path, "{what}");
            assert!(again.note.is_some() && !place.exists(), "{what}");
        }
    }

    #[test]
    fn nobody_else_can_make_the_one_that_is_used() {
        if !geteuid().is_root() {
            eprintln!("SKIPPED: without root no directory can be another's");
            return;
        }
        let dir = open();
        let place = dir.path().join("pofr");
        for path in [place.clone(), dir.path().join("pofr.0123456789abcdef")] {
            std::fs::create_dir(&path).unwrap();
            chown(&path, Some(65_534), None).unwrap();
        }
        symlink(&place, dir.path().join("pofr.0000000000000000")).unwrap();
        assert_eq!(find(&place, None), place);
        let first = settled(&place);
        assert_eq!(first.path.metadata().unwrap().uid(), 0);
        assert_eq!(find(&place, None), first.path);
    }
}
