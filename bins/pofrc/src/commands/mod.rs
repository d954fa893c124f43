//! The commands, one file each.

mod completions;
mod deregister;
mod man;
mod record;
mod register;
mod rotate_key;
mod ship;
mod start;
mod status;
mod stop;
mod tune;

use crate::{
    cli::{Cli, Command},
    exit::Exit,
};

/// Runs the command.
pub(crate) fn run(cli: Cli) -> anyhow::Result<Exit> {
    match cli.command {
        Command::Start(args) => start::run(&args),
        Command::Stop(args) => stop::run(&args),
        Command::Status(args) => status::run(&args),
        Command::Register(args) => register::run(&args),
        Command::Deregister(args) => deregister::run(&args),
        Command::RotateKey(args) => rotate_key::run(&args),
        Command::Ship(args) => ship::run(&args),
        Command::Tune(args) => tune::run(&args),
        Command::Record(args) => record::run(&args),
        Command::Completions { shell } => Ok(completions::run(shell)),
        Command::Man { dir } => man::run(dir.as_deref()),
    }
}
