//! Figures: what the kernel counts when a task gets or leaves a CPU, which tells whether its process ran.

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

    /// Tells whether both of what grows when a task runs have grown. By the iterator of tasks the first may become less, where a task
    /// has exited.
    pub(crate) const fn has_run_since(&self, before: &Self) -> bool {
        self.runs > before.runs && self.nanos > before.nanos
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
