//! A proc half: the processes of a snapshot with their open files.
//!
//! One record a process, as the client wrote it (NUL bytes shown as `\0`):
//!
//! ```text
//! 69,999999###74###71###0###0###0###0###sleep###sleep\05\0###pipe:[2207536] /dev/null \n
//! ```
//!
//! The fields: the recorder's pids, pid, ppid, real and effective uid, real and effective gid, name, command line, files. The
//! first seven are numbers of the kernel's and always clean; the files, from which the client removed
//! every `#`, follow the *last* `###`; what lies between is name and command line ([`super::border`]).
//! A command line is cut after its first newline, which stays, so a record is one physical line or two,
//! and the second begins with `###` as no first one can. Nothing that a process calls itself moves these borders.

use super::{
    border::{self, NO_COMMAND_LINE, SEPARATOR},
    recorder::{Recorder, number},
};
use crate::{
    digest::{KeyDigest, KeyEncoder},
    fact::{
        Fact, FileDetails, FileKey, FileMode, Files, Ids, OpenFile, Process, ProcessDetails, ProcessKey,
        ProcessMarks,
    },
    identity::{Entity, Pid},
    raw::{RawText, Reading},
};
use hashbrown::HashMap;

/// What the client writes for a process without open files.
const NO_OPEN_FILES: &[u8] = b"POFRv1NOOPENFILES";
/// How the kernel's ` (deleted)` arrives: the client turns each white space into `___`.
const DELETED: &[u8] = b"___(deleted)";

/// Why a proc half cannot be read. Lines count from 1.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ProcError {
    /// There is no record in it.
    #[error("proc half is empty")]
    Empty,
    /// The last record is not whole.
    #[error("proc half is cut off in line {line}")]
    CutOff {
        /// The line.
        line: usize,
    },
    /// A record is not as a client writes it.
    #[error("proc half, line {line}: {problem}")]
    Record {
        /// The record's first line.
        line: usize,
        /// What is wrong.
        problem: &'static str,
    },
}

/// A proc half, read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ProcHalf {
    /// The recorder's own pids; its records are left out.
    pub recorder: Recorder,
    /// The processes, in the order of their records.
    pub processes: Vec<SeenProcess>,
    /// The sockets that the recorder itself has open, by inode.
    pub recorder_sockets: Vec<u64>,
    /// How many records were left out because the process was gone before its ids could be read.
    pub pid_only: u64,
    /// How many processes have a name whose end could not be told for certain from their command line.
    pub undecidable: u64,
}

/// A process with its open files.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SeenProcess {
    /// The process.
    pub process: Process,
    /// Its files, in the order of the descriptors; descriptor 0 is never among them.
    pub files: Vec<OpenFile>,
}

impl SeenProcess {
    /// Returns the process, followed by its files.
    pub(super) fn facts(&self) -> impl Iterator<Item = Fact> + '_ {
        let files = self.files.iter().cloned().map(Fact::File);
        std::iter::once(Fact::from(self.process.clone())).chain(files)
    }
}

impl ProcHalf {
    /// Reads a proc half's text.
    ///
    /// # Errors
    /// Where it is empty, cut off, or holds a line that no client writes.
    pub fn parse(text: &[u8]) -> Result<Self, ProcError> {
        let mut half: Option<Self> = None;
        let mut rest = text;
        let mut line = 1;
        while !rest.is_empty() {
            let (bytes, after) = next_record(rest).ok_or(ProcError::CutOff { line })?;
            let fail = |problem| ProcError::Record { line, problem };
            let (recorder, told) = read_record(bytes).map_err(fail)?;
            let half = half.get_or_insert_with(|| Self::empty(recorder));
            if half.recorder != recorder {
                return Err(fail(OTHER_RECORDER));
            }
            match told {
                Told::Recorder { sockets } => half.recorder_sockets.extend(sockets),
                Told::PidOnly => half.pid_only += 1,
                Told::Process { seen, certain } => {
                    half.undecidable += u64::from(!certain);
                    half.processes.push(*seen);
                }
            }
            line += lines(bytes);
            rest = after;
        }
        half.ok_or(ProcError::Empty)
    }

    /// Returns all facts: each process, followed by its files.
    pub fn facts(&self) -> impl Iterator<Item = Fact> + '_ {
        self.processes.iter().flat_map(SeenProcess::facts)
    }

    fn empty(recorder: Recorder) -> Self {
        Self { recorder, processes: Vec::new(), recorder_sockets: Vec::new(), pid_only: 0, undecidable: 0 }
    }
}

/// What is wrong with a record that tells of another recorder than those before it.
pub(super) const OTHER_RECORDER: &str = "names other recorder pids than the line before";

/// What one record tells.
#[derive(Debug)]
pub(super) enum Told {
    /// The recorder's own process, which is left out, and the sockets that it has open.
    Recorder {
        /// By inode.
        sockets: Vec<u64>,
    },
    /// A process that was gone before its ids could be read.
    PidOnly,
    /// A process.
    Process {
        /// The process with its files.
        seen: Box<SeenProcess>,
        /// Whether the end of its name could be told for certain.
        certain: bool,
    },
}

/// Reads one record.
pub(super) fn read_record(bytes: &[u8]) -> Result<(Recorder, Told), &'static str> {
    let record = Record::parse(bytes)?;
    if record.recorder.is(record.pid) {
        let sockets = record.file_texts().filter_map(socket_inode).collect();
        return Ok((record.recorder, Told::Recorder { sockets }));
    }
    let Some((ppid, ids)) = record.ids()? else { return Ok((record.recorder, Told::PidOnly)) };
    let parts = border::split(record.body).ok_or("no ### between name and command line")?;
    let seen = describe(&record, ppid, ids, &parts);
    Ok((record.recorder, Told::Process { seen: Box::new(seen), certain: parts.certain }))
}

