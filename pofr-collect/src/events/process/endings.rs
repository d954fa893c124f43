//! Endings: which exit of a thread is the end of its process, with what code, and what the process used.
//!
//! A process ends when the last of its threads exits, whichever that is; until then its number stays taken. Newer kernels say
//! which one was the last (taskstats version 12, Linux 5.19). Otherwise only the exit of the first thread raises the question,
//! and `/proc` answers it.

use super::{
    exits::{TaskEnd, Who},
    message::Task,
};
use hashbrown::HashMap;
use pofr_core::fact::Totals;

/// The end of a process.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Ending {
    /// The wait status, as waitpid(2) encodes it.
    pub(super) code: i32,
    /// Who it was, where that was told.
    pub(super) who: Option<Who>,
    /// What it used over its life, where all of that was told.
    pub(super) totals: Option<Totals>,
}

/// What is known of a process some of whose threads have exited.
#[derive(Debug, Default)]
struct Part {
    used: Totals,
    leader: Option<Who>,
    leader_gone: bool,
}

/// So much is kept for exits that were never told; beyond that it is forgotten.
const KEPT: usize = 1 << 14;

/// CPU times are told in µs of each thread, and in ns of all: this much may be lost in rounding, µs.
const ROUNDING: u64 = 2_000;

/// The threads and processes that are on their way out.
#[derive(Debug)]
pub(super) struct Endings {
    /// What taskstats told of threads whose exit the connector has not told yet.
    told: HashMap<u32, TaskEnd>,
    parts: HashMap<u32, Part>,
    /// Whether taskstats tells at all.
    listening: bool,
    missed: u64,
}

impl Endings {
    pub(super) fn new(listening: bool) -> Self {
        Self { told: HashMap::new(), parts: HashMap::new(), listening, missed: 0 }
    }

    /// Takes note of what taskstats tells.
    pub(super) fn hear(&mut self, end: TaskEnd) {
        if self.told.len() >= KEPT {
            self.told.clear();
        }
        self.told.insert(end.thread, end);
    }

    /// Takes note of a new process: what its number was before is of no interest any more.
    pub(super) fn forked(&mut self, process: u32) {
        self.parts.remove(&process);
    }

    /// Takes note that a process runs another program: whichever thread did that is its first one now.
    pub(super) fn executed(&mut self, process: u32) {
        if let Some(part) = self.parts.get_mut(&process) {
            part.leader_gone = false;
        }
    }

    /// Takes note of a thread's exit; returns the end of its process if it was that. `others` tells whether the process has
    /// threads that have not exited.
    pub(super) fn exited(&mut self, of: Task, code: u32, others: impl FnOnce() -> bool) -> Option<Ending> {
        let end = self.told.remove(&of.thread);
        let was_waiting = self.parts.get(&of.process).is_some_and(|part| part.leader_gone);
        let last = match end.as_ref().and_then(|end| end.last) {
            Some(last) => last,
            None => (of.leads() || was_waiting) && !others(),
        };
        if !last {
            if self.parts.len() >= KEPT {
                self.parts.clear();
            }
            let part = self.parts.entry(of.process).or_default();
            part.leader_gone |= of.leads();
            if let Some(end) = end {
                part.used = sum(part.used, end.used);
                if of.leads() {
                    part.leader = Some(end.who);
                }
            }
            return None;
        }
        let part = self.parts.remove(&of.process);
        if end.is_none() && self.listening {
            self.missed += 1;
        }
        let totals = end.as_ref().and_then(|end| {
            let used = sum(part.as_ref().map_or_else(Totals::default, |part| part.used), end.used);
            // Of a process that had several, some may have exited before anybody listened.
            let seen = used.user_micros.saturating_add(used.system_micros);
            let all_told = end.whole_cpu_micros.is_none_or(|whole| whole <= seen.saturating_add(ROUNDING));
            all_told.then_some(used)
        });
        // The process has the name and the parent of its first thread.
        let who = if of.leads() { end.map(|end| end.who) } else { part.and_then(|part| part.leader) };
        Some(Ending { code: code.cast_signed(), who, totals })
    }

    /// Returns of how many processes that ended since this was last asked nothing was told.
    pub(super) fn take_missed(&mut self) -> u64 {
        std::mem::take(&mut self.missed)
    }
}

fn sum(a: Totals, b: Totals) -> Totals {
    Totals {
        user_micros: a.user_micros.saturating_add(b.user_micros),
        system_micros: a.system_micros.saturating_add(b.system_micros),
        read_bytes: a.read_bytes.saturating_add(b.read_bytes),
        write_bytes: a.write_bytes.saturating_add(b.write_bytes),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use pofr_core::identity::Pid;

    const LEADER: Task = Task { thread: 10, process: 10 };
    const OTHER: Task = Task { thread: 11, process: 10 };

    fn end(of: Task, last: Option<bool>, whole_cpu_micros: Option<u64>) -> TaskEnd {
        let comm = format!("t{}", of.thread);
        let who = Who { comm: comm.as_str().into(), uid: 1, gid: 2, ppid: Pid(3), elapsed_micros: 4 };
        let used = Totals { user_micros: 100_000, system_micros: 10, read_bytes: 1, write_bytes: 0 };
        TaskEnd { thread: of.thread, who, used, last, whole_cpu_micros }
    }

    fn never() -> bool {
        panic!("need not be asked")
    }

    #[test]
    fn a_process_ends_with_its_last_thread_and_has_the_name_of_its_first() {
        let mut endings = Endings::new(true);
        endings.hear(end(LEADER, Some(false), None));
        assert_eq!(endings.exited(LEADER, 0, never), None);
        endings.hear(end(OTHER, Some(true), Some(200_020)));
        let ending = endings.exited(OTHER, 256, never).unwrap();
        assert_eq!((ending.code, ending.who.unwrap().comm), (256, "t10".into()));
        assert_eq!(ending.totals.map(|t| (t.user_micros, t.read_bytes)), Some((200_000, 2)));
        assert_eq!(endings.take_missed(), 0);
    }

    #[test]
    fn what_threads_used_before_we_listened_is_missing_and_so_is_the_total() {
        let mut endings = Endings::new(true);
        endings.hear(end(LEADER, Some(true), Some(900_000)));
        assert_eq!(endings.exited(LEADER, 0, never).unwrap().totals, None);
    }

    #[test]
    fn without_taskstats_the_threads_that_are_left_tell() {
        let mut endings = Endings::new(false);
        // An exit of some thread of a process whose first one is there ends nothing.
        assert_eq!(endings.exited(OTHER, 0, never), None);
        assert_eq!(endings.exited(LEADER, 9, || true), None);
        assert_eq!(endings.exited(OTHER, 9, || false), Some(Ending { code: 9, who: None, totals: None }));
        assert_eq!(endings.take_missed(), 0, "nobody promised anything");
        // The thread that runs another program becomes the first one.
        assert_eq!(endings.exited(LEADER, 0, || true), None);
        endings.executed(10);
        assert_eq!(endings.exited(OTHER, 0, never), None);
        assert!(endings.exited(LEADER, 0, || false).is_some());
    }

    #[test]
    fn a_process_of_which_nothing_was_told_is_counted() {
        let mut endings = Endings::new(true);
        assert_eq!(endings.exited(LEADER, 0, || false).unwrap().who, None);
        assert_eq!((endings.take_missed(), endings.take_missed()), (1, 0));
    }
}
