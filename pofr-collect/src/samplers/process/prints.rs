//! Prints: what is kept of a reading to tell whether the next one shows the same, in place of the facts themselves.
//!
//! Hashes with a key that is drawn for each sampler (SipHash), so that no one can name files such that two readings look alike.

use pofr_core::{
    fact::{Fact, Process},
    identity::Pid,
    raw::RawText,
};
use std::hash::{BuildHasher as _, Hash, Hasher as _, RandomState};

/// The prints of one reading.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Prints {
    /// Of everything in the facts' keys.
    pub(super) whole: u64,
    /// Of what only the process itself can change: without the names of files, program, directory and control group, which others
    /// can change, and without parent and terminal, which another's exit can change.
    pub(super) own: u64,
    /// Of the program's name.
    pub(super) program: u64,
    /// Of what `stat` tells of it, as [`Printer::brief`] takes it.
    pub(super) brief: u64,
}

/// Takes prints.
#[derive(Debug, Default)]
pub(super) struct Printer(RandomState);

impl Printer {
    /// Takes the prints of a process and its files.
    pub(super) fn take(&self, process: &Process, files: &[Fact]) -> Prints {
        let (mut whole, mut own) = (self.0.build_hasher(), self.0.build_hasher());
        let key = &process.key;
        key.hash(&mut whole);
        (key.entity, key.ids, &key.comm, &key.arguments, key.session, key.login_uid).hash(&mut own);
        (&key.namespaces, key.zombie, key.files).hash(&mut own);
        for fact in files {
            let Fact::File(file) = fact else { continue };
            let key = &file.key;
            (key.fd, &key.path, key.mode, key.deleted).hash(&mut whole);
            (key.fd, key.mode).hash(&mut own);
            if !is_name(&key.path) {
                key.path.hash(&mut own);
            }
        }
        Prints {
            whole: whole.finish(),
            own: own.finish(),
            program: self.0.hash_one(&key.exe),
            brief: self.brief(&key.comm, key.ppid, key.session, key.tty),
        }
    }

    /// Takes a print of what the first look at a process tells of it.
    pub(super) fn brief(&self, comm: &RawText, ppid: Pid, session: u32, tty: u32) -> u64 {
        self.0.hash_one((comm, ppid, session, tty))
    }
}

/// Tells whether a link's text is the name of a file, which anyone with the right to can change. The others, such as
/// `socket:[30215]`, say what the kernel's object is.
fn is_name(path: &RawText) -> bool {
    path.as_bytes().starts_with(b"/")
}

#[cfg(test)]
mod tests {
    use super::*;
    use pofr_core::{
        fact::{
            FileDetails, FileKey, FileMode, Files, Ids, OpenFile, ProcessDetails, ProcessKey, ProcessMarks,
        },
        identity::{BootId, Entity, Pid, StartTicks},
        raw::Reading,
    };

    #[test]
    fn names_are_no_part_of_what_is_ones_own_and_objects_are() {
        let entity = Entity::Started { boot: BootId([1; 16]), pid: Pid(7), start: StartTicks(1) };
        let text = |text: &str| Reading::Known(RawText::from(text));
        let process = Process {
            key: ProcessKey {
                entity,
                ppid: Pid(1),
                ids: Ids::of([0; 4]),
                comm: "sh".into(),
                arguments: Some("sh\0".into()),
                exe: text("/bin/sh"),
                cwd: text("/"),
                session: 7,
                tty: 0,
                login_uid: None,
                cgroup: text("0::/"),
                namespaces: Reading::Absent,
                zombie: false,
                files: Files::Read,
                marks: ProcessMarks::default(),
            },
            details: ProcessDetails::default(),
        };
        let file = |path: &str, deleted| {
            let key = FileKey { entity, fd: 3, path: path.into(), mode: FileMode::Read, deleted };
            Fact::File(OpenFile { key, details: FileDetails::default() })
        };
        let printer = Printer::default();
        let take = |process: &Process, file| printer.take(process, &[file]);
        let before = take(&process, file("/a", false));
        assert_eq!(before, take(&process, file("/a", false)));
        for renamed in [take(&process, file("/b", false)), take(&process, file("/a", true)), {
            let mut moved = process.clone();
            (moved.key.cwd, moved.key.ppid) = (text("/x"), Pid(2));
            take(&moved, file("/a", false))
        }] {
            assert!(renamed.whole != before.whole && renamed.own == before.own);
        }
        let mut other = process.clone();
        other.key.ids.euid = Some(1);
        assert!(take(&other, file("/a", false)).own != before.own);
        assert!(take(&process, file("pipe:[1]", false)).own != take(&process, file("pipe:[2]", false)).own);
        assert!(printer.take(&process, &[]).own != before.own);
    }
}
