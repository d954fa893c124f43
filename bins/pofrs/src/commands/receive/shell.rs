//! The login shell of clients' accounts: `pofrs` under the name `pofrs-shell`. Whatever it is told to run, it receives.
//!
//! sshd runs whatever a client asks for, and every forced command, as `SHELL -c COMMAND`. The arguments are not looked at but
//! for one thing: whether a client of the first POFR wants scp's sink, which it then gets in our words, not as a program.

use super::{me, receive};
use crate::{cli::Global, commands::register_session, config::Config, exit::Exit};
use anyhow::bail;
use std::{ffi::OsStr, os::unix::ffi::OsStrExt as _, path::Path};

/// The name under which this program is a login shell; a leading dash says that it is the login's (login(1)).
const NAME: &[u8] = b"pofrs-shell";
/// Where things are, where the configuration says nothing: a client's account has no places of its own.
const DATA_DIR: &str = "/var/lib/pofr";

/// Tells whether the program was started as the login shell.
pub(crate) fn is_shell(arg0: &OsStr) -> bool {
    let name = Path::new(arg0).file_name().unwrap_or(arg0).as_bytes();
    name.strip_prefix(b"-").unwrap_or(name) == NAME
}

/// Runs it, for the account that has logged in.
pub(crate) fn shell() -> anyhow::Result<Exit> {
    if rustix::process::getuid().is_root() {
        bail!("this is the login shell of clients of POFR, not of root");
    }
    let config = Config::load(None)?;
    let data_dir = config.data_dir.clone().unwrap_or_else(|| DATA_DIR.into());
    let name = me()?;
    if name == config.server.registration_account {
        let global = Global { data_dir: Some(data_dir), ..Global::default() };
        return register_session::session(&global, None);
    }
    receive(&data_dir, &name, &command())
}

/// Returns what the client asked to run: where a command is forced, sshd tells in the environment (sshd(8), sshd_config(5)
/// ForceCommand).
fn command() -> String {
    if let Some(original) = std::env::var_os("SSH_ORIGINAL_COMMAND") {
        return original.to_string_lossy().into_owned();
    }
    let mut args = std::env::args_os().skip(1);
    match args.next() {
        Some(option) if option == "-c" => args.next().unwrap_or_default().to_string_lossy().into_owned(),
        _ => String::new(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_name_tells() {
        for name in ["pofrs-shell", "-pofrs-shell", "/usr/local/libexec/pofrs-shell"] {
            assert!(is_shell(OsStr::new(name)), "{name}");
        }
        for name in ["pofrs", "/x/pofrs-shell/pofrs", "pofrs-shell2", "--pofrs-shell", ""] {
            assert!(!is_shell(OsStr::new(name)), "{name}");
        }
    }
}
