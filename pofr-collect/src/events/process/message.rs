//! What the proc connector says: `struct cn_msg` with a `struct proc_event` in it (include/uapi/linux/connector.h, cn_proc.h).
//!
//! ```text
//! cn_msg      idx 4  val 4  seq 4  ack 4  len 2  flags 2
//! proc_event  what 4  cpu 4  timestamp_ns 8  and, by what it is:
//!   fork      parent_pid parent_tgid child_pid child_tgid
//!   exec, sid process_pid process_tgid
//!   uid, gid  process_pid process_tgid real effective
//!   comm      process_pid process_tgid comm[16]
//!   exit      process_pid process_tgid exit_code exit_signal parent_pid parent_tgid
//! ```
//!
//! The kernel's `pid` is a thread, its `tgid` a process. All numbers are those of the first pid namespace.

use crate::netlink::{self, u32_at, u64_at};

/// The connector's own multicast group and address: `CN_IDX_PROC`, `CN_VAL_PROC`.
pub(super) const GROUP: u32 = 1;
/// `PROC_CN_MCAST_LISTEN` and `PROC_CN_MCAST_IGNORE`.
const LISTEN: u32 = 1;
const IGNORE: u32 = 2;
/// The kind of the netlink messages that carry it: `NLMSG_DONE`.
const CARRIER: u16 = 3;
/// Bytes of `struct cn_msg`.
const HEADER: usize = 20;
/// Bytes of `struct proc_event` before the part that depends on what it is.
const COMMON: usize = 16;
/// Bytes of a name: `TASK_COMM_LEN`.
const NAME: usize = 16;

/// Where a datagram of the kernel's says what happened, bytes: behind netlink's own header and the connector's.
pub(super) const WHAT_AT: u32 = (netlink::HEADER + HEADER) as u32;
/// `PROC_EVENT_COMM` and `PROC_EVENT_PTRACE`: what a process can make as many of as it likes.
pub(super) const NAME_KIND: u32 = 0x200;
pub(super) const TRACE_KIND: u32 = 0x100;

/// A thread of a process.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Task {
    /// The thread.
    pub(super) thread: u32,
    /// The process.
    pub(super) process: u32,
}

impl Task {
    /// Tells whether this is the thread that the process is named by.
    pub(super) const fn leads(self) -> bool {
        self.thread == self.process
    }
}

/// One thing that happened.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Message {
    /// The number that the sender gave it: on each CPU the next one, whoever hears it.
    pub(super) sequence: u32,
    /// What it answers, for [`What::Answer`].
    pub(super) answers: u32,
    /// The CPU on which it happened.
    pub(super) cpu: u32,
    /// When, on the kernel's `CLOCK_MONOTONIC`, ns.
    pub(super) at_nanos: u64,
    /// What.
    pub(super) what: What,
}

/// What happened.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum What {
    /// Nothing: the answer to somebody's request, with an errno or 0.
    Answer(u32),
    /// A process or a thread was made.
    Fork { parent: Task, child: Task },
    /// A process runs another program now.
    Exec(Task),
    /// A thread has other user ids.
    Users { of: Task, real: u32, effective: u32 },
    /// A thread has other group ids.
    Groups { of: Task, real: u32, effective: u32 },
    /// A process leads a new session.
    Session(Task),
    /// A thread calls itself something else.
    Name { of: Task, name: [u8; NAME] },
    /// A thread has exited; the wait status as waitpid(2) encodes it.
    Exit { of: Task, code: u32 },
    /// Something that nobody asked about.
    Other,
}

/// Reads what a netlink message carries; `None` where it is nothing of the connector's.
pub(super) fn parse(message: &netlink::Message<'_>) -> Option<Message> {
    let bytes = message.payload;
    if message.kind != CARRIER || u32_at(bytes, 0)? != GROUP || u32_at(bytes, 4)? != GROUP {
        return None;
    }
    let event = bytes.get(HEADER..)?;
    let detail = event.get(COMMON..)?;
    let task = |offset| Some(Task { thread: u32_at(detail, offset)?, process: u32_at(detail, offset + 4)? });
    let what = match u32_at(event, 0)? {
        0 => What::Answer(u32_at(detail, 0)?),
        0x1 => What::Fork { parent: task(0)?, child: task(8)? },
        0x2 => What::Exec(task(0)?),
        0x4 => What::Users { of: task(0)?, real: u32_at(detail, 8)?, effective: u32_at(detail, 12)? },
        0x40 => What::Groups { of: task(0)?, real: u32_at(detail, 8)?, effective: u32_at(detail, 12)? },
        0x80 => What::Session(task(0)?),
        NAME_KIND => What::Name { of: task(0)?, name: *detail.get(8..)?.first_chunk()? },
        0x8000_0000 => What::Exit { of: task(0)?, code: u32_at(detail, 8)? },
        _ => What::Other,
    };
    Some(Message {
        sequence: u32_at(bytes, 8)?,
        answers: u32_at(bytes, 12)?,
        cpu: u32_at(event, 4)?,
        at_nanos: u64_at(event, 8)?,
        what,
    })
}

