//! SELinux labels, where SELinux is on. Written after the documentation of semanage(8); untried, since no machine with SELinux
//! was at hand.

use super::{plan::Step, run};
use std::path::{Path, PathBuf};

/// Labels the authorised keys as such, so that a confined sshd may read them.
pub(crate) struct Label {
    keys_dir: PathBuf,
}

impl Label {
    /// The directory of authorised keys.
    pub(crate) fn new(keys_dir: impl Into<PathBuf>) -> Self {
        Self { keys_dir: keys_dir.into() }
    }

    fn pattern(&self) -> String {
        format!("{}(/.*)?", self.keys_dir.display())
    }
}

/// Tells whether SELinux is on: its file system is mounted (selinux(8)).
pub(crate) fn is_on() -> bool {
    Path::new("/sys/fs/selinux/enforce").exists()
}

impl Step for Label {
    fn says(&self) -> String {
        format!("label {} for SELinux: ssh_home_t", self.pattern())
    }

    fn is_done(&self) -> anyhow::Result<bool> {
        if !is_on() {
            return Ok(true);
        }
        let known = run::tool("semanage", ["fcontext", "--list", "--locallist", "--noheading"])?;
        Ok(known.lines().any(|line| line.starts_with(&self.pattern())))
    }

    fn act(&mut self) -> anyhow::Result<()> {
        run::tool("semanage", ["fcontext", "--add", "--type", "ssh_home_t", &self.pattern()])?;
        run::tool("restorecon", ["-R", "-F", &self.keys_dir.display().to_string()]).map(drop)
    }

    fn undo(&mut self) -> anyhow::Result<()> {
        run::tool("semanage", ["fcontext", "--delete", &self.pattern()]).map(drop)
    }
}
