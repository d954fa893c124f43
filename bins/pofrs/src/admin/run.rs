//! Running the system's own tools: by absolute path where that is known, with an empty environment, and with their words in the
//! error.

use anyhow::{Context as _, bail};
use std::{
    path::{Path, PathBuf},
    process::{Command, Stdio},
};

/// Where they are.
const PLACES: [&str; 6] = ["/usr/sbin", "/usr/bin", "/sbin", "/bin", "/usr/local/sbin", "/usr/local/bin"];

/// Finds a tool; `None` where the system has none.
pub(crate) fn find(name: &str) -> Option<PathBuf> {
    PLACES.iter().map(|dir| Path::new(dir).join(name)).find(|path| path.exists())
}

/// Runs a tool and returns what it prints.
pub(crate) fn tool<S: AsRef<std::ffi::OsStr>>(
    name: &str,
    arguments: impl IntoIterator<Item = S>,
) -> anyhow::Result<String> {
    let path = find(name).with_context(|| format!("there is no {name} in {}", PLACES.join(", ")))?;
    let mut command = Command::new(path);
    command.args(arguments).env_clear().env("PATH", PLACES.join(":")).env("LC_ALL", "C");
    output(command, name)
}

/// Runs this program once more: another process, which becomes whom its command is for.
pub(crate) fn myself<S: AsRef<std::ffi::OsStr>>(
    arguments: impl IntoIterator<Item = S>,
) -> anyhow::Result<String> {
    // The path may be closed to the account that it becomes; the running program is not.
    let mut command = Command::new("/proc/self/exe");
    command.args(arguments);
    output(command, "pofrs")
}

fn output(mut command: Command, name: &str) -> anyhow::Result<String> {
    let output = command
        .stdin(Stdio::null())
        .current_dir("/")
        .output()
        .with_context(|| format!("cannot run {name}"))?;
    if !output.status.success() {
        let words = String::from_utf8_lossy(&output.stderr);
        bail!("{name} ended with {}: {}", output.status, words.trim());
    }
    Ok(String::from_utf8_lossy(&output.stdout).into_owned())
}
