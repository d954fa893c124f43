//! The server's host key: taken from an invitation, or shown by the server and confirmed by a person, and pinned from then on.

use crate::state::address;
use anyhow::{Context as _, anyhow, bail};
use ssh_key::{HashAlg, PublicKey};
use std::process::{Command, Stdio};

/// Key types that are asked for, the best first.
const TYPES: &str = "ed25519,ecdsa,rsa";

/// A host key.
#[derive(Clone, Debug)]
pub(crate) struct HostKey(PublicKey);

impl HostKey {
    /// Reads an OpenSSH line.
    pub(crate) fn parse(line: &str) -> anyhow::Result<Self> {
        PublicKey::from_openssh(line).map(Self).context("that is no host key")
    }

    /// Asks the server for its keys (ssh-keyscan(1)). Whoever is in between may answer: they are to be confirmed.
    pub(crate) fn scan(host: &str, port: u16) -> anyhow::Result<Vec<Self>> {
        let server = address(host, port);
        let mut scan = Command::new("ssh-keyscan");
        scan.args(["-T", "10", "-t", TYPES, "-p"]).arg(port.to_string()).arg("--").arg(host);
        let output = scan.stdin(Stdio::null()).output().context("cannot run ssh-keyscan")?;
        let text = String::from_utf8_lossy(&output.stdout);
        // `[127.0.0.1]:2222 ssh-ed25519 AAAA…`
        let lines = text.lines().filter(|line| !line.starts_with('#'));
        let mut keys: Vec<_> = lines.filter_map(|line| Self::parse(line.split_once(' ')?.1).ok()).collect();
        if keys.is_empty() {
            let said = String::from_utf8_lossy(&output.stderr);
            let last = said.lines().rfind(|line| !line.starts_with('#') && !line.is_empty());
            return Err(anyhow!("{server} shows no host key: {}", last.unwrap_or("it does not answer")));
        }
        keys.sort_by_key(|key| {
            TYPES.split(',').position(|kind| key.0.algorithm().as_str().contains(kind)).unwrap_or(usize::MAX)
        });
        Ok(keys)
    }

    /// Returns the fingerprint, as `ssh-keygen -l` shows it.
    pub(crate) fn fingerprint(&self) -> String {
        self.0.fingerprint(HashAlg::Sha256).to_string()
    }

    /// Returns the key's type, such as `ssh-ed25519`.
    pub(crate) fn kind(&self) -> String {
        self.0.algorithm().as_str().to_owned()
    }

    /// Returns the line of `known_hosts` that pins it.
    pub(crate) fn pin(&self, host: &str, port: u16) -> anyhow::Result<String> {
        let mut key = self.0.clone();
        key.set_comment("");
        let line = key.to_openssh().context("cannot write down the host key")?;
        Ok(format!("{} {line}\n", known_hosts_name(host, port)))
    }
}

/// Names a host as `known_hosts` does (sshd(8)).
pub(crate) fn known_hosts_name(host: &str, port: u16) -> String {
    if port == 22 { host.to_owned() } else { format!("[{host}]:{port}") }
}

/// Tells whether a text can be a host, or an account, and nothing else to ssh.
pub(super) fn is_host(text: &str) -> bool {
    let fits = |c: char| c.is_ascii_alphanumeric() || "._-:%".contains(c);
    !text.is_empty() && text.len() <= 255 && !text.starts_with('-') && text.chars().all(fits)
}

/// Reads `HOST`, `HOST:PORT`, `[ADDRESS]:PORT`.
pub(super) fn parse_server(text: &str) -> anyhow::Result<(String, u16)> {
    let (host, port) = match text.strip_prefix('[').and_then(|rest| rest.split_once(']')) {
        Some((host, rest)) => (host, rest.strip_prefix(':')),
        None => match text.split_once(':') {
            // More than one colon is an IPv6 address.
            Some((host, port)) if !port.contains(':') => (host, Some(port)),
            _ => (text, None),
        },
    };
    let port = match port.filter(|port| !port.is_empty()) {
        Some(port) => port.parse().map_err(|_| anyhow!("{port:?} is no port"))?,
        None => 22,
    };
    if !is_host(host) || port == 0 {
        bail!("{text:?} is no server: a name or an address is wanted, such as log.example.org:2222");
    }
    Ok((host.to_owned(), port))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn servers_are_read() {
        for (text, host, port) in [
            ("log.example.org", "log.example.org", 22),
            ("log:2222", "log", 2222),
            ("::1", "::1", 22),
            ("[::1]:2222", "::1", 2222),
            ("[fe80::1%eth0]", "fe80::1%eth0", 22),
        ] {
            assert_eq!(parse_server(text).unwrap(), (host.to_owned(), port), "{text}");
        }
        for bad in ["", "-oProxyCommand=x", "a b", "log:x", "log:0", "log:70000", "a/b"] {
            assert!(parse_server(bad).is_err(), "{bad}");
        }
        assert_eq!(known_hosts_name("log", 22), "log");
        assert_eq!(known_hosts_name("::1", 2222), "[::1]:2222");
    }
}
