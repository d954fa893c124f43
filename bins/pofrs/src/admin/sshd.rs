//! sshd's configuration: a drop-in, taken only if sshd finds the whole sound and heeds it.

use super::{file, plan::Step, run};
use crate::config::Server;
use anyhow::{Context as _, bail};
use nix::{
    sys::signal::{Signal, kill},
    unistd::Pid,
};
use std::{
    path::PathBuf,
    time::{Duration, Instant},
};

/// The drop-in's text. The shell of these accounts ignores what it is told, so that ForceCommand is a second lock, not the only
/// one.
pub(crate) fn drop_in(server: &Server, password: bool) -> String {
    let Server { registration_account, group, keys_dir, shell, .. } = server;
    let (keys_dir, shell) = (keys_dir.display(), shell.display());
    let locked = format!(
        "    AuthorizedKeysFile {keys_dir}/%u
    AuthorizedKeysCommand none
    PubkeyAuthentication yes
    KbdInteractiveAuthentication no
    HostbasedAuthentication no
    GSSAPIAuthentication no
    KerberosAuthentication no
    PermitEmptyPasswords no
    ForceCommand {shell}
    PermitTTY no
    PermitUserRC no
    DisableForwarding yes
    AllowTcpForwarding no
    AllowStreamLocalForwarding no
    AllowAgentForwarding no
    X11Forwarding no
    PermitTunnel no
    Banner none
    ClientAliveInterval 60
    ClientAliveCountMax 3
"
    );
    let methods = if password { "any" } else { "publickey" };
    let yes = if password { "yes" } else { "no" };
    format!(
        "# Made by pofrs init, which writes it anew. What clients of POFR may do here: hand bundles to {shell}, and nothing else.
MaxStartups 200:30:1000

Match Group {group}
    AuthenticationMethods publickey
    PasswordAuthentication no
    MaxSessions 4
{locked}
# Registration: an invitation's key{}.
Match User {registration_account}
    AuthenticationMethods {methods}
    PasswordAuthentication {yes}
    MaxAuthTries 3
    MaxSessions 1
    ExposeAuthInfo yes
{locked}
Match all
",
        if password { ", or the password" } else { "; no password" }
    )
}

/// Writes the drop-in and has sshd take it.
pub(crate) struct Configure {
    path: PathBuf,
    text: String,
    /// An account that it is about, and the command that sshd must then force on it.
    account: String,
    shell: PathBuf,
    before: Option<Option<file::Found>>,
}

impl Configure {
    /// Configures the accounts of `server`.
    pub(crate) fn new(server: &Server, password: bool) -> Self {
        Self {
            path: server.sshd_config_dir.join("pofr.conf"),
            text: drop_in(server, password),
            account: server.registration_account.clone(),
            shell: server.shell.clone(),
            before: None,
        }
    }

    /// Has sshd check its whole configuration, and looks whether the drop-in is part of it.
    fn check(&self) -> anyhow::Result<()> {
        run::tool("sshd", ["-t"])?;
        let of = format!("user={},host=localhost,addr=127.0.0.1", self.account);
        let effective = run::tool("sshd", ["-T", "-C", &of])?;
        let forced = format!("forcecommand {}", self.shell.display());
        if !effective.lines().any(|line| line == forced) {
            bail!(
                "sshd does not heed {}\nhint: /etc/ssh/sshd_config must have, before any Match: Include {}/*.conf",
                self.path.display(),
                self.path.parent().unwrap_or(&self.path).display()
            );
        }
        Ok(())
    }
}

impl Step for Configure {
    fn says(&self) -> String {
        format!("write {}, have sshd check and take it", self.path.display())
    }

    fn shows(&self) -> Vec<String> {
        self.text.lines().map(ToOwned::to_owned).collect()
    }

    fn is_done(&self) -> anyhow::Result<bool> {
        Ok(file::found(&self.path)?
            .is_some_and(|(bytes, mode)| bytes == self.text.as_bytes() && mode == 0o644)
            && self.check().is_ok())
    }

    fn act(&mut self) -> anyhow::Result<()> {
        // A configuration that is broken already is not ours to reload.
        run::tool("sshd", ["-t"]).context("sshd's configuration is broken as it is")?;
        self.before = Some(file::found(&self.path)?);
        file::replace(&self.path, self.text.as_bytes(), 0o644)?;
        self.check()?;
        reload()
    }

