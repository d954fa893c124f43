//! What ssh's last words mean: whether it is worth trying again.
//!
//! ssh tells by text alone (its exit code is always 255):
//!
//! ```text
//! Host key verification failed.
//! ab12@log.example.org: Permission denied (publickey).
//! ssh: connect to host log.example.org port 22: Connection refused
//! ```

use pofr_core::transport::Unreachable;

/// Reads ssh's words about `server`.
pub(super) fn read(server: &str, said: &str) -> Unreachable {
    let last = said.lines().map(str::trim).rfind(|line| !line.is_empty()).unwrap_or("ssh said nothing");
    if said.contains("REMOTE HOST IDENTIFICATION HAS CHANGED") {
        return Unreachable::Final(format!(
            "{server} has another host key than the one that is pinned: somebody may be listening in, or the server was set up anew"
        ));
    }
    if said.contains("Host key verification failed") || said.contains("host key is known for") {
        return Unreachable::Final(format!("the host key of {server} is not the one that is pinned"));
    }
    if said.contains("Permission denied (") {
        return Unreachable::Final(format!(
            "{server} does not take our key: it was revoked, or the client was removed there"
        ));
    }
    Unreachable::Retry(format!("cannot reach {server}: {last}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_wrong_key_ends_it() {
        for (said, is_final) in [
            (
                "@@@@\n@ WARNING: REMOTE HOST IDENTIFICATION HAS CHANGED! @\nHost key verification failed.",
                true,
            ),
            (
                "No ED25519 host key is known for [127.0.0.1]:22 and you have requested strict checking.\nHost key verification failed.",
                true,
            ),
            ("ab@log: Permission denied (publickey).", true),
            ("connect to host log port 22: Connection refused", false),
            ("connect to host log port 22: Permission denied", false),
            (
                "kex_exchange_identification: Connection closed by remote host\nConnection closed by 10.0.0.1 port 22",
                false,
            ),
            ("Could not resolve hostname log: Temporary failure in name resolution", false),
            ("", false),
        ] {
            assert_eq!(matches!(read("log", said), Unreachable::Final(_)), is_final, "{said}");
        }
    }
}
