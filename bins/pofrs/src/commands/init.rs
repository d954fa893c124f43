//! `pofrs init`: makes a server of a machine.

mod single;
mod step;
mod system;

use crate::{
    admin::{Plan, sshd},
    cli::Global,
    exit::Exit,
};
use clap::Args;
use pofr_ingest::registration::key;
use std::{
    io::Write,
    path::{Path, PathBuf},
};

/// Prepares a server.
#[derive(Args, Debug)]
#[command(after_long_help = "\
Makes, where they are not there: the configuration, the data directory, the user pofr (who owns the record), the account pofrsreg (which takes \
requests), the clients' login shell, the database (as pofrs init-db does), and a drop-in for sshd, which is checked (sshd -t) before sshd is told to \
reload, and taken back where it is not sound. Where a step fails, all before it are taken back. Saying it again is harmless, and does what an update needs: it renews \
the shell and the drop-in. A configuration that is there stays as it is.

With --with-password clients may register with the password of pofrsreg, which passwd sets; without, by invitation alone.

With --single-account nothing needs root: all clients log in to the account that runs this, by a forced command for each key in its \
~/.ssh/authorized_keys. What that costs: clients are kept apart by these programs (and Landlock, where the kernel has it) and not by the system's accounts; sshd's \
limits are the administrator's; there is no registration by password.

Examples:
  pofrs init --dry-run
  pofrs init --with-password
  pofrs init --db 'mysql://pofr@localhost/?unix_socket=/run/mysqld/mysqld.sock'
  pofrs init --single-account --data-dir ~/pofr")]
pub(crate) struct InitArgs {
    /// Only show what would be done: + is to do, = is so already
    #[arg(long)]
    dry_run: bool,
    /// Let clients register with the password of pofrsreg, too
    #[arg(long)]
    with_password: bool,
    /// One account for all clients, this one, and nothing that needs root
    #[arg(long, conflicts_with = "with_password")]
    single_account: bool,
}

/// Runs the command.
pub(crate) fn run(args: &InitArgs, global: &Global, out: &mut dyn Write) -> anyhow::Result<Exit> {
    let mut plan = Plan::default();
    let notes = if args.single_account {
        single::plan(&mut plan, global)?
    } else {
        system::plan(&mut plan, global, args.with_password)?
    };
    if args.dry_run {
        plan.show(out)?;
        writeln!(out, "nothing was done")?;
        return Ok(Exit::Done);
    }
    if plan.carry_out(out)? == 0 {
        writeln!(out, "everything was so already")?;
    }
    for note in notes {
        writeln!(out, "{note}")?;
    }
    writeln!(out, "host keys, for those who register with a password to compare:")?;
    for line in sshd::host_keys()? {
        let fingerprint = key::fingerprint_of(&line).unwrap_or_default();
        writeln!(out, "  {} {fingerprint}", line.split(' ').next().unwrap_or_default())?;
    }
    Ok(Exit::Done)
}

/// Returns the configuration file that is meant.
fn config_path(global: &Global, default: &Path) -> PathBuf {
    global.config.clone().unwrap_or_else(|| default.to_owned())
}

/// Writes a string of TOML.
fn quoted(text: &str) -> String {
    // JSON's strings are strings of TOML (toml.io, basic strings).
    serde_json::Value::from(text).to_string()
}