    fn undo(&mut self) -> anyhow::Result<()> {
        match self.before.take() {
            None => Ok(()),
            Some(before) => {
                file::put_back(&self.path, before.as_ref())?;
                reload()
            }
        }
    }
}

/// How long sshd may take to listen again.
const RETURN: Duration = Duration::from_secs(20);

/// Has the running sshd read its configuration again (SIGHUP, sshd(8)), and waits until it listens: on its way it begins anew,
/// closes its sockets and refuses connections. One that is started for each connection has no process to be told.
///
/// # Errors
/// Where it cannot be told, or does not listen again.
pub(crate) fn reload() -> anyhow::Result<()> {
    let Some((pid, file)) = listening()? else { return Ok(()) };
    let before = file::made(&file);
    kill(pid, Signal::SIGHUP).context("cannot have sshd read its configuration again")?;
    // It removes the file when it closes its sockets, and makes a new one once it has others (sshd.c, sighup_restart and main).
    let since = Instant::now();
    while file::made(&file).is_none_or(|made| Some(made) == before) {
        if since.elapsed() > RETURN {
            bail!(
                "sshd was told to read its configuration again and has not listened since: {} is not new\n\
                 hint: sshd -t, and its log",
                file.display()
            );
        }
        std::thread::sleep(Duration::from_millis(20));
    }
    Ok(())
}

/// Returns the process of the sshd that listens, as its pid file says; `None` where none does.
pub(crate) fn running() -> anyhow::Result<Option<Pid>> {
    Ok(listening()?.map(|(pid, _)| pid))
}

/// Returns the process of the sshd that listens, and its pid file.
fn listening() -> anyhow::Result<Option<(Pid, PathBuf)>> {
    let Some(file) = setting("pidfile")?.map(PathBuf::from) else { return Ok(None) };
    let pid = std::fs::read_to_string(&file).ok().and_then(|text| text.trim().parse::<i32>().ok());
    let is_sshd = |pid: &i32| {
        std::fs::read_to_string(format!("/proc/{pid}/comm")).is_ok_and(|comm| comm.trim_end() == "sshd")
    };
    Ok(pid.filter(|pid| *pid > 1).filter(is_sshd).map(|pid| (Pid::from_raw(pid), file)))
}

/// Returns the first value of an effective setting of sshd's.
pub(crate) fn setting(name: &str) -> anyhow::Result<Option<String>> {
    Ok(settings(name)?.into_iter().next())
}

/// Returns all values of an effective setting of sshd's.
pub(crate) fn settings(name: &str) -> anyhow::Result<Vec<String>> {
    let effective = run::tool("sshd", ["-T"])?;
    let value = |line: &str| line.strip_prefix(name)?.strip_prefix(' ').map(ToOwned::to_owned);
    Ok(effective.lines().filter_map(value).collect())
}

/// Returns the public host keys, ed25519 first, each as its line without comment.
pub(crate) fn host_keys() -> anyhow::Result<Vec<String>> {
    let files = match rustix::process::geteuid().is_root() {
        true => settings("hostkey")?,
        // sshd tells nobody else.
        false => ["ed25519", "ecdsa", "rsa"].map(|kind| format!("/etc/ssh/ssh_host_{kind}_key")).to_vec(),
    };
    let mut keys: Vec<String> = Vec::new();
    for file in files {
        if let Ok(text) = std::fs::read_to_string(format!("{file}.pub")) {
            let words: Vec<&str> = text.split_whitespace().take(2).collect();
            keys.push(words.join(" "));
        }
    }
    keys.sort_by_key(|key| !key.starts_with("ssh-ed25519 "));
    if keys.is_empty() {
        bail!("sshd has no host key that could be published\nhint: ssh-keygen -A");
    }
    Ok(keys)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_password_is_for_registration_and_on_request_alone() {
        let server = Server::default();
        assert!(!drop_in(&server, false).contains("PasswordAuthentication yes"));
        let with = drop_in(&server, true);
        assert_eq!(with.matches("PasswordAuthentication yes").count(), 1);
        let (clients, registration) = with.split_once("Match User pofrsreg").unwrap();
        assert!(
            clients.contains("PasswordAuthentication no")
                && registration.contains("PasswordAuthentication yes")
        );
        for part in [clients, registration] {
            assert!(
                part.contains("ForceCommand /usr/local/libexec/pofrs-shell") && part.contains("PermitTTY no")
            );
        }
    }
}
