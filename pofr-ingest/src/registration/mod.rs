//! Registration, as the server sees it: who asks, with which key, and what became of it.
//!
//! A client comes with an [`Invitation`] or the registration account's password, hands in a request, and asks for the answer
//! until there is one. [`Desk`] keeps requests and answers as files; [`Conversation`] is one session, a message at a time;
//! [`rotation`] is how a key names its successor. What `receive` knows of a client is [`crate::receive::Account`].
//!
//! Whoever knows the password is a stranger. So everything is counted and bounded, nothing that a stranger says becomes a path,
//! and what a session tells goes to who proves to hold the key that asked.

pub mod answer;
pub mod conversation;
pub mod desk;
pub mod invitation;
pub mod key;
pub mod request;
pub mod rotation;
mod shelf;

pub use answer::Decision;
pub use conversation::{Conversation, Visitor};
pub use desk::{Desk, Limits};
pub use invitation::{Invitation, Invite};
pub use key::ClientKey;
pub use request::Pending;
pub use shelf::ShelfError;

use rustix::rand::{GetRandomFlags, getrandom};

/// Returns random bytes (getrandom(2)).
///
/// # Errors
/// Where the kernel has none.
pub fn random<const N: usize>() -> std::io::Result<[u8; N]> {
    let mut bytes = [0; N];
    let mut filled = 0;
    while filled < N {
        filled += getrandom(&mut bytes[filled..], GetRandomFlags::empty())?;
    }
    Ok(bytes)
}

/// Makes a client's name on the server: 32 hex digits. The first is a letter, since some systems take no account name that
/// begins with a digit.
///
/// # Errors
/// Where the kernel has no random bytes.
pub fn new_ciduser() -> std::io::Result<String> {
    loop {
        let name = pofr_core::digest::hex(&random::<16>()?);
        if name.starts_with(|c: char| c.is_ascii_alphabetic()) {
            return Ok(name);
        }
    }
}

/// Tells whether a text is a client's name on the server, and so can be part of a path.
#[must_use]
pub fn is_ciduser(text: &str) -> bool {
    text.len() == 32 && text.bytes().all(|b| b.is_ascii_digit() || (b'a'..=b'f').contains(&b))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_ciduser_is_an_account_name_everywhere() {
        for _ in 0..100 {
            let name = new_ciduser().unwrap();
            assert!(is_ciduser(&name) && name.as_bytes()[0].is_ascii_lowercase(), "{name}");
        }
        for bad in ["", "..", "ABCDEFABCDEFABCDEFABCDEFABCDEFAB", "a/bcdefabcdefabcdefabcdefabcdefa"] {
            assert!(!is_ciduser(bad), "{bad}");
        }
    }
}
