//! `pofrc man`: the man pages.

use crate::{cli::Cli, exit::Exit};
use anyhow::Context as _;
use clap::CommandFactory as _;
use std::path::Path;

/// Prints the page of the program, or writes those of all its commands.
pub(super) fn run(dir: Option<&Path>) -> anyhow::Result<Exit> {
    match dir {
        Some(dir) => clap_mangen::generate_to(Cli::command(), dir)
            .with_context(|| format!("cannot write man pages to {}", dir.display()))?,
        None => clap_mangen::Man::new(Cli::command()).render(&mut std::io::stdout())?,
    }
    Ok(Exit::Done)
}
