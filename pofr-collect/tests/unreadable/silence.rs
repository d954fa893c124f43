//! A filesystem that falls silent, and processes that use it against whoever reads them.

use rustix::process::{Pid, Signal, kill_process};
use std::{
    io::{BufRead as _, BufReader},
    path::PathBuf,
    process::{Child, ChildStdout, Command, Stdio},
};

const FILESYSTEM: &str = include_str!("silent_fs.py");
const ATTACKER: &str = include_str!("attacker.py");

/// Starts a script of ours, and waits until it says `word`.
fn start(script: &str, args: &[&str], word: &str) -> (Child, BufReader<ChildStdout>) {
    let mut child = Command::new("python3")
        .args(["-c", script])
        .args(args)
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut said = BufReader::new(child.stdout.take().unwrap());
    let mut line = String::new();
    said.read_line(&mut line).unwrap();
    assert_eq!(line.trim(), word, "{args:?}");
    (child, said)
}

/// A FUSE filesystem of one file. It ends with the value, and whatever waits for it goes on.
pub(crate) struct Silence {
    dir: tempfile::TempDir,
    server: Child,
    // Its output is read by nobody, but has somewhere to go.
    _said: BufReader<ChildStdout>,
}

impl Silence {
    pub(crate) fn mount(options: &[&str]) -> Self {
        let dir = tempfile::Builder::new().permissions(permissions()).tempdir().unwrap();
        let mount = dir.path().to_str().unwrap();
        let (server, said) = start(FILESYSTEM, &[&[mount], options].concat(), "mounted");
        Self { dir, server, _said: said }
    }

    /// Returns its file.
    pub(crate) fn file(&self) -> PathBuf {
        self.dir.path().join("f")
    }

    /// From now on it answers nothing.
    pub(crate) fn begin(&self) {
        let pid = Pid::from_raw(i32::try_from(self.server.id()).unwrap()).unwrap();
        kill_process(pid, Signal::USR1).unwrap();
        std::thread::sleep(std::time::Duration::from_millis(200));
    }

    /// It ends; the kernel gives up what waits.
    pub(crate) fn end(&mut self) {
        let _ = self.server.kill();
        let _ = self.server.wait();
    }
}

fn permissions() -> std::fs::Permissions {
    std::os::unix::fs::PermissionsExt::from_mode(0o755)
}

impl Drop for Silence {
    fn drop(&mut self) {
        self.end();
        let _ = Command::new("umount").arg("-l").arg(self.dir.path()).stderr(Stdio::null()).status();
    }
}

/// A process that is ended with the value; after the filesystem that it uses.
pub(crate) struct Attacker {
    process: Child,
    _said: BufReader<ChildStdout>,
}

impl Attacker {
    pub(crate) fn start(kind: &str, file: &str) -> Self {
        let (process, said) = start(ATTACKER, &[kind, file], "ready");
        Self { process, _said: said }
    }

    pub(crate) fn pid(&self) -> u32 {
        self.process.id()
    }
}

impl Drop for Attacker {
    fn drop(&mut self) {
        let _ = self.process.kill();
        // Where a test fails it may wait for a filesystem that ends only after it.
        let _ = self.process.try_wait();
    }
}
