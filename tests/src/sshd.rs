//! A private sshd on loopback: its own configuration, port, host key and authorized keys, all in one directory.

use std::{
    net::{TcpListener, TcpStream},
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    time::{Duration, Instant},
};

/// Who has not done within this time never will.
const PATIENCE: Duration = Duration::from_secs(30);

/// A running sshd. It ends with this.
#[derive(Debug)]
pub struct Sshd {
    dir: PathBuf,
    port: u16,
    process: Option<Child>,
}

impl Sshd {
    /// Makes a host key and starts sshd; nobody may log in yet. Only root can have a password checked or become somebody, so
    /// whoever logs in is the user of this test.
    ///
    /// # Panics
    /// Where there is no sshd: the `test` script installs it.
    #[must_use]
    pub fn start(dir: &Path) -> Self {
        let port = TcpListener::bind("127.0.0.1:0").and_then(|l| l.local_addr()).expect("a free port").port();
        let mut sshd = Self { dir: dir.to_owned(), port, process: None };
        sshd.change_host_key();
        sshd.let_in(&[]);
        sshd.up();
        sshd
    }

    /// The port it listens on.
    #[must_use]
    pub const fn port(&self) -> u16 {
        self.port
    }

    /// The line of its host key.
    ///
    /// # Panics
    /// Where there is none.
    #[must_use]
    pub fn host_key(&self) -> String {
        std::fs::read_to_string(self.dir.join("host.pub")).expect("a host key")
    }

    /// Makes another host key, to be used from the next [`Self::up`] on.
    ///
    /// # Panics
    /// Where ssh-keygen fails.
    pub fn change_host_key(&self) {
        let key = self.dir.join("host");
        for old in [key.clone(), self.dir.join("host.pub")] {
            let _ = std::fs::remove_file(old);
        }
        let mut keygen = Command::new("ssh-keygen");
        keygen.args(["-q", "-t", "ed25519", "-N", "", "-f"]).arg(key);
        assert!(keygen.status().expect("ssh-keygen runs").success(), "no host key");
    }

    /// Says who may log in: lines of `authorized_keys`.
    ///
    /// # Panics
    /// Where the file cannot be written.
    pub fn let_in(&self, lines: &[String]) {
        let text: String = lines.iter().map(|line| format!("{line}\n")).collect();
        std::fs::write(self.dir.join("authorized_keys"), text).expect("authorized_keys");
    }

    /// Starts it, where it does not run.
    ///
    /// # Panics
    /// Where it does not come up.
    pub fn up(&mut self) {
        // Root's sshd wants its own empty directory.
        let _ = std::fs::create_dir_all("/run/sshd");
        let at = |name: &str| self.dir.join(name).display().to_string();
        let config = format!(
            "Port {}\nListenAddress 127.0.0.1\nHostKey {}\nAuthorizedKeysFile {}\nPidFile none\nStrictModes no\nUsePAM no\n\
             PasswordAuthentication no\nKbdInteractiveAuthentication no\nPermitRootLogin prohibit-password\nMaxStartups 100\n",
            self.port,
            at("host"),
            at("authorized_keys")
        );
        std::fs::write(self.dir.join("sshd_config"), config).expect("a configuration");
        let mut sshd = Command::new("/usr/sbin/sshd");
        sshd.args(["-D", "-f"]).arg(self.dir.join("sshd_config")).arg("-E").arg(self.dir.join("sshd.log"));
        self.process =
            Some(sshd.stdin(Stdio::null()).spawn().expect("sshd: run the `test` script, which installs it"));
        let began = Instant::now();
        while TcpStream::connect(("127.0.0.1", self.port)).is_err() {
            let log = std::fs::read_to_string(self.dir.join("sshd.log")).unwrap_or_default();
            assert!(began.elapsed() < PATIENCE, "sshd does not come up: {log}");
            std::thread::sleep(Duration::from_millis(20));
        }
    }

    /// Ends it, and every session with it.
    pub fn down(&mut self) {
        if let Some(mut process) = self.process.take() {
            // The sessions are processes of their own, and its children only as long as it lives.
            for session in descendants(process.id()) {
                kill(session);
            }
            let _ = process.kill();
            let _ = process.wait();
        }
    }

    /// Ends every session, but not itself.
    pub fn end_sessions(&self) {
        if let Some(process) = &self.process {
            descendants(process.id()).into_iter().for_each(kill);
        }
    }
}

impl Drop for Sshd {
    fn drop(&mut self) {
        self.down();
    }
}

/// Returns the processes that descend from `pid`, the nearest first.
#[must_use]
pub fn descendants(pid: u32) -> Vec<u32> {
    let all: Vec<(u32, u32)> = std::fs::read_dir("/proc")
        .into_iter()
        .flatten()
        .filter_map(|entry| {
            let pid = entry.ok()?.file_name().to_str()?.parse().ok()?;
            let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
            Some((pid, stat.rsplit_once(") ")?.1.split(' ').nth(1)?.parse().ok()?))
        })
        .collect();
    let mut found = vec![pid];
    let mut at = 0;
    while let Some(parent) = found.get(at).copied() {
        found.extend(all.iter().filter(|(_, of)| *of == parent).map(|(child, _)| *child));
        at += 1;
    }
    found.remove(0);
    found
}

/// Tells whether a process lives, and is not only waited for by a parent that does not care.
#[must_use]
pub fn lives(pid: u32) -> bool {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat"));
    stat.is_ok_and(|stat| stat.rsplit_once(") ").is_some_and(|(_, rest)| !rest.starts_with(['Z', 'X'])))
}

/// Kills a process.
pub fn kill(pid: u32) {
    let _ = Command::new("kill").args(["-9", &pid.to_string()]).stderr(Stdio::null()).status();
}
