//! What the kernel tells of a task at its exit: its name, its ids, what it used (taskstats.rst).
//!
//! It is told before the proc connector tells of the same exit (`do_exit` in kernel/exit.c), so whoever has heard of the exit finds
//! it in the queue, or it was lost.

use crate::netlink::{
    generic::Family,
    messages,
    taskstats::{About, NAME, push_listen, stats_of},
};
use pofr_core::{collector::CollectError, fact::Totals, identity::Pid, raw::RawText};
use rustix::io::Errno;
use std::path::Path;

/// The mark of a task that was the last of its process: `AGROUP` in include/uapi/linux/acct.h, from version 12 on.
const LAST: u8 = 0x20;
/// Room for a datagram: twice the largest structure that is known, three times.
const DATAGRAM: usize = 4096;

/// Who a task was.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Who {
    /// Its name.
    pub(super) comm: RawText,
    /// Its real user.
    pub(super) uid: u32,
    /// Its real group.
    pub(super) gid: u32,
    /// Its parent.
    pub(super) ppid: Pid,
    /// How long it was there, µs.
    pub(super) elapsed_micros: u64,
}

/// What is told of a task that exits.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct TaskEnd {
    /// The task.
    pub(super) thread: u32,
    /// Who it was.
    pub(super) who: Who,
    /// What it used.
    pub(super) used: Totals,
    /// Whether it was the last of its process; `None` where the kernel does not tell.
    pub(super) last: Option<bool>,
    /// CPU time of all tasks that the process ever had, µs, where it had more than one and this was the last.
    pub(super) whole_cpu_micros: Option<u64>,
}

/// The open connection.
#[derive(Debug)]
pub(super) struct Exits {
    family: Family,
    buffer: Vec<u8>,
}

impl Exits {
    /// Opens the connection with a queue of so many bytes, and asks to be told of the exits on all CPUs.
    ///
    /// # Errors
    /// Where the kernel has no taskstats, or has none for us: it wants CAP_NET_ADMIN in the first namespaces.
    pub(super) fn open(sys_root: &Path, queue_bytes: usize) -> Result<Self, CollectError> {
        let refused = |cause: Errno| CollectError::Unavailable {
            what: "taskstats: ask to be told of exits".to_owned(),
            cause: cause.into(),
        };
        let path = sys_root.join("devices/system/cpu/possible");
        let cpus = std::fs::read_to_string(&path).map_err(|cause| CollectError::Unavailable {
            what: format!("cannot read {}", path.display()),
            cause,
        })?;
        let family = Family::open(NAME).map_err(|error| CollectError::Malformed {
            what: "taskstats".to_owned(),
            detail: error.to_string(),
        })?;
        family.socket.set_queue(queue_bytes);
        let mut request = Vec::new();
        push_listen(&mut request, &family, 2, cpus.trim_end());
        family.socket.send(&request).map_err(refused)?;
        let mut buffer = vec![0; DATAGRAM];
        // A refusal is in the queue by now; where there is none nothing is said.
        loop {
            match family.socket.take(&mut buffer) {
                Ok(Some(datagram)) => {
                    let answer = messages(datagram).find(|m| m.sequence == 2).and_then(|m| m.error());
                    if let Some(cause) = answer {
                        return Err(refused(cause));
                    }
                }
                Ok(None) => return Ok(Self { family, buffer }),
                Err(Errno::NOBUFS | Errno::MSGSIZE) => {}
                Err(cause) => return Err(refused(cause)),
            }
        }
    }

    /// Takes all that is waiting; what was lost is missed when it is looked for.
    pub(super) fn take(&mut self, mut each: impl FnMut(TaskEnd)) -> Result<(), Errno> {
        loop {
            match self.family.socket.take(&mut self.buffer) {
                Ok(Some(datagram)) => {
                    messages(datagram).filter_map(|message| of(stats_of(&message))).for_each(&mut each);
                }
                Ok(None) => return Ok(()),
                Err(Errno::NOBUFS | Errno::MSGSIZE) => {}
                Err(error) => return Err(error),
            }
        }
    }
}

/// Puts together what one message tells of a task and of its process.
fn of<'a>(abouts: impl Iterator<Item = About<'a>>) -> Option<TaskEnd> {
    let mut task = None;
    let mut whole_cpu_micros = None;
    for about in abouts {
        if about.of_process {
            whole_cpu_micros = Some(about.stats.cpu_real_nanos() / 1_000);
        } else {
            task = Some(about);
        }
    }
    let About { id, stats, .. } = task?;
    let (uid, gid) = stats.uid_and_gid();
    let (user_micros, system_micros) = stats.cpu_micros();
    let (read_bytes, write_bytes) = stats.storage_bytes();
    Some(TaskEnd {
        thread: id,
        who: Who {
            comm: stats.comm().into(),
            uid,
            gid,
            ppid: Pid(stats.ppid()),
            elapsed_micros: stats.elapsed_micros(),
        },
        used: Totals { user_micros, system_micros, read_bytes, write_bytes },
        last: stats.process().is_some().then(|| stats.flags() & LAST != 0),
        whole_cpu_micros,
    })
}
