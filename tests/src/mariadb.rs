//! A MariaDB server of a test's own: own data directory, own socket, no network.
//!
//! A shell stands between the test and the server: it reads commands from a pipe, and when the pipe closes, however the test
//! process ended, it kills the server by its pid and removes the directory. So a server may stand in a `static`.

use std::{
    io::{self, BufRead as _, BufReader, Write as _},
    path::PathBuf,
    process::{Child, ChildStdin, ChildStdout, Command, Stdio},
    time::{Duration, Instant},
};

/// What the shell runs: `$1` is the directory, the rest is the server's command line.
const KEEPER: &str = r#"
exec 2>/dev/null
trap '' INT TERM HUP
dir=$1; shift; pid=
while read -r word; do
    case $word in
        start) "$@" </dev/null >>"$dir/log" 2>&1 & pid=$!; echo "$pid" ;;
        kill) kill -9 "$pid"; wait "$pid"; pid=; echo dead ;;
    esac
done
if [ -n "$pid" ]; then kill -9 "$pid"; wait "$pid"; fi
rm -rf "$dir"
"#;

/// A private MariaDB server; killed, and its data removed, when this is dropped or the process ends.
#[derive(Debug)]
pub struct PrivateMariadb {
    dir: PathBuf,
    keeper: Child,
    commands: Option<ChildStdin>,
    answers: BufReader<ChildStdout>,
    pid: u32,
}

impl PrivateMariadb {
    /// Makes a data directory and starts a server on it, which takes some seconds.
    ///
    /// # Errors
    /// Where Debian's mariadb-server is not installed, or the server does not come up within a minute; the error has its log.
    pub fn start() -> io::Result<Self> {
        // In memory, since tests make and drop thousands of tables. The shell removes the directory.
        let memory = std::path::Path::new("/dev/shm");
        if memory.is_dir() { Self::start_in(memory) } else { Self::start_in(&std::env::temp_dir()) }
    }

    /// Does the same in a directory within `parent`.
    ///
    /// # Errors
    /// As [`Self::start`].
    pub fn start_in(parent: &std::path::Path) -> io::Result<Self> {
        let dir = tempfile::Builder::new().prefix("pofr-mariadb-").tempdir_in(parent)?.keep();
        let installed = Command::new("mariadb-install-db")
            .arg("--no-defaults")
            .arg(format!("--datadir={}", dir.join("data").display()))
            .args(["--auth-root-authentication-method=normal", "--skip-test-db"])
            .args(as_root().then_some("--user=root"))
            // In a directory that they share, two servers take each other's temporary tables.
            .env("TMPDIR", &dir)
            .output()
            .map_err(|e| io::Error::new(e.kind(), format!("cannot run mariadb-install-db: {e}")))?;
        if !installed.status.success() {
            let text = String::from_utf8_lossy(&installed.stderr).into_owned();
            let _ = std::fs::remove_dir_all(&dir);
            return Err(io::Error::other(format!("mariadb-install-db failed: {text}")));
        }
        let server = ["/usr/sbin/mariadbd", "/usr/libexec/mariadbd", "/usr/bin/mariadbd"]
            .into_iter()
            .find(|path| std::path::Path::new(path).exists())
            .unwrap_or("mariadbd");
        let mut keeper = Command::new("sh")
            .args(["-c", KEEPER, "keeper"])
            .arg(&dir)
            .args([server, "--no-defaults", "--skip-networking", "--performance-schema=off"])
            .args(as_root().then_some("--user=root"))
            .args(["--innodb-buffer-pool-size=64M", "--innodb-log-file-size=32M"])
            .arg(format!("--datadir={}", dir.join("data").display()))
            .arg(format!("--socket={}", dir.join("socket").display()))
            .arg(format!("--pid-file={}", dir.join("pid").display()))
            .env("TMPDIR", &dir)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()?;
        let (commands, answers) = (keeper.stdin.take(), keeper.stdout.take());
        let answers = BufReader::new(answers.ok_or_else(|| io::Error::other("the keeper has no output"))?);
        let mut server = Self { dir, keeper, commands, answers, pid: 0 };
        server.restart()?;
        Ok(server)
    }

    /// Returns the URL under which POFR finds it, with all rights.
    #[must_use]
    pub fn url(&self) -> String {
        format!("mysql://root@localhost/?unix_socket={}", self.socket().display())
    }

    /// Returns the path of its socket.
    #[must_use]
    pub fn socket(&self) -> PathBuf {
        self.dir.join("socket")
    }

    /// Returns its process id.
    #[must_use]
    pub fn pid(&self) -> u32 {
        self.pid
    }

    /// Kills it with SIGKILL and waits until it is dead; the data stays.
    ///
    /// # Errors
    /// Where the keeper is gone.
    pub fn kill_9(&mut self) -> io::Result<()> {
        self.command("kill").map(drop)
    }

    /// Starts it again on the data that it had, and waits until it answers.
    ///
    /// # Errors
    /// As [`Self::start`].
    pub fn restart(&mut self) -> io::Result<()> {
        let _ = std::fs::remove_file(self.socket());
        let pid = self.command("start")?;
        self.pid = pid.trim().parse().map_err(io::Error::other)?;
        let deadline = Instant::now() + Duration::from_secs(60);
        while !self.answers() {
            if Instant::now() > deadline || !std::path::Path::new(&format!("/proc/{}", self.pid)).exists() {
                let log = std::fs::read_to_string(self.dir.join("log")).unwrap_or_default();
                return Err(io::Error::other(format!("mariadbd does not come up:\n{log}")));
            }
            std::thread::sleep(Duration::from_millis(50));
        }
        Ok(())
    }

    /// Starts it again if it has died by itself, as one may whose disk is full.
    ///
    /// # Errors
    /// As [`Self::start`].
    pub fn revive(&mut self) -> io::Result<()> {
        if self.answers() {
            return Ok(());
        }
        self.kill_9()?;
        self.restart()
    }

    fn answers(&self) -> bool {
        let ping = Command::new("mariadb-admin")
            .args(["--no-defaults", "--user=root", "ping"])
            .arg(format!("--socket={}", self.socket().display()))
            .output();
        ping.is_ok_and(|out| out.status.success())
    }

    fn command(&mut self, word: &str) -> io::Result<String> {
        let gone = || io::Error::other("the keeper is gone");
        writeln!(self.commands.as_mut().ok_or_else(gone)?, "{word}")?;
        let mut answer = String::new();
        if self.answers.read_line(&mut answer)? == 0 {
            return Err(gone());
        }
        Ok(answer)
    }
}

impl Drop for PrivateMariadb {
    fn drop(&mut self) {
        // What the server has to say to a test that fails is gone with its directory.
        if std::thread::panicking() {
            eprintln!(
                "mariadbd's log:\n{}",
                std::fs::read_to_string(self.dir.join("log")).unwrap_or_default()
            );
        }
        // Closing the pipe is the sign to end.
        self.commands = None;
        let _ = self.keeper.wait();
    }
}

fn as_root() -> bool {
    use std::os::unix::fs::MetadataExt as _;
    std::fs::metadata("/proc/self").is_ok_and(|m| m.uid() == 0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_starts_dies_and_comes_back() {
        let mut server = PrivateMariadb::start().unwrap();
        let (first, dir) = (server.pid(), server.dir.clone());
        server.kill_9().unwrap();
        assert!(!server.answers());
        server.restart().unwrap();
        assert!(server.answers() && server.pid() != first);
        drop(server);
        assert!(!dir.exists());
    }
}
