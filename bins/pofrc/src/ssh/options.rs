//! The options of every `ssh` that we run: a configuration file of our own, since `-F` has the system's ignored, too.

use crate::state::write_private;
use std::path::{Path, PathBuf};

/// Where to log in.
#[derive(Clone, Debug)]
pub(crate) struct Options {
    pub(crate) host: String,
    pub(crate) port: u16,
    pub(crate) account: String,
    /// The private key; `None` where a password is asked for.
    pub(crate) key: Option<PathBuf>,
    /// The pinned host key.
    pub(crate) known_hosts: PathBuf,
}

impl Options {
    /// Writes the configuration into `dir`, which is ours; returns its path.
    pub(crate) fn write(&self, dir: &Path) -> anyhow::Result<PathBuf> {
        let path = dir.join("ssh_config");
        write_private(&path, self.text().as_bytes())?;
        Ok(path)
    }

    fn text(&self) -> String {
        let login = match &self.key {
            Some(key) => format!(
                "PreferredAuthentications publickey\nPasswordAuthentication no\nKbdInteractiveAuthentication no\nIdentityFile \"{}\"\n",
                key.display()
            ),
            None => "PreferredAuthentications password,keyboard-interactive\nPubkeyAuthentication no\n\
                     NumberOfPasswordPrompts 3\nIdentityFile none\n"
                .to_owned(),
        };
        format!(
            "# Written by pofrc at every start.\n\
             StrictHostKeyChecking yes\nUserKnownHostsFile \"{}\"\nGlobalKnownHostsFile /dev/null\n\
             UpdateHostKeys no\nVerifyHostKeyDNS no\nCheckHostIP no\n\
             IdentitiesOnly yes\nIdentityAgent none\nIgnoreUnknown GSSAPIAuthentication\nGSSAPIAuthentication no\n\
             {login}\
             ForwardAgent no\nForwardX11 no\nClearAllForwardings yes\nPermitLocalCommand no\nRequestTTY no\n\
             Compression no\nConnectionAttempts 1\nConnectTimeout 20\n\
             TCPKeepAlive yes\nServerAliveInterval 15\nServerAliveCountMax 3\nLogLevel ERROR\n",
            self.known_hosts.display()
        )
    }
}
