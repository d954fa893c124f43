//! Processes.

use crate::{
    digest::{KeyDigest, KeyEncoder},
    fact::{Ids, ProcessMarks, details},
    identity::{Entity, Pid},
    raw::{RawText, Reading},
    time::WallMicros,
};
use serde::{Serialize, Serializer};

/// A process as it was at a moment. When it changes its ids, its name or its program, or becomes a
/// zombie, that is a new fact of the same [`Entity`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Process {
    /// What makes it this fact.
    pub key: ProcessKey,
    /// What else is known.
    pub details: ProcessDetails,
}

impl Serialize for Process {
    /// One flat object; `arguments` is the vector whether the key or the details hold it.
    fn serialize<S: Serializer>(&self, s: S) -> Result<S::Ok, S::Error> {
        #[derive(Serialize)]
        struct Flat<'a> {
            #[serde(flatten)]
            key: &'a ProcessKey,
            arguments: Option<&'a RawText>,
            #[serde(flatten)]
            details: &'a ProcessDetails,
        }
        Flat { key: &self.key, arguments: self.arguments(), details: &self.details }.serialize(s)
    }
}

impl Process {
    /// Returns the argument vector, whether it was known at first or filled in later.
    #[must_use]
    pub fn arguments(&self) -> Option<&RawText> {
        self.key.arguments.as_ref().or(self.details.arguments.as_ref())
    }
}

/// Inode numbers of a process's namespaces, `/proc/pid/ns/*` (namespaces(7)); 0 where the kernel has none.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize)]
#[expect(missing_docs, reason = "the kernel's own names")]
pub struct Namespaces {
    pub cgroup: u32,
    pub ipc: u32,
    pub mnt: u32,
    pub net: u32,
    pub pid: u32,
    pub time: u32,
    pub user: u32,
    pub uts: u32,
}

/// Whether a process's descriptor table could be read.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Files {
    /// Its open files are facts of the same snapshot.
    Read,
    /// `/proc/pid/fd` answered EACCES: its files are unknown, not gone.
    Denied,
    /// Not looked at, or the process was gone before it could be.
    Unknown,
    /// It did not answer in time: its files are unknown, not gone.
    Unreadable,
}

/// What makes two observations the same process fact.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize)]
pub struct ProcessKey {
    /// The process across all its facts.
    #[serde(flatten)]
    pub entity: Entity,
    /// The parent.
    pub ppid: Pid,
    /// The ids.
    #[serde(flatten)]
    pub ids: Ids,
    /// The name, at most 15 bytes (`PR_SET_NAME`, proc_pid_comm(5)); a kernel worker's without the work it is at.
    pub comm: RawText,
    /// The argument vector as `/proc/pid/cmdline` holds it, with its NUL bytes, or its beginning; empty for a kernel
    /// thread; `None` where it was not known when the fact was first told of.
    #[serde(skip)]
    pub arguments: Option<RawText>,
    /// The executable's path; the kernel's ` (deleted)` mark stays, and [`ProcessMarks::exe_named_deleted`] tells where it is none.
    pub exe: Reading<RawText>,
    /// The working directory.
    pub cwd: Reading<RawText>,
    /// The session id (setsid(2)).
    pub session: u32,
    /// The controlling terminal's device number, 0 for none (proc_pid_stat(5) field 7).
    pub tty: u32,
    /// The audit login uid; `None` where it was never set (4294967295).
    pub login_uid: Option<u32>,
    /// The control groups, as `/proc/pid/cgroup` lists them (cgroups(7)).
    pub cgroup: Reading<RawText>,
    /// The namespaces.
    pub namespaces: Reading<Namespaces>,
    /// Whether it has exited and waits for its parent (state Z or X).
    pub zombie: bool,
    /// Whether its descriptor table could be read.
    pub files: Files,
    /// What is unusual about this fact.
    #[serde(flatten)]
    pub marks: ProcessMarks,
}

impl ProcessKey {
    /// The kernel's mark on the path of a program that was unlinked.
    pub const DELETED: &[u8] = b" (deleted)";

