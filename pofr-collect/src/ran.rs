//! Who ran: what the kernel counts for each process when one of its tasks gets or leaves a CPU.
//!
//! Two of its interfaces tell, with the same counters behind them: the iterator of tasks, which is read at once, and taskstats,
//! which are asked for process by process.

use crate::{netlink::taskstats::Taskstats, tasks::TaskIterator};

/// What tells whether a process has run. Counts of one interface are not those of the other.
///
/// Equal numbers at two moments mean that no task of the process *began* to run in between; one that was on a CPU at the first
/// moment may have gone on for less than a tick of the kernel's.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Figures {
    /// How often a task got a CPU.
    pub(crate) runs: u64,
    /// For how long, ns. What exited tasks had is in it.
    pub(crate) nanos: u64,
    /// CPU time as the tick counts it, ns, and switches to other tasks, of its own will and not: taskstats alone tell.
    pub(crate) ticked: u64,
    pub(crate) switches: (u64, u64),
}

impl Figures {
    /// Tells whether nothing is counted: so it is for a process that has not run yet, and by taskstats for one whose tasks have all
    /// exited if it never had more than one.
    pub(crate) fn is_zero(&self) -> bool {
        *self == Self::default()
    }

    /// Tells whether the process is seen to have run: runs are counted, and its time on a CPU has grown. (How often its tasks got one
    /// may have become less, where one has exited.)
    pub(crate) const fn has_run_since(&self, before: &Self) -> bool {
        self.runs > 0 && self.nanos > before.nanos
    }
}

/// What the kernel told of one process.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Told {
    /// Its figures.
    Figures(Figures),
    /// There is no such process.
    Gone,
    /// Nothing that could be understood.
    Nothing,
}

/// Whoever tells.
#[derive(Debug)]
pub(crate) enum Ran {
    /// The iterator of tasks.
    Tasks(TaskIterator),
    /// Taskstats.
    Taskstats(Taskstats),
}

impl Ran {
    /// Takes the iterator, where there is one, else connects to taskstats.
    ///
    /// # Errors
    /// Why taskstats are not to be had, in words.
    pub(crate) fn open(tasks: Option<TaskIterator>) -> Result<Self, String> {
        match tasks {
            Some(tasks) => Ok(Self::Tasks(tasks)),
            None => Taskstats::open().map(Self::Taskstats).map_err(|error| error.to_string()),
        }
    }

    /// Asks for processes, whose numbers are in order, and puts what is told of each at its place in `told`.
    ///
    /// # Errors
    /// Where the kernel does not answer, in words.
    pub(crate) fn of_processes(&mut self, pids: &[u32], told: &mut Vec<Told>) -> Result<(), String> {
        if pids.is_empty() {
            told.clear();
            return Ok(());
        }
        match self {
            Self::Tasks(tasks) => tasks
                .of_processes(pids, told)
                .map_err(|error| format!("the iterator of tasks: {}", std::io::Error::from(error))),
            Self::Taskstats(taskstats) => {
                taskstats.of_processes(pids, told).map_err(|error| error.to_string())
            }
        }
    }
}
