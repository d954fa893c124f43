//! Who is at it: for the ledger's account of what was done.

use nix::unistd::{Uid, User, geteuid};

/// Returns the account, and whose login it was where that is another: `root (login ann)`.
pub(crate) fn am_i() -> String {
    let me = geteuid();
    // 2³² − 1: nobody logged in, as in a service (proc_pid_loginuid(5)).
    let login = std::fs::read_to_string("/proc/self/loginuid").ok().and_then(|text| text.trim().parse().ok());
    match login.filter(|uid| *uid != u32::MAX).map(Uid::from_raw) {
        Some(login) if login != me => format!("{} (login {})", name(me), name(login)),
        _ => name(me),
    }
}

fn name(uid: Uid) -> String {
    match User::from_uid(uid) {
        Ok(Some(user)) => user.name,
        _ => format!("uid {uid}"),
    }
}
