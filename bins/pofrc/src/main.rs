//! `pofrc`, the client: records the machine that it runs on.

mod cli;
mod commands;
mod exit;
mod observer;
mod signals;
mod units;

use clap::Parser as _;
use std::{io::IsTerminal as _, process::ExitCode};

fn main() -> ExitCode {
    let filter = tracing_subscriber::EnvFilter::try_from_env("POFR_LOG").unwrap_or_else(|_| "warn".into());
    let log = tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr).without_time();
    log.with_ansi(std::io::stderr().is_terminal()).with_target(false).init();
    match commands::run(cli::Cli::parse()) {
        Ok(exit) => exit.into(),
        Err(error) => exit::report(&error).into(),
    }
}
