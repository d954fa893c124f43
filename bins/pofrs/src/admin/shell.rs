//! The clients' login shell: a copy of this program under a name by which it knows that it is one.

use super::plan::Step;
use anyhow::Context as _;
use std::{
    fs::{self, File},
    io::{self, Read as _},
    os::unix::fs::{MetadataExt as _, PermissionsExt as _},
    path::{Path, PathBuf},
};

/// Installs the shell. A copy, not a link: the program may lie where clients' accounts cannot go.
pub(crate) struct InstallShell {
    to: PathBuf,
    /// The one that was there, moved aside.
    aside: Option<PathBuf>,
    acted: bool,
}

impl InstallShell {
    /// Names the place.
    pub(crate) fn new(to: impl Into<PathBuf>) -> Self {
        Self { to: to.into(), aside: None, acted: false }
    }
}

impl Step for InstallShell {
    fn says(&self) -> String {
        format!("install the clients' login shell, a copy of this program: {}", self.to.display())
    }

    fn is_done(&self) -> anyhow::Result<bool> {
        let Ok(found) = self.to.symlink_metadata() else { return Ok(false) };
        Ok(found.is_file() && found.mode() & 0o7777 == 0o755 && same(Path::new("/proc/self/exe"), &self.to)?)
    }

    fn act(&mut self) -> anyhow::Result<()> {
        let dir = self.to.parent().context("a file is in a directory")?;
        fs::create_dir_all(dir).with_context(|| format!("cannot make {}", dir.display()))?;
        let part = self.to.with_extension("part");
        let install = || -> io::Result<()> {
            fs::copy("/proc/self/exe", &part)?;
            fs::set_permissions(&part, fs::Permissions::from_mode(0o755))?;
            File::open(&part)?.sync_all()
        };
        install().with_context(|| format!("cannot write {}", part.display()))?;
        if self.to.exists() {
            let aside = self.to.with_extension("before");
            let _ = fs::remove_file(&aside);
            fs::hard_link(&self.to, &aside)?;
            self.aside = Some(aside);
        }
        self.acted = true;
        fs::rename(&part, &self.to).with_context(|| format!("cannot write {}", self.to.display()))
    }

    fn undo(&mut self) -> anyhow::Result<()> {
        let _ = fs::remove_file(self.to.with_extension("part"));
        match self.aside.take() {
            Some(aside) => fs::rename(aside, &self.to)?,
            None if self.acted => fs::remove_file(&self.to)?,
            None => {}
        }
        Ok(())
    }
}

impl Drop for InstallShell {
    fn drop(&mut self) {
        if let Some(aside) = &self.aside {
            let _ = fs::remove_file(aside);
        }
    }
}

/// Compares two files.
fn same(a: &Path, b: &Path) -> io::Result<bool> {
    let (mut a, mut b) = (File::open(a)?, File::open(b)?);
    if a.metadata()?.len() != b.metadata()?.len() {
        return Ok(false);
    }
    let (mut left, mut right) = (vec![0; 1 << 16], vec![0; 1 << 16]);
    loop {
        let n = a.read(&mut left)?;
        if n == 0 {
            return Ok(true);
        }
        b.read_exact(&mut right[..n])?;
        if left[..n] != right[..n] {
            return Ok(false);
        }
    }
}