/// Returns how many lines a record takes.
pub(super) fn lines(record: &[u8]) -> usize {
    record.iter().filter(|b| **b == b'\n').count() + 1
}

/// Returns the inode that `socket:[…]` names; `None` for any other link.
pub(super) fn socket_inode(link: &[u8]) -> Option<u64> {
    let digits = link.strip_prefix(b"socket:[")?.strip_suffix(b"]")?;
    if digits.is_empty() || !digits.iter().all(u8::is_ascii_digit) {
        return None;
    }
    std::str::from_utf8(digits).ok()?.parse().ok()
}

/// Takes the next record off `text`: one line, or two where the second begins with `###`; without its last newline.
pub(super) fn next_record(text: &[u8]) -> Option<(&[u8], &[u8])> {
    let line_end = |from: usize| text[from..].iter().position(|b| *b == b'\n').map(|at| from + at);
    let mut end = line_end(0)?;
    if text[end + 1..].starts_with(SEPARATOR) {
        end = line_end(end + 1)?;
    }
    Some((&text[..end], &text[end + 1..]))
}

/// A record, cut where its borders are certain.
struct Record<'a> {
    recorder: Recorder,
    pid: Pid,
    /// ppid, ruid, euid, rgid, egid: each empty where the process was gone.
    numbers: [&'a [u8]; 5],
    /// Name, `###`, command line.
    body: &'a [u8],
    /// The files, with a space between them.
    files: &'a [u8],
}

impl<'a> Record<'a> {
    fn parse(bytes: &'a [u8]) -> Result<Self, &'static str> {
        let mut rest = bytes.strip_suffix(b" ").ok_or("does not end with a space")?;
        let mut fields = [&b""[..]; 7];
        for field in &mut fields {
            let at = find(rest).ok_or("fewer than ten fields")?;
            (*field, rest) = (&rest[..at], &rest[at + SEPARATOR.len()..]);
        }
        let [tag, pid, numbers @ ..] = fields;
        let at =
            rest.windows(SEPARATOR.len()).rposition(|w| w == SEPARATOR).ok_or("fewer than ten fields")?;
        let (body, files) = (&rest[..at], &rest[at + SEPARATOR.len()..]);
        let newline = rest.iter().position(|b| *b == b'\n');
        if newline.is_some_and(|n| n + 1 != at) {
            return Err("a newline elsewhere than at the end of the command line");
        }
        Ok(Self {
            recorder: Recorder::parse(tag).ok_or("does not begin with the recorder's two pids")?,
            pid: number(pid).map(Pid).ok_or("the pid is not a number")?,
            numbers,
            body,
            files,
        })
    }

    /// Returns ppid and ids; `None` where the process was gone.
    fn ids(&self) -> Result<Option<(Pid, Ids)>, &'static str> {
        if self.numbers.iter().any(|n| n.is_empty()) {
            return Ok(None);
        }
        let mut values = [0; 5];
        for (value, text) in values.iter_mut().zip(self.numbers) {
            *value = number(text).ok_or("the parent's pid or an id is not a number")?;
        }
        let [ppid, ruid, euid, rgid, egid] = values;
        Ok(Some((Pid(ppid), Ids::of([ruid, euid, rgid, egid]))))
    }

    /// Returns the link texts; one that could not be read is empty.
    fn file_texts(&self) -> impl Iterator<Item = &'a [u8]> + use<'a> {
        let some = (self.files != NO_OPEN_FILES).then_some(self.files);
        some.into_iter().flat_map(|files| files.split(|b| *b == b' '))
    }
}

/// Returns where the first `###` is.
fn find(text: &[u8]) -> Option<usize> {
    text.windows(SEPARATOR.len()).position(|w| w == SEPARATOR)
}

/// Makes the facts of a record.
fn describe(record: &Record<'_>, ppid: Pid, ids: Ids, parts: &border::Parts<'_>) -> SeenProcess {
    let comm = border::unescape(parts.name);
    let arguments: &[u8] = if parts.command_line == NO_COMMAND_LINE { b"" } else { parts.command_line };
    let entity = Entity::Described { pid: record.pid, tag: tag(&comm, ids, arguments) };
    let mut met: HashMap<&[u8], u32> = HashMap::new();
    let files = record
        .file_texts()
        .map(|text| {
            let fd = *met.entry(text).and_modify(|n| *n += 1).or_insert(0);
            let (path, deleted) = match text.strip_suffix(DELETED) {
                Some(path) => (path, true),
                None => (text, false),
            };
            let key = FileKey { entity, fd, path: path.into(), mode: FileMode::Unknown, deleted };
            OpenFile { key, details: FileDetails::default() }
        })
        .collect();
    let key = ProcessKey {
        entity,
        ppid,
        ids,
        comm: comm.into(),
        arguments: Some(RawText::from(arguments)),
        exe: Reading::Unknown,
        cwd: Reading::Unknown,
        session: 0,
        tty: 0,
        login_uid: None,
        cgroup: Reading::Unknown,
        namespaces: Reading::Unknown,
        zombie: false,
        files: Files::Read,
        marks: ProcessMarks::default(),
    };
    SeenProcess { process: Process { key, details: ProcessDetails::default() }, files }
}

/// Returns what besides the pid tells a v1 process apart: the digest of its name, ids and arguments. Not the
/// parent, which changes when it dies.
fn tag(comm: &[u8], ids: Ids, arguments: &[u8]) -> KeyDigest {
    let [ruid, euid, rgid, egid] = ids.numbers();
    KeyEncoder::new("pofr/v1-process/1")
        .bytes(comm)
        .int(ruid)
        .int(euid)
        .int(rgid)
        .int(egid)
        .bytes(arguments)
        .finish()
}
