//! Who is logged in: utmp(5), or what systemd-logind keeps in `/run/systemd/users` on machines without it.

use crate::{HostView, samplers::optional, sys};
use pofr_core::raw::RawText;
use std::{collections::BTreeSet, path::Path};

/// `USER_PROCESS` (utmp(5)): a session of a user.
const USER_PROCESS: i16 = 7;
/// Bytes of a record where its times stayed 32 bits wide for compatibility (x86-64 and others), and where they did not.
const RECORD_BYTES: [usize; 2] = [384, 400];

/// Returns the users' names in order, separated by commas; `None` where the machine does not tell.
pub(super) fn names(view: &HostView) -> Option<RawText> {
    let utmp = optional(&view.run_root.join("utmp")).ok().flatten();
    let names = match utmp.as_deref().and_then(|text| of_utmp(text, &view.proc_root)) {
        Some(names) => names,
        None => of_logind(&view.run_root.join("systemd/users"))?,
    };
    let names: Vec<Vec<u8>> = names.into_iter().collect();
    Some(names.join(&b',').into())
}

/// Reads the sessions whose processes are still there; `None` for what is no such file.
fn of_utmp(text: &[u8], proc_root: &Path) -> Option<BTreeSet<Vec<u8>>> {
    let size = RECORD_BYTES.into_iter().find(|size| text.len().is_multiple_of(*size))?;
    let mut names = BTreeSet::new();
    for record in text.chunks_exact(size) {
        // Both kinds of record begin alike: type, pid, line (32 bytes), id (4 bytes), user (32 bytes).
        let kind = i16::from_ne_bytes(*record.first_chunk()?);
        let pid = i32::from_ne_bytes(*record[4..].first_chunk()?);
        let user = &record[44..76];
        let user = user.split(|b| *b == 0).next().unwrap_or_default();
        // Who did not log out cleanly stays in the file.
        if kind == USER_PROCESS && !user.is_empty() && proc_root.join(pid.to_string()).exists() {
            names.insert(user.to_vec());
        }
    }
    Some(names)
}

/// Reads `NAME=ann` and `STATE=active` of each user (sd-login(3)); one whose programs linger is not logged in.
fn of_logind(dir: &Path) -> Option<BTreeSet<Vec<u8>>> {
    let mut names = BTreeSet::new();
    for entry in std::fs::read_dir(dir).ok()? {
        let entry = entry.ok()?;
        if sys::parse::<u32>(entry.file_name().as_encoded_bytes()).is_none() {
            continue;
        }
        // A user may log out between the listing and this.
        let text = std::fs::read(entry.path()).unwrap_or_default();
        let value = |name: &[u8]| text.split(|b| *b == b'\n').find_map(|line| line.strip_prefix(name));
        if matches!(value(b"STATE="), Some(b"active" | b"online"))
            && let Some(name) = value(b"NAME=")
        {
            names.insert(name.to_vec());
        }
    }
    Some(names)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sessions_of_the_dead_are_left_out() {
        let dir = tempfile::tempdir().unwrap();
        std::fs::create_dir(dir.path().join("812")).unwrap();
        let record = |size: usize, kind: i16, pid: i32, user: &[u8]| {
            let mut record = vec![0; size];
            record[..2].copy_from_slice(&kind.to_ne_bytes());
            record[4..8].copy_from_slice(&pid.to_ne_bytes());
            record[44..44 + user.len()].copy_from_slice(user);
            record
        };
        for size in RECORD_BYTES {
            let text: Vec<u8> =
                [(7, 812, "zoe"), (7, 812, "ann"), (7, 900, "gone"), (8, 812, "dead"), (7, 812, "ann")]
                    .into_iter()
                    .flat_map(|(kind, pid, user)| record(size, kind, pid, user.as_bytes()))
                    .collect();
            let names = of_utmp(&text, dir.path()).unwrap();
            assert_eq!(names.into_iter().collect::<Vec<_>>(), [b"ann".to_vec(), b"zoe".to_vec()], "{size}");
        }
        assert_eq!(of_utmp(&[0; 100], dir.path()), None);
        assert_eq!(of_utmp(&[], dir.path()), Some(BTreeSet::new()));
    }
}
