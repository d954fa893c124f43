//! The client id of a machine that is not registered yet: its system UUID, else its machine-id, else its name, and a stamp.

use crate::{HostView, sys};
use pofr_core::identity::Cid;
use std::path::Path;

/// The hardware or the installation is told by at most so many characters, so that the stamp fits behind.
const NAME_CHARACTERS: usize = 36;

/// What keeps an id from being made.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ClientIdError {
    /// What was put together is no good id.
    #[error("{0:?} cannot be a client id")]
    Unfit(String),
}

/// Makes the id of the host, different at every call; whoever asks must keep it.
///
/// # Errors
/// [`ClientIdError::Unfit`] cannot happen with a clock that shows a year from 1970 to 5138.
pub(crate) fn make(view: &HostView) -> Result<Cid, ClientIdError> {
    let name = machine_id(view);
    let text = format!("{name}-{}", view.clock.now().0);
    Cid::parse(&text).ok_or(ClientIdError::Unfit(text))
}

/// Returns by what the machine is told from others: its system UUID, else its machine-id, else its name, at most 36 characters.
/// A clone of it may have the same.
#[must_use]
pub fn machine_id(view: &HostView) -> String {
    product_uuid(&view.sys_root)
        .or_else(|| file(&view.etc_root.join("machine-id")))
        .or_else(|| file(&view.proc_root.join("sys/kernel/hostname")))
        .unwrap_or_else(|| "unknown".to_owned())
}

/// Reads the system UUID, which only root may; one that a vendor left blank tells nothing.
fn product_uuid(sys_root: &Path) -> Option<String> {
    let uuid = file(&sys_root.join("class/dmi/id/product_uuid"))?;
    let digits = uuid.bytes().filter(|b| *b != b'-');
    let blank = |byte: u8| digits.clone().all(|b| b.eq_ignore_ascii_case(&byte));
    (!blank(b'0') && !blank(b'f')).then_some(uuid)
}

/// Reads the first line of a file, as far as an id may have its characters; `None` where nothing is left.
fn file(path: &Path) -> Option<String> {
    let text = std::fs::read(path).ok()?;
    let line = text.split(|b| *b == b'\n').next()?;
    let kept = line.iter().map(|b| char::from(*b)).filter(|c| c.is_ascii_alphanumeric() || *c == '-');
    let name: String = kept.take(NAME_CHARACTERS).collect();
    (!name.is_empty()).then_some(name)
}

/// Returns 32 random hex digits, to know a directory again.
pub(crate) fn random_mark() -> std::io::Result<String> {
    Ok(pofr_core::digest::hex(&sys::random::<16>()?))
}
