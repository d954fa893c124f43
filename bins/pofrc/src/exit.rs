//! Exit codes, and what stands for them in the help.

use pofr_collect::{RecordError, SpoolError};
use std::process::ExitCode;

/// How the program ends. The help text lists them: [`HELP`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub(crate) enum Exit {
    /// All is recorded; also after Ctrl-C or SIGTERM.
    Done = 0,
    /// Something failed.
    Failed = 1,
    /// Another recorder uses the directory. (2 is clap's, for a wrong command line.)
    InUse = 3,
    /// All is recorded, but the file of snapshots is not whole.
    NoSnapshots = 4,
    /// No recorder runs.
    NotRunning = 5,
    /// The recorder did not answer, or did not end, in time.
    NoAnswer = 6,
    /// The server refuses, the administrator denied, or nobody agreed.
    Refused = 7,
}

/// The exit codes for the help.
pub(crate) const HELP: &str = "Exit codes:
  0    recorded; also when ended by Ctrl-C, SIGTERM or SIGHUP
  1    failed; what was recorded until then is kept
  2    wrong command line
  3    another recorder uses the directory
  4    recorded, but the file of --snapshots is not whole
  130  ended at once by a second signal; the next start seals what there is";

/// The exit codes of `pofrc start`.
pub(crate) const START: &str = "Exit codes:
  0    recorded until asked to end; with --detach: it records now; or a
       recorder runs already
  1    failed; what was recorded until then is kept
  2    wrong command line
  3    another recorder uses the spool or the state";

/// The exit codes of `pofrc stop`.
pub(crate) const STOP: &str = "Exit codes:
  0    it has ended and its last bundle is sealed; or no recorder ran
  1    failed, or it ended with an error
  2    wrong command line
  6    it has not ended in time; it still will";

/// The exit codes of `pofrc status`.
pub(crate) const STATUS: &str = "Exit codes:
  0    a recorder runs
  1    failed
  2    wrong command line
  5    no recorder runs
  6    one runs, but does not answer";

/// The exit codes of `pofrc register`.
pub(crate) const REGISTER: &str = "Exit codes:
  0    granted; with --no-wait also: requested, and not decided yet
  1    failed: the server is not reached, its key is not the right one
  2    wrong command line
  7    denied";

/// The exit codes of `pofrc deregister`.
pub(crate) const DEREGISTER: &str = "Exit codes:
  0    no server is registered any more
  1    failed
  2    wrong command line
  7    nobody agreed: nothing was changed";

impl Exit {
    /// Returns what an exit code of this program means.
    pub(crate) const fn from_code(code: i32) -> Self {
        match code {
            0 => Self::Done,
            3 => Self::InUse,
            4 => Self::NoSnapshots,
            5 => Self::NotRunning,
            6 => Self::NoAnswer,
            7 => Self::Refused,
            _ => Self::Failed,
        }
    }
}

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> Self {
        Self::from(exit as u8)
    }
}

/// Prints an error, with a hint where there is something to be done, and says how to end.
pub(crate) fn report(error: &anyhow::Error) -> Exit {
    eprintln!("pofrc: {error:#}");
    let spool = error.downcast_ref::<SpoolError>().or_else(|| {
        match error.downcast_ref::<RecordError<SpoolError>>() {
            Some(RecordError::Sink(error)) => Some(error),
            _ => None,
        }
    });
    match spool {
        Some(SpoolError::Locked(_)) => {
            eprintln!("hint: end the other recorder, or give another directory");
            Exit::InUse
        }
        Some(SpoolError::State { path, .. }) => {
            eprintln!(
                "hint: a later version wrote it; run that one, or move {} away to begin a new chain",
                path.display()
            );
            Exit::Failed
        }
        _ => Exit::Failed,
    }
}
