//! `pofrs completions` and `pofrs man`: made of the definition of the command line.

use crate::{cli::Cli, exit::Exit};
use anyhow::Context as _;
use clap::{Args, CommandFactory};
use clap_complete::Shell;
use std::{io::Write, path::PathBuf};

/// Prints a completion script.
#[derive(Args, Debug)]
#[command(after_help = "Examples:\n  pofrs completions bash > /etc/bash_completion.d/pofrs")]
pub(crate) struct CompletionsArgs {
    /// The shell
    shell: Shell,
}

/// Prints or writes manual pages.
#[derive(Args, Debug)]
#[command(after_help = "Examples:\n  pofrs man | man -l -\n  pofrs man --dir /usr/local/share/man/man1")]
pub(crate) struct ManArgs {
    /// Write the pages of all commands into this directory instead
    #[arg(long, value_name = "DIR")]
    dir: Option<PathBuf>,
}

/// Runs `completions`.
pub(crate) fn completions(args: &CompletionsArgs, out: &mut dyn Write) -> anyhow::Result<Exit> {
    let mut script = Vec::new();
    clap_complete::generate(args.shell, &mut Cli::command(), "pofrs", &mut script);
    out.write_all(&script)?;
    Ok(Exit::Done)
}

/// Runs `man`.
pub(crate) fn man(args: &ManArgs, out: &mut dyn Write) -> anyhow::Result<Exit> {
    match &args.dir {
        None => clap_mangen::Man::new(Cli::command()).render(&mut &mut *out)?,
        Some(dir) => {
            std::fs::create_dir_all(dir).with_context(|| format!("cannot make {}", dir.display()))?;
            clap_mangen::generate_to(Cli::command(), dir)
                .with_context(|| format!("cannot write manual pages to {}", dir.display()))?;
        }
    }
    Ok(Exit::Done)
}
