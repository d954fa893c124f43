//! Where an attack is played: directories of a recorder's own, how it is started, and one scene at a time.

use pofr_tests::programs::program;
use std::{
    ffi::{OsStr, OsString},
    fs,
    os::unix::fs::{PermissionsExt as _, chown},
    path::{Path, PathBuf},
    process::Command,
    sync::{Mutex, MutexGuard, PoisonError},
};

/// The ordinary user who attacks.
pub(crate) const ATTACKER: u32 = 65534;
/// The ordinary user whose record must stay whole.
pub(crate) const BYSTANDER: u32 = 65533;
/// The share of a core that a recorder is given. The programs under test are built without optimisation, so this is
/// far above the default; what counts is that it is kept.
pub(crate) const MAX_CPU: f64 = 0.2;

static TURN: Mutex<()> = Mutex::new(());

/// The directories of one recorder and of its attacker.
pub(crate) struct Scene {
    dir: tempfile::TempDir,
    /// Words before `pofrc`, such as a wrapper that sets limits.
    launcher: Vec<OsString>,
    options: Vec<OsString>,
    /// Where the spool is asked to be.
    pub(crate) spool: PathBuf,
    /// Where the state is kept.
    pub(crate) state: PathBuf,
    _turn: Option<MutexGuard<'static, ()>>,
}

impl Scene {
    /// Sets one up; `None`, loudly, where this is not root. All tests of this program take turns: a recorder sees the attacks
    /// of every test.
    pub(crate) fn new() -> Option<Self> {
        if !rustix::process::geteuid().is_root() {
            eprintln!("SKIPPED: only root can record a machine and be attacked by another user");
            return None;
        }
        let turn = TURN.lock().unwrap_or_else(PoisonError::into_inner);
        crate::quiet::measure();
        Some(Self { _turn: Some(turn), ..Self::bare() })
    }

    /// Sets one up without a turn of its own: for who holds it.
    pub(crate) fn bare() -> Self {
        let dir = tempfile::Builder::new().prefix("pofr-adversary-").tempdir().unwrap();
        fs::set_permissions(dir.path(), fs::Permissions::from_mode(0o755)).unwrap();
        for (name, uid) in [("attacker", ATTACKER), ("bystander", BYSTANDER)] {
            let home = dir.path().join(name);
            fs::create_dir(&home).unwrap();
            chown(&home, Some(uid), Some(uid)).unwrap();
        }
        fs::write(dir.path().join("pofrc.toml"), "").unwrap();
        let (spool, state) = (dir.path().join("spool"), dir.path().join("state"));
        Self { dir, launcher: Vec::new(), options: Vec::new(), spool, state, _turn: None }
    }

    /// Starts the recorder through another program.
    #[must_use]
    pub(crate) fn through<S: AsRef<OsStr>>(mut self, words: &[S]) -> Self {
        self.launcher = words.iter().map(|word| word.as_ref().to_owned()).collect();
        self
    }

    /// Gives the recorder an option more.
    #[must_use]
    pub(crate) fn option(mut self, name: &str, value: impl AsRef<OsStr>) -> Self {
        self.options.extend([OsString::from(name), value.as_ref().to_owned()]);
        self
    }

    /// Keeps the spool elsewhere.
    #[must_use]
    pub(crate) fn spool_in(mut self, path: impl Into<PathBuf>) -> Self {
        self.spool = path.into();
        self
    }

    /// Keeps the state elsewhere.
    #[must_use]
    pub(crate) fn state_in(mut self, path: impl Into<PathBuf>) -> Self {
        self.state = path.into();
        self
    }

    /// Returns a path in the scene's directory, which only root may write.
    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    /// Returns a path in the attacker's directory.
    pub(crate) fn lair(&self, name: &str) -> PathBuf {
        self.path("attacker").join(name)
    }

    /// Prepares `pofrc start` with what this scene says.
    pub(crate) fn start(&self) -> Command {
        let pofrc = program("pofrc");
        let mut words = self.launcher.iter().cloned().chain([pofrc.into_os_string()]);
        let mut command = Command::new(words.next().unwrap());
        command.args(words).arg("start").arg("--config").arg(self.path("pofrc.toml"));
        command.arg("--run-dir").arg(self.path("run")).arg("--state").arg(&self.state);
        command.arg("--spool").arg(&self.spool).args(["--interval", "300ms", "--bundle", "2s", "--max-cpu"]);
        command.arg(format!("{}%", MAX_CPU * 100.0)).args(&self.options);
        command
    }

    /// Compiles a program of `attacks/`; returns where it is.
    pub(crate) fn compile(&self, name: &str) -> PathBuf {
        let to = self.path(&format!("{name}.bin"));
        if !to.exists() {
            let mut cc = Command::new("cc");
            cc.args(["-O1", "-pthread", "-o"]).arg(&to).arg(source(&format!("{name}.c")));
            assert!(cc.status().unwrap().success(), "{name}.c does not compile");
        }
        to
    }
}

/// Returns the path of a file of `attacks/`.
pub(crate) fn source(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/adversary/attacks").join(name)
}

impl Scene {
    /// Returns the spool that is in use: the one asked for, or what the recorder took in its place, which it says.
    pub(crate) fn spool_in_use(&self) -> PathBuf {
        let is_ours =
            |path: &Path| fs::metadata(path).is_ok_and(|m| std::os::unix::fs::MetadataExt::uid(&m) == 0);
        if is_ours(&self.spool) {
            return self.spool.clone();
        }
        // One that is squatted is worked around: beside it, with its name and more.
        let name = self.spool.file_name().unwrap().to_string_lossy().into_owned();
        let beside = fs::read_dir(self.spool.parent().unwrap()).unwrap().map(|entry| entry.unwrap().path());
        let mut beside = beside.filter(|path| {
            path.file_name().is_some_and(|other| other.to_string_lossy().starts_with(&name)) && is_ours(path)
        });
        beside.next().unwrap_or_else(|| self.spool.clone())
    }
}
