//! Marks: what a process fact says about itself besides the kernel's values: what of it is unknown, cut, or told elsewhere.
//!
//! Most processes have none. Marks that are all at their defaults add nothing to the key's digest and nothing to the stream, so
//! records from before there were marks mean the same as ever.

use crate::{
    digest::{KeyEncoder, Sha256},
    identity::{Entity, Pid},
};
use serde::Serialize;

/// What is unusual about a process fact.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize)]
pub struct ProcessMarks {
    /// Something of it did not answer in time and is unknown.
    #[serde(skip_serializing_if = "is_not")]
    pub unreadable: bool,
    /// The arguments told are only a beginning: what the whole was.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub arguments_cut: Option<Cut>,
    /// The name of the program's file ends in ` (deleted)`; without this, that ending is the kernel's mark.
    #[serde(skip_serializing_if = "is_not")]
    pub exe_named_deleted: bool,
    /// The process to which this thread belongs, which has ids, files or namespaces of its own.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub thread_of: Option<Pid>,
    /// The process with which the files of this one are told: both have one descriptor table.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub files_of: Option<Entity>,
}

/// What was longer than its limit.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize)]
pub struct Cut {
    /// The length of the whole, in bytes.
    pub bytes: u64,
    /// SHA-256 of the whole, where that was cheap to have.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub sha256: Option<Sha256>,
}

impl ProcessMarks {
    /// Tells whether nothing is unusual.
    #[must_use]
    pub fn is_default(&self) -> bool {
        *self == Self::default()
    }

    /// Adds the marks to a process's key, where there are any.
    #[must_use]
    pub(super) fn encode(&self, key: KeyEncoder) -> KeyEncoder {
        if self.is_default() {
            return key;
        }
        key.bytes(b"marks")
            .int(u8::from(self.unreadable))
            .option(self.arguments_cut, |key, cut| {
                key.int(cut.bytes).option(cut.sha256, |key, sha256| key.bytes(&sha256.0))
            })
            .int(u8::from(self.exe_named_deleted))
            .option(self.thread_of, |key, pid| key.int(pid.0))
            .option(self.files_of, |key, entity| entity.encode(key))
    }
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde's skip_serializing_if hands in a reference")]
const fn is_not(mark: &bool) -> bool {
    !*mark
}
