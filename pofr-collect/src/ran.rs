//! Who ran: what the kernel counts for each process when one of its tasks gets or leaves a CPU.
//!
//! Two of its interfaces tell, with the same counters behind them: the iterator of tasks, which is read at once, and taskstats,
//! which are asked for process by process.

use crate::{figures::Told, iterators::TaskIterator, netlink::taskstats::Taskstats};

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