/// Returns the request to be told of everything; the answer to it says `answers` = `mark` + 1.
///
/// The kernel could leave out kinds of events for us (`struct proc_input`, Linux 6.6), but numbers them all the same: then what
/// was left out could not be told from what was lost.
pub(super) fn listen(mark: u32) -> Vec<u8> {
    request(mark, LISTEN)
}

/// Returns the request to be told of nothing any more.
pub(super) fn ignore() -> Vec<u8> {
    request(0, IGNORE)
}

fn request(mark: u32, operation: u32) -> Vec<u8> {
    let mut out = Vec::new();
    netlink::push_header(&mut out, HEADER + 4, CARRIER, 0, 0);
    for number in [GROUP, GROUP, mark, mark, 4, operation] {
        out.extend(number.to_ne_bytes());
    }
    out
}

/// Returns the text of a name.
pub(super) fn text(name: &[u8]) -> &[u8] {
    name.split(|byte| *byte == 0).next().unwrap_or_default()
}

/// What must hold of any datagram: each message is read within its own bytes, and a name has at most 16.
#[cfg(any(test, feature = "fuzzing"))]
pub(crate) fn fuzz(datagram: &[u8]) {
    let mut read = 0;
    for message in netlink::messages(datagram) {
        read += netlink::HEADER + message.payload.len();
        assert!(read <= datagram.len(), "more messages than bytes");
        let Some(told) = parse(&message) else { continue };
        if let What::Name { name, .. } = told.what {
            assert!(text(&name).len() <= NAME);
        }
        for end in [HEADER, HEADER + COMMON] {
            let cut = message.payload.get(..end).unwrap_or_default();
            assert!(
                parse(&netlink::Message { payload: cut, ..message }).is_none_or(|m| m.what == What::Other)
            );
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A message as the kernel lays it out.
    fn message(what: u32, detail: &[u32]) -> Vec<u8> {
        let words = [GROUP, GROUP, 77, 0, 16 + 24, what, 3].into_iter();
        let mut bytes: Vec<u8> = words.flat_map(u32::to_ne_bytes).collect();
        bytes.extend(5_000_000_123_u64.to_ne_bytes());
        bytes.extend(detail.iter().flat_map(|word| word.to_ne_bytes()));
        bytes
    }

    fn read(payload: &[u8]) -> Option<Message> {
        parse(&netlink::Message { kind: CARRIER, sequence: 77, flags: 0, payload })
    }

    #[test]
    fn each_kind_is_read_where_it_stands() {
        let task = |thread, process| Task { thread, process };
        let name = [0x6968_u32, 0, 0, 0];
        for (what, detail, expected) in [
            (0, &[13][..], What::Answer(13)),
            (1, &[1, 2, 3, 4], What::Fork { parent: task(1, 2), child: task(3, 4) }),
            (2, &[5, 6], What::Exec(task(5, 6))),
            (4, &[5, 6, 7, 8], What::Users { of: task(5, 6), real: 7, effective: 8 }),
            (0x40, &[5, 6, 7, 8], What::Groups { of: task(5, 6), real: 7, effective: 8 }),
            (0x80, &[5, 6], What::Session(task(5, 6))),
            (0x100, &[5, 6, 7, 8], What::Other),
            (0x8000_0000, &[5, 6, 256, 17, 1, 2], What::Exit { of: task(5, 6), code: 256 }),
            // As before Linux 4.18.
            (0x8000_0000, &[5, 6, 256, 17], What::Exit { of: task(5, 6), code: 256 }),
        ] {
            let expected =
                Message { sequence: 77, answers: 0, cpu: 3, at_nanos: 5_000_000_123, what: expected };
            assert_eq!(read(&message(what, detail)), Some(expected));
        }
        let named = read(&message(0x200, &[&[5, 6], &name[..]].concat())).unwrap();
        let What::Name { of, name } = named.what else { panic!("{named:?}") };
        assert_eq!((of, text(&name)), (task(5, 6), &name[..2]));
    }

    #[test]
    fn what_is_cut_off_or_of_somebody_else_is_nothing() {
        let whole = message(1, &[1, 2, 3, 4]);
        for end in 0..whole.len() {
            assert_eq!(read(&whole[..end]), None, "{end}");
        }
        let mut other = whole.clone();
        other[0] = 9;
        assert_eq!(read(&other), None);
        assert_eq!(parse(&netlink::Message { kind: 2, sequence: 0, flags: 0, payload: &whole }), None);
    }
}
