//! `/proc/PID/stat`: identity, name, terminal (proc_pid_stat(5)).
//!
//! One real line (the name may hold anything, so what follows it is found from the last `)`):
//! `812 (it's) x) S 811 812 811 34816 812 4194304 111 0 0 0 0 0 0 0 20 0 1 0 54063 2777088 219 18446744073709551615 …`

use crate::sys;
use pofr_core::{
    identity::{Pid, StartTicks},
    raw::RawText,
};

/// The kernel's mark of a kernel thread: `PF_KTHREAD` in include/linux/sched.h.
const KERNEL_THREAD: u32 = 0x0020_0000;
/// The kernel's mark of a process on its way out: `PF_EXITING`, same file.
const EXITING: u32 = 0x4;

/// What is taken from the line.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Stat {
    /// The number, by which the line begins; `None` where it does not.
    pub(super) pid: Option<u32>,
    /// The name.
    pub(super) comm: RawText,
    /// Field 3.
    pub(super) state: u8,
    /// Field 4.
    pub(super) ppid: Pid,
    /// Field 6.
    pub(super) session: u32,
    /// Field 7.
    pub(super) tty: u32,
    /// Whether field 9 has the mark of a kernel thread.
    pub(super) kernel_thread: bool,
    /// Whether field 9 has the mark of a process that is exiting, or has exited.
    pub(super) exiting: bool,
    /// Field 20: how many threads there are, 0 for a zombie.
    pub(super) threads: u32,
    /// Field 22.
    pub(super) start: StartTicks,
    /// How far fields 48 and 49 are apart: the length of the arguments as they were given; 0 where that is not told.
    pub(super) arguments: u64,
    /// Field 52: the wait status, told only to who may trace the process; 0 in lines that are too short to have it.
    pub(super) exit_code: i32,
}

impl Stat {
    /// Tells whether the process has exited and waits for its parent.
    pub(super) const fn is_zombie(&self) -> bool {
        is_zombie(self.state)
    }
}

/// Tells whether a state letter means that the process is on a CPU, or waits for one.
pub(super) const fn is_running(state: u8) -> bool {
    state == b'R'
}

/// Tells whether a state letter means that the process has exited.
pub(super) const fn is_zombie(state: u8) -> bool {
    matches!(state, b'Z' | b'X' | b'x')
}

/// The line is not as proc_pid_stat(5) says.
#[derive(Debug)]
pub(super) struct Malformed;

/// Reads the line.
pub(super) fn parse(line: &[u8]) -> Option<Stat> {
    let open = line.iter().position(|b| *b == b'(')?;
    let close = line.iter().rposition(|b| *b == b')')?;
    let comm = line.get(open + 1..close)?;
    let mut fields = line[close + 1..].split(|b| b.is_ascii_whitespace()).filter(|f| !f.is_empty());
    let state = *fields.next()?.first()?;
    let ppid = Pid(sys::parse(fields.next()?)?);
    // A session outside of our pid namespace is told as 0, none as -1.
    let session = u32::try_from(signed(fields.nth(1)?)?).unwrap_or(0);
    let tty = signed(fields.next()?)?.cast_unsigned();
    let flags: u32 = sys::parse(fields.nth(1)?)?;
    let kernel_thread = flags & KERNEL_THREAD != 0;
    let threads = u32::try_from(signed(fields.nth(10)?)?).unwrap_or(0);
    let start = StartTicks(sys::parse(fields.nth(1)?)?);
    let first: u64 = fields.nth(25).and_then(sys::parse).unwrap_or(0);
    let end: u64 = fields.next().and_then(sys::parse).unwrap_or(0);
    let exit_code = match fields.nth(2) {
        Some(text) => signed(text)?,
        None => 0,
    };
    Some(Stat {
        pid: sys::parse(line[..open].trim_ascii_end()),
        comm: if kernel_thread { steady(comm) } else { comm }.into(),
        state,
        ppid,
        session,
        tty,
        kernel_thread,
        exiting: flags & EXITING != 0,
        threads,
        start,
        arguments: end.saturating_sub(first),
        exit_code,
    })
}

