//! Exit codes: what a script may rely on.

use std::process::ExitCode;

/// What came of a command.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Exit {
    /// All was done, all that was asked is shown.
    Done,
    /// Something failed; standard error says what.
    Failed,
    /// Nothing is recorded at the time that was asked for.
    NoRecord,
    /// Some bundles could not be taken and lie in quarantine; the others are stored.
    Quarantined,
    /// Another pofrs writes to that client's record: try again later.
    Busy,
    /// `status` found trouble, or `verify` something that is not as it should be.
    Trouble,
    /// Nothing in the record is what was asked for.
    NothingFound,
}

/// The codes, for every command's help. Clap itself ends with 2.
pub(crate) const HELP: &str = "\
Exit codes:
  0  done
  1  failed; standard error says why
  2  the command line was not understood
  3  nothing is recorded at the time asked for
  4  some bundles lie in quarantine, the others are stored
  5  another pofrs writes to that client's record: try again later
  6  status: there is trouble with a client; verify: something is not as it should be
  7  find and its like: nothing in the record is what was asked for";

impl Exit {
    /// Returns the code.
    pub(crate) const fn code(self) -> u8 {
        match self {
            Self::Done => 0,
            Self::Failed => 1,
            Self::NoRecord => 3,
            Self::Quarantined => 4,
            Self::Busy => 5,
            Self::Trouble => 6,
            Self::NothingFound => 7,
        }
    }
}

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> Self {
        exit.code().into()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_help_names_every_code() {
        for exit in [
            Exit::Done,
            Exit::Failed,
            Exit::NoRecord,
            Exit::Quarantined,
            Exit::Busy,
            Exit::Trouble,
            Exit::NothingFound,
        ] {
            assert!(HELP.contains(&format!("\n  {}  ", exit.code())), "{exit:?}");
        }
    }
}
