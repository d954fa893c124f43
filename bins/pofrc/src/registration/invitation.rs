//! Invitations: `pofr1.` and base64url of JSON, made by `pofrs invite`. All that is needed is in it, so there is nothing to
//! type and nothing to trust on first use.

use super::host_key::is_host;
use anyhow::{Context as _, bail};
use base64ct::{Base64UrlUnpadded, Encoding as _};
use serde::Deserialize;
use ssh_key::{PrivateKey, PublicKey};

const PREFIX: &str = "pofr1.";
/// The longest token, bytes.
const LONGEST: usize = 8 << 10;

/// What a token says.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
pub(crate) struct Invitation {
    /// The server's name or address.
    pub(crate) host: String,
    pub(crate) port: u16,
    /// The server's host key, one OpenSSH line.
    pub(crate) host_key: String,
    /// The private key made for this registration, in OpenSSH's format.
    pub(crate) key: String,
    /// The account to log in as.
    pub(crate) account: String,
    /// When it ends, seconds since 1970.
    pub(crate) expires: i64,
}

impl Invitation {
    /// Reads a token. It came from somewhere: nothing of it may be an option, or a line more, to ssh.
    pub(crate) fn parse(token: &str) -> anyhow::Result<Self> {
        let token = token.trim();
        let Some(body) = token.strip_prefix(PREFIX).filter(|body| body.len() <= LONGEST) else {
            bail!("that is no invitation: one begins with {PREFIX} and is one word");
        };
        const DAMAGED: &str = "the invitation is damaged";
        let json = Base64UrlUnpadded::decode_vec(body).map_err(|e| anyhow::anyhow!("{DAMAGED}: {e}"))?;
        let invitation: Self = serde_json::from_slice(&json).context(DAMAGED)?;
        PublicKey::from_openssh(&invitation.host_key).context(DAMAGED)?;
        PrivateKey::from_openssh(&invitation.key).context(DAMAGED)?;
        if !is_host(&invitation.host) || !is_host(&invitation.account) {
            bail!("{DAMAGED}: its host or its account is none");
        }
        Ok(invitation)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::key::{ClientKey, KeyType};
    use serde_json::{Value, json};

    fn token(change: impl Fn(&mut Value)) -> String {
        let key = ClientKey::make(KeyType::Ed25519).unwrap();
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("id");
        key.write(&path).unwrap();
        let mut said = json!({
            "host": "log.example.org", "port": 22, "account": "pofrsreg", "expires": 1,
            "host_key": key.public_line().unwrap(), "key": std::fs::read_to_string(path).unwrap(),
        });
        change(&mut said);
        format!("{PREFIX}{}", Base64UrlUnpadded::encode_string(said.to_string().as_bytes()))
    }

    #[test]
    fn a_token_is_read_and_a_damaged_one_refused() {
        let good = token(|_| ());
        assert_eq!(Invitation::parse(&format!(" {good}\n")).unwrap().host, "log.example.org");
        let fails = |token: &str, said: &str| {
            let error = format!("{:#}", Invitation::parse(token).unwrap_err());
            assert!(error.starts_with(said), "{error}");
        };
        fails("hello", "that is no invitation");
        fails(&good[..good.len() - 7], "the invitation is damaged");
        for (field, value) in [
            ("host", "-oProxyCommand=touch /tmp/x"),
            ("host", "a b"),
            ("account", "x\nHost *"),
            ("host_key", "none"),
            ("key", "none"),
        ] {
            fails(&token(|said| said[field] = value.into()), "the invitation is damaged");
        }
    }
}
