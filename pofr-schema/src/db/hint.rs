//! Hints: what to do about what databases commonly say.

use std::{error::Error, fmt};

/// Signs in a database's message, and what to do about it. The first that fits counts.
const HINTS: [(&[&str], &str); 6] = [
    (&["Unknown database"], "nothing is stored there yet; pofrs init-db, as root, prepares the server"),
    (
        &["disk is full", "disk I/O error", "No space left", "Errcode: 28", "error 28", "' is full"],
        "make room and say it again: what is not stored waits where it is",
    ),
    (
        &["Access denied for user", "command denied to user"],
        "pofrs init-db, as root, makes the users and gives them their rights (--client NAME for a new client); a password stands in \
         the file that the URL names",
    ),
    (
        &[
            "Can't connect",
            "server has gone away",
            "Lost connection",
            "Server shutdown",
            "Connection refused",
        ],
        "is MariaDB running? What was not committed is not lost: say it again",
    ),
    (
        &["attempt to write a readonly database"],
        "the file belongs to another user, or was opened for reading",
    ),
    (
        &["file is not a database", "malformed", "is marked as crashed", "doesn't exist in engine"],
        "move the damaged database away; pofrs rebuild makes the record anew from kept bundles",
    ),
];

/// A cause with a hint.
#[derive(Debug)]
struct Hinted {
    cause: Box<dyn Error + Send + Sync>,
    hint: &'static str,
}

impl fmt::Display for Hinted {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}\nhint: {}", self.cause, self.hint)
    }
}

impl Error for Hinted {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        self.cause.source()
    }
}

/// Adds the hint that fits, if one does and there is none yet.
pub(super) fn with_hint(cause: Box<dyn Error + Send + Sync>) -> Box<dyn Error + Send + Sync> {
    let text = cause.to_string();
    if text.contains("\nhint: ") {
        return cause;
    }
    let fits = |(signs, _): &&(&[&str], &str)| signs.iter().any(|sign| text.contains(sign));
    match HINTS.iter().find(fits) {
        Some((_, hint)) => Box::new(Hinted { cause, hint }),
        None => cause,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_fits_is_said_once() {
        let once = with_hint("database or disk is full".into());
        assert!(once.to_string().contains("\nhint: make room"), "{once}");
        let twice = with_hint(once);
        assert_eq!(twice.to_string().matches("hint: ").count(), 1);
        assert_eq!(with_hint("no such table: x".into()).to_string(), "no such table: x");
    }
}
