//! Cases: what a record has of some time, packed so that anybody can check it anywhere.
//!
//! A case is one tar with bundles as their clients sent and signed them, the ledger's entries, the questions that were asked
//! and what was answered, and a report. Three things hold it together:
//!
//! - `SHA256SUMS` lists every other member, and the server's key signs that list (SSHSIG, namespace `pofr-case`): nothing can
//!   be added, taken out or changed.
//! - Each bundle names the one before it and is signed by its client, whose key the case has: the evidence does not rest on
//!   this server's word.
//! - Each case names the one that was made before it on the same server: a case that was made and put away is missed.
//!
//! `docs/format/case-v1.md` is the format. `sha256sum` and `ssh-keygen` check most of it.

mod contents;
mod gather;
mod key;
mod log;
mod pack;
mod verify;

pub use contents::{BundleLine, ClientPart, Contents, FORMAT, KeyLine, Previous, Question};
pub use gather::{Gathered, gather};
pub use key::CaseKey;
pub use log::CaseLog;
pub use pack::{Content, Member, pack};
pub use verify::{Checked, Flaw, is_case, verify};

use std::{io, path::PathBuf};

/// The namespace of a case's signature (PROTOCOL.sshsig).
pub const CASE_NAMESPACE: &str = "pofr-case";
/// The directory that all members lie in.
pub(crate) const TOP: &str = "case";
/// The list of the other members' digests.
pub(crate) const SUMS: &str = "SHA256SUMS";
/// Its signature.
pub(crate) const SEAL: &str = "SHA256SUMS.sig";
/// The public half of the key that made it.
pub(crate) const SIGNER: &str = "signer.pub";
/// What is in the case.
pub(crate) const CONTENTS: &str = "case.json";

/// Why a case cannot be made or read.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum CaseError {
    /// A file fails.
    #[error("cannot {action} {path}: {cause}")]
    Io {
        /// What was to be done.
        action: &'static str,
        /// Which file.
        path: PathBuf,
        /// What came of it.
        cause: io::Error,
    },
    /// The archive itself cannot be written or read.
    #[error("cannot {action} the case: {cause}")]
    Archive {
        /// What was to be done.
        action: &'static str,
        /// What came of it.
        cause: io::Error,
    },
    /// The server's key for cases cannot be used.
    #[error("the key for cases, {path}: {detail}")]
    Key {
        /// Which file.
        path: PathBuf,
        /// What is wrong with it.
        detail: String,
    },
    /// A file changed while it was packed.
    #[error("{0} changed while it was packed")]
    Changed(PathBuf),
    /// It is no case.
    #[error("not a case: {0}")]
    NotACase(String),
    /// Kept bundles cannot be listed.
    #[error(transparent)]
    Inbox(#[from] crate::inbox::InboxError),
}

/// Makes an error of what happened to a file.
pub(crate) fn fail(action: &'static str, path: &std::path::Path) -> impl FnOnce(io::Error) -> CaseError {
    move |cause| CaseError::Io { action, path: path.to_owned(), cause }
}
