//! What programs say and how they end.

use std::process::{Command, Output};

/// Runs a program to its end; returns exit code, standard output and standard error.
///
/// # Panics
/// Where it does not run, is ended by a signal, or says what is not UTF-8.
#[must_use]
#[track_caller]
pub fn outcome(command: &mut Command) -> (i32, String, String) {
    let Output { status, stdout, stderr } = command.output().unwrap();
    let text = |bytes| String::from_utf8(bytes).unwrap();
    (status.code().unwrap(), text(stdout), text(stderr))
}

/// Runs a program that must succeed; returns standard output.
///
/// # Panics
/// As [`outcome`], and where the exit code is not 0.
#[track_caller]
pub fn succeed(command: &mut Command) -> String {
    let (code, out, err) = outcome(command);
    assert_eq!(code, 0, "{command:?}: {out}{err}");
    out
}