    /// Tells whether both are equal but for their arguments. Arguments that are cut are another fact than unknown ones: the mark that
    /// says so has no place among the details.
    #[must_use]
    pub fn same_but_arguments(&self, other: &Self) -> bool {
        let bare = |key: &Self| Self { arguments: None, ..key.clone() };
        bare(self) == bare(other)
    }

    /// Returns the path of the program without the kernel's mark, and whether the kernel marked it as unlinked (`d_path` in
    /// fs/d_path.c); `None` where the program is not known.
    #[must_use]
    pub fn program(&self) -> Option<(&[u8], bool)> {
        let exe = self.exe.known()?.as_bytes();
        let marked = if self.marks.exe_named_deleted { None } else { exe.strip_suffix(Self::DELETED) };
        Some((marked.unwrap_or(exe), marked.is_some()))
    }

    /// Tells whether the files that it has open are facts of its own: not so where they could not be read, or are told with
    /// another process that has the same descriptor table.
    #[must_use]
    pub const fn tells_files(&self) -> bool {
        matches!(self.files, Files::Read) && self.marks.files_of.is_none()
    }

    /// Returns `shanorm`.
    #[must_use]
    pub fn digest(&self) -> KeyDigest {
        let text = |key: KeyEncoder, reading: &Reading<RawText>| match reading {
            Reading::Known(bytes) => key.bytes(bytes.as_bytes()),
            other => key.int(absence(other)),
        };
        let [ruid, euid, rgid, egid] = self.ids.numbers();
        let mut key = self
            .entity
            .encode(KeyEncoder::new("pofr/process/2"))
            .int(self.ppid.0)
            .int(ruid)
            .int(euid)
            .int(rgid)
            .int(egid)
            .bytes(self.comm.as_bytes())
            .option(self.arguments.as_ref(), |key, bytes| key.bytes(bytes.as_bytes()));
        key = text(key, &self.exe);
        key = text(key, &self.cwd).int(self.session).int(self.tty).option(self.login_uid, KeyEncoder::int);
        key = text(key, &self.cgroup);
        key = match &self.namespaces {
            Reading::Known(n) => [n.cgroup, n.ipc, n.mnt, n.net, n.pid, n.time, n.user, n.uts]
                .into_iter()
                .fold(key, |key, inode: u32| key.int(inode)),
            other => key.int(absence(other)),
        };
        self.marks.encode(key.int(u8::from(self.zombie)).int(self.files as u8)).finish()
    }
}

/// Numbers the reasons for a missing reading, for the key's encoding.
const fn absence<T>(reading: &Reading<T>) -> u8 {
    match reading {
        Reading::Known(_) => 0,
        Reading::Absent => 1,
        Reading::Denied => 2,
        Reading::Unknown => 3,
    }
}

/// What is known of a process besides its key; the earliest known value stays.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct ProcessDetails {
    /// The argument vector where the key lacks it: filled by the first reading.
    #[serde(skip)]
    pub arguments: Option<RawText>,
    /// The kernel's start time on the run's clock (start ticks since boot; resolution one tick, 10 ms).
    pub started: Option<WallMicros>,
    /// The wait status of the exit, as waitpid(2) encodes it.
    pub exit_code: Option<i32>,
    /// What it used over its life.
    pub totals: Option<Totals>,
    /// SHA-256 of the executable.
    pub exe_sha256: Option<crate::digest::Sha256>,
    /// `shafull`: the process and the files that it had open when first seen.
    pub with_files: Option<KeyDigest>,
}

details!(ProcessDetails: arguments, started, exit_code, totals, exe_sha256, with_files);

/// What a process used over its life, as taskstats tells at its exit (taskstats-struct.rst).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Totals {
    /// CPU time in user mode, µs.
    pub user_micros: u64,
    /// CPU time in kernel mode, µs.
    pub system_micros: u64,
    /// Bytes read from storage.
    pub read_bytes: u64,
    /// Bytes written to storage.
    pub write_bytes: u64,
}
