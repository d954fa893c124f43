//! `pofrs`, POFR's server: parses the command line, runs the command, and says by its exit code what came of it.

mod across;
mod admin;
mod cli;
mod commands;
mod config;
mod exit;
mod filter;
mod identity;
mod moment;
mod output;
mod record;
mod units;
mod who;

use clap::Parser;
use exit::Exit;
use pofr_core::{raw::RawText, store::StoreError};
use std::io::{self, IsTerminal as _, Write};

fn main() -> std::process::ExitCode {
    if std::env::args_os().next().is_some_and(|arg0| commands::receive::is_shell(&arg0)) {
        return end(commands::receive::shell());
    }
    let filter = tracing_subscriber::EnvFilter::try_from_env("POFR_LOG").unwrap_or_else(|_| "warn".into());
    let log = tracing_subscriber::fmt().with_env_filter(filter).with_writer(io::stderr).without_time();
    log.with_ansi(io::stderr().is_terminal()).with_target(false).init();
    let cli = cli::Cli::parse();
    let mut out = io::BufWriter::new(io::stdout().lock());
    let result = commands::run(cli, &mut out).and_then(|exit| {
        out.flush()?;
        Ok(exit)
    });
    if result.is_err() {
        let _ = out.flush();
    }
    drop(out);
    end(result)
}

/// Says what went wrong, and how it ended.
fn end(result: anyhow::Result<Exit>) -> std::process::ExitCode {
    match result {
        Ok(exit) => exit.into(),
        // Whoever reads through `head` has what they wanted.
        Err(error) if is_broken_pipe(&error) => Exit::Done.into(),
        Err(error) => {
            for line in format!("{error:#}").lines() {
                // An error may quote what a client sent.
                let _ = writeln!(io::stderr(), "pofrs: {}", RawText::from(line).escaped());
            }
            exit_of(&error).into()
        }
    }
}

fn is_broken_pipe(error: &anyhow::Error) -> bool {
    let kind = |e: &(dyn std::error::Error + 'static)| {
        e.downcast_ref::<io::Error>()
            .map(io::Error::kind)
            .or_else(|| e.downcast_ref::<serde_json::Error>().and_then(serde_json::Error::io_error_kind))
    };
    error.chain().any(|e| kind(e) == Some(io::ErrorKind::BrokenPipe))
}

fn exit_of(error: &anyhow::Error) -> Exit {
    let locked = |e: &(dyn std::error::Error + 'static)| {
        matches!(e.downcast_ref::<StoreError>(), Some(StoreError::Locked(_)))
    };
    if error.chain().any(locked) { Exit::Busy } else { Exit::Failed }
}
