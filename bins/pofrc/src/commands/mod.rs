//! The commands, one file each.

mod completions;
mod man;
mod record;

use crate::{
    cli::{Cli, Command},
    exit::Exit,
};

/// Runs the command.
pub(crate) fn run(cli: Cli) -> anyhow::Result<Exit> {
    match cli.command {
        Command::Record(args) => record::run(&args),
        Command::Completions { shell } => Ok(completions::run(shell)),
        Command::Man { dir } => man::run(dir.as_deref()),
    }
}
