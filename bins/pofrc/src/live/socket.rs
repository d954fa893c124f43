//! The status socket: whoever may connect is told the account as one JSON object. Nothing is read from them.

use super::Live;
use crate::{
    report::Report,
    run_dir::{RunDir, remove},
};
use anyhow::Context as _;
use std::{
    io::{ErrorKind, Read as _, Write as _},
    os::unix::{
        fs::PermissionsExt as _,
        net::{UnixListener, UnixStream},
    },
    time::Duration,
};

/// Whoever does not take the answer within this time does without; whoever gets none within it gives up.
const PATIENCE: Duration = Duration::from_secs(3);
/// An answer is never longer than this, bytes.
const LONGEST: u64 = 1 << 20;

/// What came of asking.
#[derive(Debug)]
pub(crate) enum Answer {
    /// The recorder's account.
    Report(Box<Report>),
    /// Nobody listens.
    Nobody,
    /// Somebody listens and says nothing.
    Silence,
}

/// Answers on the run directory's socket from now on, in a thread of its own.
pub(crate) fn serve(run: &RunDir, live: Live) -> anyhow::Result<()> {
    let path = run.socket();
    remove(&path)?;
    let listener = UnixListener::bind(&path)
        .and_then(|listener| {
            std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o600))?;
            Ok(listener)
        })
        .with_context(|| format!("cannot listen on {}", path.display()))?;
    let answer = move || {
        for stream in listener.incoming() {
            let answered = stream.and_then(|mut stream| {
                stream.set_write_timeout(Some(PATIENCE))?;
                stream.write_all(&serde_json::to_vec(&live.report())?)
            });
            if let Err(error) = answered {
                tracing::debug!("a question for the status was not answered: {error}");
                // Out of descriptors, say: asking again at once would change nothing.
                std::thread::sleep(Duration::from_millis(100));
            }
        }
    };
    std::thread::Builder::new().name("status".to_owned()).spawn(answer).context("cannot start a thread")?;
    Ok(())
}

/// Asks the recorder of a run directory.
pub(crate) fn ask(run: &RunDir) -> anyhow::Result<Answer> {
    let path = run.socket();
    let said = UnixStream::connect(&path).and_then(|stream| {
        stream.set_read_timeout(Some(PATIENCE))?;
        let mut said = Vec::new();
        stream.take(LONGEST).read_to_end(&mut said)?;
        Ok(said)
    });
    match said {
        Ok(said) => {
            let report = serde_json::from_slice(&said);
            Ok(Answer::Report(report.with_context(|| format!("{} tells no status", path.display()))?))
        }
        Err(error) => match error.kind() {
            ErrorKind::NotFound | ErrorKind::ConnectionRefused => Ok(Answer::Nobody),
            ErrorKind::WouldBlock | ErrorKind::TimedOut => Ok(Answer::Silence),
            _ => Err(error).with_context(|| format!("cannot ask {}", path.display())),
        },
    }
}
