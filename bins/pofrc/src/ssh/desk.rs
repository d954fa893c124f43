//! The registration desk: `ssh` run by itself, so that it can ask for a password at the terminal.

use super::{Options, verdict};
use crate::state::address;
use anyhow::{Context as _, anyhow};
use pofr_collect::{Stop, ship::Pipes};
use std::{
    io::{self, Read, Write},
    path::Path,
    process::{Child, Command, Stdio},
    thread::JoinHandle,
    time::Duration,
};

/// How long the server may be silent; a person types a password in that time.
const PATIENCE: Duration = Duration::from_secs(180);
/// ssh says no more than this that matters, bytes.
const LAST_WORDS: u64 = 16 << 10;
/// What is asked of the server, whose login shell does not care.
const COMMAND: &str = "pofr-register";

/// How to prove that one may knock.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Login {
    /// By an invitation's key, or our own.
    Key,
    /// By the password of the registration account, which ssh asks for.
    Password,
}

/// A session with the registration account.
#[derive(Debug)]
pub(crate) struct Desk {
    pipes: Option<Pipes>,
    ssh: Child,
    server: String,
    last_words: Option<JoinHandle<String>>,
}

impl Desk {
    /// Logs in; `dir` is a directory of our own.
    pub(crate) fn open(options: &Options, login: Login, dir: &Path) -> anyhow::Result<Self> {
        let config = options.write(dir)?;
        let mut ssh = Command::new("ssh");
        ssh.arg("-F").arg(config).arg("-T").arg("-p").arg(options.port.to_string());
        ssh.arg("-l").arg(&options.account);
        if login == Login::Key {
            ssh.args(["-o", "BatchMode=yes"]);
        }
        ssh.arg("--").arg(&options.host).arg(COMMAND);
        ssh.stdin(Stdio::piped()).stdout(Stdio::piped());
        // A prompt goes to the terminal by itself; what else ssh says would be lost behind our own words.
        ssh.stderr(if login == Login::Key { Stdio::piped() } else { Stdio::inherit() });
        let mut ssh = ssh.spawn().context("cannot run ssh")?;
        let (input, output) = (ssh.stdin.take(), ssh.stdout.take());
        let (input, output) = input.zip(output).context("ssh has no pipes")?;
        let stop = Stop::new().context("cannot make a stop")?;
        let pipes = Pipes::new(output.into(), input.into(), PATIENCE, &stop, Duration::ZERO)?;
        let last_words = ssh.stderr.take().map(|stderr| {
            std::thread::spawn(move || {
                let mut said = Vec::new();
                let _ = stderr.take(LAST_WORDS).read_to_end(&mut said);
                String::from_utf8_lossy(&said).into_owned()
            })
        });
        let server = address(&options.host, options.port);
        Ok(Self { pipes: Some(pipes), ssh, server, last_words })
    }

    /// Says why there is no session, after it broke; `None` where it is not ssh's doing.
    pub(crate) fn why(mut self) -> Option<anyhow::Error> {
        self.pipes = None;
        let code = self.ssh.wait().ok()?.code();
        let said = self.last_words.take().and_then(|words| words.join().ok()).unwrap_or_default();
        let why = verdict::read(&self.server, &said);
        (code == Some(255)).then(|| anyhow!(why))
    }
}

impl Read for Desk {
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        self.pipes.as_mut().map_or(Ok(0), |pipes| pipes.read(buf))
    }
}

impl Write for Desk {
    fn write(&mut self, buf: &[u8]) -> io::Result<usize> {
        self.pipes.as_mut().map_or(Err(io::ErrorKind::NotConnected.into()), |pipes| pipes.write(buf))
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Drop for Desk {
    fn drop(&mut self) {
        self.pipes = None;
        // It ends with its input; one that hangs does not keep us.
        for _ in 0..20 {
            if !matches!(self.ssh.try_wait(), Ok(None)) {
                return;
            }
            std::thread::sleep(Duration::from_millis(50));
        }
        let _ = self.ssh.kill();
        let _ = self.ssh.wait();
    }
}
