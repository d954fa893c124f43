//! Places: where the recorder keeps what, for root and for others, and that nobody else can write there.

use anyhow::{Context as _, bail};
use rustix::process::geteuid;
use std::{
    fs::DirBuilder,
    os::unix::fs::{DirBuilderExt as _, MetadataExt as _},
    path::{Path, PathBuf},
};

/// Where things are unless somebody says otherwise.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Places {
    /// The configuration.
    pub(crate) config: PathBuf,
    /// Sealed bundles; memory, since the client's disk is evidence.
    pub(crate) spool: PathBuf,
    /// What must survive a boot.
    pub(crate) state: PathBuf,
    /// Lock, pid, socket, log: what is of this boot.
    pub(crate) run: PathBuf,
}

impl Places {
    /// Returns the places of the user who runs this program.
    pub(crate) fn of_this_user() -> Self {
        let uid = geteuid();
        if uid.is_root() { Self::system() } else { Self::user(uid.as_raw(), |name| std::env::var_os(name)) }
    }

    /// Returns root's places.
    pub(crate) fn system() -> Self {
        Self {
            config: "/etc/pofr/pofrc.toml".into(),
            spool: "/dev/shm/pofr".into(),
            state: "/var/lib/pofr".into(),
            run: "/run/pofr".into(),
        }
    }

    /// Returns a user's places, as the XDG base directories say.
    fn user(uid: u32, variable: impl Fn(&str) -> Option<std::ffi::OsString>) -> Self {
        let absolute = |name: &str| variable(name).map(PathBuf::from).filter(|path| path.is_absolute());
        let home = absolute("HOME").unwrap_or_else(|| format!("/tmp/pofr-{uid}").into());
        let memory = PathBuf::from(format!("/dev/shm/pofr-{uid}"));
        Self {
            config: absolute("XDG_CONFIG_HOME")
                .unwrap_or_else(|| home.join(".config"))
                .join("pofr/pofrc.toml"),
            state: absolute("XDG_STATE_HOME").unwrap_or_else(|| home.join(".local/state")).join("pofr"),
            run: absolute("XDG_RUNTIME_DIR").map_or_else(|| memory.join("run"), |dir| dir.join("pofr")),
            spool: memory.join("spool"),
        }
    }
}

/// Makes a directory for its owner alone, or checks that the one there is, which may also be `other`'s: who makes our directory
/// before us could read and replace the record.
pub(crate) fn make_private(path: &Path, other: Option<u32>) -> anyhow::Result<()> {
    DirBuilder::new()
        .recursive(true)
        .mode(0o700)
        .create(path)
        .with_context(|| format!("cannot make {}", path.display()))?;
    check_private(path, &[Some(geteuid().as_raw()), other])
}

/// Makes sure that a directory belongs to one of `owners`, and that nobody else can change or replace it.
pub(crate) fn check_private(path: &Path, owners: &[Option<u32>]) -> anyhow::Result<()> {
    let look =
        |path: &Path| path.symlink_metadata().with_context(|| format!("cannot look at {}", path.display()));
    let found = look(path)?;
    if !found.is_dir() {
        bail!("{} is not a directory", path.display());
    }
    if !owners.contains(&Some(found.uid())) {
        bail!("{} belongs to another user ({})", path.display(), found.uid());
    }
    if found.mode() & 0o022 != 0 {
        bail!("{} can be written by others (mode {:o})", path.display(), found.mode() & 0o777);
    }
    let real = path.canonicalize().with_context(|| format!("cannot look at {}", path.display()))?;
    for above in real.ancestors().skip(1) {
        let found = look(above)?;
        let is_kept = found.uid() == 0 || owners.contains(&Some(found.uid()));
        if !is_kept || found.mode() & 0o1002 == 0o002 {
            bail!("{} lies in {}, where others can replace it", path.display(), above.display());
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::PermissionsExt as _;

    #[test]
    fn a_users_places_follow_xdg_where_it_is_set() {
        let none = Places::user(7, |_| None);
        assert_eq!(none.state, Path::new("/tmp/pofr-7/.local/state/pofr"));
        assert_eq!(none.run, Path::new("/dev/shm/pofr-7/run"));
        let set = |name: &str| match name {
            "HOME" => Some("/home/ann".into()),
            "XDG_RUNTIME_DIR" => Some("/run/user/7".into()),
            // The specification has relative ones ignored.
            "XDG_STATE_HOME" => Some("state".into()),
            _ => None,
        };
        let some = Places::user(7, set);
        assert_eq!(some.config, Path::new("/home/ann/.config/pofr/pofrc.toml"));
        assert_eq!(some.state, Path::new("/home/ann/.local/state/pofr"));
        assert_eq!((some.run, some.spool), ("/run/user/7/pofr".into(), "/dev/shm/pofr-7/spool".into()));
    }

    #[test]
    fn a_place_that_others_can_write_is_refused() {
        let dir = tempfile::tempdir().unwrap();
        let (ours, open, link) = (dir.path().join("a/b"), dir.path().join("open"), dir.path().join("link"));
        make_private(&ours, None).unwrap();
        assert_eq!(ours.metadata().unwrap().mode() & 0o777, 0o700);
        make_private(&ours, None).unwrap();
        std::fs::create_dir(&open).unwrap();
        std::fs::set_permissions(&open, std::fs::Permissions::from_mode(0o777)).unwrap();
        assert!(
            make_private(&open, None)
                .unwrap_err()
                .to_string()
                .ends_with("can be written by others (mode 777)")
        );
        std::os::unix::fs::symlink(&ours, &link).unwrap();
        assert!(make_private(&link, None).unwrap_err().to_string().ends_with("is not a directory"));
        let below = make_private(&open.join("below"), None).unwrap_err().to_string();
        assert!(below.ends_with("/open, where others can replace it"), "{below}");
    }
}
