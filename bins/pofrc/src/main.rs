//! `pofrc`, the client: records the machine that it runs on.

mod cli;
mod commands;
mod config;
mod detach;
mod exit;
mod facilities;
mod key;
mod live;
mod log;
mod observer;
mod own_file;
mod places;
mod plan;
mod privileges;
mod registration;
mod report;
mod run_dir;
mod shipper;
mod signals;
mod squatted;
mod ssh;
mod state;
mod target;
mod units;
mod user;

use clap::Parser as _;
use std::process::ExitCode;

fn main() -> ExitCode {
    let cli = cli::Cli::parse();
    log::start(&cli.command);
    match commands::run(cli) {
        Ok(exit) => exit.into(),
        Err(error) => exit::report(&error).into(),
    }
}
