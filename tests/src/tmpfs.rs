//! A small file system of a test's own, to be filled.

use std::{
    path::{Path, PathBuf},
    process::Command,
};

/// A tmpfs; unmounted when this is dropped.
#[derive(Debug)]
pub struct Tmpfs {
    path: PathBuf,
    _dir: Option<tempfile::TempDir>,
}

impl Tmpfs {
    /// Mounts one of so many KiB; `None` where the kernel refuses, as it does anyone but root: said on standard error.
    ///
    /// # Panics
    /// Where there is no mount(8).
    #[must_use]
    pub fn mount(kib: u64) -> Option<Self> {
        let dir = tempfile::tempdir().unwrap();
        let mut mounted = Self::mount_on(dir.path(), kib)?;
        mounted._dir = Some(dir);
        Some(mounted)
    }

    /// Mounts one on a directory that is there.
    ///
    /// # Panics
    /// Where there is no mount(8).
    #[must_use]
    pub fn mount_on(path: &Path, kib: u64) -> Option<Self> {
        let mounted = Command::new("mount")
            .args(["-t", "tmpfs", "-o", &format!("size={kib}k,mode=0700"), "pofr-test"])
            .arg(path)
            .output()
            .unwrap();
        if !mounted.status.success() {
            let why = String::from_utf8_lossy(&mounted.stderr).into_owned();
            eprintln!("SKIPPED: no tmpfs can be mounted, so no disk is full: {why}");
            return None;
        }
        Some(Self { path: path.to_owned(), _dir: None })
    }

    /// Gives it another size.
    ///
    /// # Panics
    /// Where the kernel refuses.
    pub fn resize(&self, kib: u64) {
        let option = format!("remount,size={kib}k");
        assert!(Command::new("mount").args(["-o", &option]).arg(self.path()).status().unwrap().success());
    }

    /// Returns its path.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Fills it up with a file, but for so many KiB.
    ///
    /// # Panics
    /// Where that cannot be written.
    pub fn fill_but(&self, kib: u64) -> PathBuf {
        let filler = self.path().join("filler");
        let stat = rustix::fs::statvfs(self.path()).unwrap();
        let free = stat.f_bavail * stat.f_frsize;
        let size = free.saturating_sub(kib * 1024);
        let mut file = std::fs::File::create(&filler).unwrap();
        std::io::copy(&mut std::io::Read::take(std::io::repeat(0), size), &mut file).unwrap();
        filler
    }
}

impl Drop for Tmpfs {
    fn drop(&mut self) {
        // Lazily: a server that is just ending may still have files there.
        let _ = Command::new("umount").arg("-l").arg(self.path()).status();
    }
}
