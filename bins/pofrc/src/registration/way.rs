//! The way in: by an invitation, or by the server's name and the password of its registration account.

use super::{HostKey, Invitation, host_key::parse_server};
use anyhow::bail;
use std::io::{BufRead as _, IsTerminal as _, Write as _};

/// The account through which the first POFR registers.
const ACCOUNT: &str = "pofrsreg";

/// Where to knock, and as whom.
#[derive(Clone, Debug)]
pub(crate) struct Way {
    pub(crate) host: String,
    pub(crate) port: u16,
    pub(crate) account: String,
    pub(crate) host_key: HostKey,
    /// The invitation's private key; `None` where a password is asked for.
    pub(crate) key: Option<String>,
}

impl Way {
    /// Takes the way that an invitation shows.
    pub(crate) fn invited(token: &str) -> anyhow::Result<Self> {
        let Invitation { host, port, host_key, key, account, .. } = Invitation::parse(token)?;
        Ok(Self { host_key: HostKey::parse(&host_key)?, host, port, account, key: Some(key) })
    }

    /// Asks a server for its key, and a person, or `fingerprint`, whether that is it.
    pub(crate) fn by_name(server: &str, fingerprint: Option<&str>, yes: bool) -> anyhow::Result<Self> {
        let (host, port) = parse_server(server)?;
        let keys = HostKey::scan(&host, port)?;
        let host_key = match fingerprint {
            Some(wanted) => matching(keys, wanted, server)?,
            None => confirmed(keys, server, yes)?,
        };
        Ok(Self { host, port, account: ACCOUNT.to_owned(), host_key, key: None })
    }
}

/// Picks the key with the fingerprint that was given.
fn matching(keys: Vec<HostKey>, wanted: &str, server: &str) -> anyhow::Result<HostKey> {
    let shown: Vec<String> =
        keys.iter().map(|key| format!("  {} ({})", key.fingerprint(), key.kind())).collect();
    match keys.into_iter().find(|key| key.fingerprint() == wanted) {
        Some(key) => Ok(key),
        None => bail!(
            "{server} does not have the host key {wanted}: nothing was sent. It shows\n{}",
            shown.join("\n")
        ),
    }
}

/// Shows the key and asks.
fn confirmed(keys: Vec<HostKey>, server: &str, yes: bool) -> anyhow::Result<HostKey> {
    let Some(key) = keys.into_iter().next() else { bail!("{server} shows no host key") };
    println!("{server} shows the host key {} ({})", key.fingerprint(), key.kind());
    if yes {
        println!("it is taken as it is (--yes)");
        return Ok(key);
    }
    if !std::io::stdin().is_terminal() {
        bail!("nobody is there to say whether that is the server's key: give it with --fingerprint");
    }
    if !agreed("Is that what the server's administrator publishes?")? {
        bail!("not confirmed: nothing was sent");
    }
    Ok(key)
}

/// Asks a person; anything but `y` or `yes` is a no.
pub(crate) fn agreed(question: &str) -> anyhow::Result<bool> {
    print!("{question} (y/N) ");
    std::io::stdout().flush()?;
    let mut answer = String::new();
    std::io::stdin().lock().read_line(&mut answer)?;
    Ok(matches!(answer.trim(), "y" | "Y" | "yes"))
}
