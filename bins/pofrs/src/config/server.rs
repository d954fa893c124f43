//! What the server's own administration needs to know: accounts, keys, sshd.

use serde::Deserialize;
use std::path::PathBuf;

/// How clients are told apart.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Accounts {
    /// An account of the system for each client.
    #[default]
    System,
    /// One account for all, and a forced command for each.
    Single,
}

/// The server's administration.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct Server {
    /// How clients are told apart.
    pub(crate) accounts: Accounts,
    /// The account that pofrs becomes for everything that touches the record, where root runs it.
    pub(crate) user: Option<String>,
    /// The account that takes requests.
    pub(crate) registration_account: String,
    /// The group of the clients' accounts.
    pub(crate) group: String,
    /// Where root-owned files of authorised keys are; with one account, that account's file.
    pub(crate) keys_dir: PathBuf,
    /// Where sshd reads more of its configuration.
    pub(crate) sshd_config_dir: PathBuf,
    /// The login shell of clients.
    pub(crate) shell: PathBuf,
}

impl Default for Server {
    fn default() -> Self {
        Self {
            accounts: Accounts::System,
            user: None,
            registration_account: "pofrsreg".into(),
            group: "pofrclients".into(),
            keys_dir: "/etc/pofr/keys".into(),
            sshd_config_dir: "/etc/ssh/sshd_config.d".into(),
            shell: "/usr/local/libexec/pofrs-shell".into(),
        }
    }
}
