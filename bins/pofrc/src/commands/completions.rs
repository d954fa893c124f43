//! `pofrc completions`: completions for a shell.

use crate::{cli::Cli, exit::Exit};
use clap::CommandFactory as _;
use clap_complete::Shell;

/// Prints them.
pub(super) fn run(shell: Shell) -> Exit {
    clap_complete::generate(shell, &mut Cli::command(), "pofrc", &mut std::io::stdout());
    Exit::Done
}
