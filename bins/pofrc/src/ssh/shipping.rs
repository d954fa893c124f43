//! The shipper's transport: one long-lived session through the `openssh` crate.

use super::{Options, orphans, verdict};
use crate::state::address;
use openssh::{Child, ControlPersist, KnownHosts, Session, SessionBuilder, Stdio};
use pofr_collect::{Stop, ship::Pipes};
use pofr_core::{
    Transport,
    transport::{Duplex, Unreachable},
};
use std::{
    error::Error,
    future::Future,
    io::{self, Read, Write},
    num::NonZeroUsize,
    path::{Path, PathBuf},
    sync::Arc,
    time::{Duration, Instant},
};
use tokio::{
    runtime::{Builder, Runtime},
    time::timeout,
};

/// The server has so long for the handshake; a link that is cut in the middle of it says nothing.
const HANDSHAKE: Duration = Duration::from_secs(60);
/// How long the server may be silent when asked: a disk that is busy, a line that is full.
const PATIENCE: Duration = Duration::from_secs(120);
/// How long an end may take before it is made.
const FAREWELL: Duration = Duration::from_secs(2);
/// A master that serves nobody for so long ends.
const IDLE: NonZeroUsize = NonZeroUsize::new(10).expect("ten is not zero");
/// What is asked of the server. Its login shell receives whatever is asked; with one account for all, sshd has the command forced.
const COMMAND: &str = "pofr-receive";

/// Makes sessions.
pub(crate) struct Shipping {
    options: Options,
    /// A directory of our own, for the control socket and the configuration.
    dir: PathBuf,
    runtime: Arc<Runtime>,
    stop: Stop,
    grace: Duration,
}

impl Shipping {
    /// Prepares to log in; `dir` is a directory of our own.
    pub(crate) fn new(options: Options, dir: &Path, stop: &Stop, grace: Duration) -> anyhow::Result<Self> {
        orphans::sweep(dir);
        let runtime = Arc::new(Builder::new_current_thread().enable_all().build()?);
        Ok(Self { options, dir: dir.to_owned(), runtime, stop: stop.clone(), grace })
    }

    async fn log_in(&self, config: &Path) -> Result<(Arc<Session>, Child<Arc<Session>>), openssh::Error> {
        let options = &self.options;
        let mut builder = SessionBuilder::default();
        builder
            .known_hosts_check(KnownHosts::Strict)
            .user_known_hosts_file(&options.known_hosts)
            .control_directory(&self.dir)
            .control_persist(ControlPersist::IdleFor(IDLE))
            .config_file(config)
            .user(options.account.clone())
            .port(options.port);
        if let Some(key) = &options.key {
            builder.keyfile(key);
        }
        let session = Arc::new(builder.connect(&options.host).await?);
        let mut command = session.clone().arc_raw_command(COMMAND);
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::null());
        let child = command.spawn().await?;
        Ok((session, child))
    }

    /// Waits for `work`, for as long as there is patience and nobody stops us.
    fn wait<T>(&self, work: impl Future<Output = T>) -> Option<T> {
        let until = Instant::now() + HANDSHAKE;
        self.runtime.block_on(async {
            let mut work = std::pin::pin!(work);
            loop {
                if let Ok(done) = timeout(Duration::from_millis(200), &mut work).await {
                    return Some(done);
                }
                if Instant::now() >= until || self.stop.is_stopped() {
                    return None;
                }
            }
        })
    }
}

impl Transport for Shipping {
    fn connect(&mut self) -> Result<Box<dyn Duplex>, Unreachable> {
        let server = address(&self.options.host, self.options.port);
        let retry = |why: String| Unreachable::Retry(format!("cannot reach {server}: {why}"));
        let config = self.options.write(&self.dir).map_err(|error| retry(format!("{error:#}")))?;
        let (session, mut child) = match self.wait(self.log_in(&config)) {
            Some(Ok(made)) => made,
            Some(Err(error)) => {
                orphans::end_all();
                let said = error.source().map_or_else(|| error.to_string(), ToString::to_string);
                return Err(verdict::read(&server, &said));
            }
            None => {
                orphans::end_all();
                return Err(retry("the handshake takes too long".to_owned()));
            }
        };
        let mut pipes = || -> io::Result<Pipes> {
            let none = || io::Error::other("ssh has no pipe");
            let (input, output) =
                (child.stdin().take().ok_or_else(none)?, child.stdout().take().ok_or_else(none)?);
            let _in_the_runtime = self.runtime.enter();
            Pipes::new(output.into_owned_fd()?, input.into_owned_fd()?, PATIENCE, &self.stop, self.grace)
        };
        let pipes = pipes().map_err(|error| retry(error.to_string()))?;
        let runtime = self.runtime.clone();
        Ok(Box::new(Line { pipes: Some(pipes), child: Some(child), session: Some(session), runtime }))
    }
}

/// A session with the server's `receive`.
struct Line {
    pipes: Option<Pipes>,
    child: Option<Child<Arc<Session>>>,
    session: Option<Arc<Session>>,
    runtime: Arc<Runtime>,
}

impl Line {
    fn pipes(&mut self) -> io::Result<&mut Pipes> {
        self.pipes.as_mut().ok_or_else(|| io::ErrorKind::NotConnected.into())
    }
}

impl Read for Line {
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        self.pipes()?.read(buf)
    }
}

impl Write for Line {
    fn write(&mut self, buf: &[u8]) -> io::Result<usize> {
        self.pipes()?.write(buf)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Drop for Line {
    /// Ends the session in order where that is quick, and in any case.
    fn drop(&mut self) {
        self.pipes = None;
        let (child, session) = (self.child.take(), self.session.take());
        self.runtime.block_on(async {
            if let Some(child) = child {
                let _ = timeout(FAREWELL, child.wait()).await;
            }
            if let Some(session) = session.and_then(Arc::into_inner) {
                let _ = timeout(FAREWELL, session.close()).await;
            }
        });
        orphans::end_all();
    }
}