/// Returns the state letter of a line.
pub(super) fn state(line: &[u8]) -> Option<u8> {
    let close = line.iter().rposition(|b| *b == b')')?;
    line.get(close + 2).copied()
}

/// Takes off a kernel worker's name what it is working at or was last (`wq_worker_comm` in kernel/workqueue.c): that changes many
/// times a second, and would make another process fact each time. `kworker/u8:2-events_unbound` is `kworker/u8:2`.
pub(super) fn steady(comm: &[u8]) -> &[u8] {
    const WORKER: &[u8] = b"kworker/";
    match comm.strip_prefix(WORKER) {
        // A rescuer: `kworker/R-` and the name of its queue, which stays.
        Some([b'R', b'-', ..]) | None => comm,
        Some(id) => {
            let end = id.iter().position(|b| matches!(b, b'-' | b'+')).unwrap_or(id.len());
            &comm[..WORKER.len() + end]
        }
    }
}

/// Reads a field that the kernel prints with a sign.
fn signed(text: &[u8]) -> Option<i32> {
    std::str::from_utf8(text).ok()?.parse().ok()
}

/// What must hold of any line: a name comes from between the brackets, and an end that is cut off is no line.
#[cfg(any(test, feature = "fuzzing"))]
pub(crate) fn fuzz(line: &[u8]) {
    let Some(stat) = parse(line) else { return };
    let comm = stat.comm.as_bytes();
    assert!(comm.len() + 2 <= line.len() && (comm.is_empty() || line.windows(comm.len()).any(|w| w == comm)));
    let again = parse(line).map(|again| again == stat);
    assert_eq!(again, Some(true));
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A line of a real kernel (6.18), with the name changed.
    const TAIL: &str = "S 811 812 810 34816 812 4194304 111 0 0 0 1 2 0 0 20 0 1 0 54063 2777088 219 \
        18446744073709551615 94 95 140 0 0 0 0 0 0 0 0 0 17 1 0 0 0 0 0 96 97 98 99 100 101 102 9\n";

    #[test]
    fn any_name_is_read_back() {
        for comm in [&b"sh"[..], b"it's) R 1 (x", b"a\nb", b"", b"\xff)", b") S 1 2 3 4 5 6"] {
            let line = [b"812 (", comm, b") ", TAIL.as_bytes()].concat();
            let stat = parse(&line).unwrap();
            assert_eq!(stat.comm.as_bytes(), comm);
            assert_eq!((stat.ppid, stat.session, stat.tty), (Pid(811), 810, 34816));
            assert_eq!((stat.start, stat.exit_code, stat.kernel_thread), (StartTicks(54063), 9, false));
            assert_eq!((stat.threads, stat.exiting), (1, false));
        }
    }

    #[test]
    fn only_kernel_workers_lose_a_part_of_their_names() {
        let kernel = TAIL.replace("4194304", "69238880");
        for (comm, expected) in [
            ("kworker/u8:2-events_unbound", "kworker/u8:2"),
            ("kworker/0:1H+kblockd", "kworker/0:1H"),
            ("kworker/1:24", "kworker/1:24"),
            ("kworker/R-kvfree_rcu", "kworker/R-kvfree_rcu"),
            ("ksoftirqd-0", "ksoftirqd-0"),
        ] {
            let stat = parse(format!("9 ({comm}) {kernel}").as_bytes()).unwrap();
            assert_eq!((stat.comm.as_bytes(), stat.kernel_thread), (expected.as_bytes(), true));
            let stat = parse(format!("9 ({comm}) {TAIL}").as_bytes()).unwrap();
            assert_eq!((stat.comm.as_bytes(), stat.kernel_thread), (comm.as_bytes(), false));
        }
    }

    #[test]
    fn what_is_no_line_is_none() {
        for bad in ["", "812 sh S 1", "812 (sh) S", ")812 (", "812 (sh) S x 1 1 1 1 1 1"] {
            assert_eq!(parse(bad.as_bytes()), None, "{bad}");
        }
    }
}
