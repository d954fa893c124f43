//! The iterator of tasks: what every task ran, in one read.
//!
//! The counters are those that [taskstats](crate::netlink::taskstats) tell, had in less than half of the time: there is no question,
//! no answer and no lock for each process. It takes Linux 5.11.

use super::{
    CHUNK,
    btf::Btf,
    code::{
        self, CURRENT_TASK, META, R, SEQ, SEQ_WRITE, STACK, add, add_number, call, copy, load32, load64, set,
        skip_unless_equal, store32, store64,
    },
    load, read_all, refused,
};
use crate::{
    figures::{Figures, Told},
    netlink::{u32_at, u64_at},
    sys,
};
use rustix::io::Errno;
use std::os::fd::{AsFd as _, OwnedFd};

const NAME: &std::ffi::CStr = c"pofr_ran";
/// The iterator, as the kernel's BTF names it.
const ITERATOR: &str = "bpf_iter_task";

/// Asks for the figures of all processes.
#[derive(Debug)]
pub(crate) struct TaskIterator {
    link: OwnedFd,
    level: u32,
    buffer: Vec<u8>,
}

impl TaskIterator {
    /// Has the kernel take the program, and makes sure that what is counted shows that a process ran: that of this very process
    /// does.
    ///
    /// # Errors
    /// Why it cannot be had, in words.
    pub(super) fn open(btf: &Btf) -> Result<Self, String> {
        let fields = Fields::of(btf)?;
        let mut this = Self::load(&fields, 0, btf)?;
        let level = this.level().map_err(refused)?.ok_or("no task is shown")?;
        if level > 0 {
            this = Self::load(&fields, level, btf)?;
        }
        // A task that exits takes its count of runs with it, and while all are read may be in neither place: such a reading tells less
        // than there was.
        for _ in 0..10 {
            let before = this.own().map_err(refused)?;
            std::thread::sleep(std::time::Duration::from_millis(1));
            if let (Told::Figures(before), Told::Figures(after)) = (before, this.own().map_err(refused)?)
                && after.has_run_since(&before)
            {
                return Ok(this);
            }
        }
        Err("runs are not counted (CONFIG_SCHED_INFO?)".to_owned())
    }

    fn load(fields: &Fields, level: u32, btf: &Btf) -> Result<Self, String> {
        let program = u16::try_from(level).ok().and_then(|level| program(fields, level));
        let program = program.ok_or("a pid namespace that is too deep")?;
        let program = load(&program, NAME, ITERATOR, btf)?;
        let link = sys::bpf::link_iterator(program.as_fd(), None).map_err(refused)?;
        Ok(Self { link, level, buffer: vec![0; CHUNK] })
    }

    /// Returns how deep our pid namespace is.
    fn level(&mut self) -> Result<Option<u32>, Errno> {
        let mut found = None;
        self.read(|record| found = Some(record.level))?;
        Ok(found)
    }

    fn own(&mut self) -> Result<Told, Errno> {
        let mut told = Vec::new();
        self.of_processes(&[std::process::id()], &mut told)?;
        Ok(told[0])
    }

    /// Asks for processes, whose numbers are in order, and puts what is told of each at its place in `told`: nothing, where we have
    /// no descriptor or the kernel no memory to spare now.
    ///
    /// # Errors
    /// Where the kernel does not begin or end the iteration, or another namespace than ours is read.
    pub(crate) fn of_processes(&mut self, pids: &[u32], told: &mut Vec<Told>) -> Result<(), Errno> {
        debug_assert!(pids.is_sorted());
        told.clear();
        told.resize(pids.len(), Told::Gone);
        let (level, mut next, mut is_ours) = (self.level, 0, true);
        let read = self.read(|record| {
            is_ours &= record.level == level;
            // First tasks come in the order of their numbers.
            let place = match pids.get(next) {
                Some(pid) if *pid == record.process => Ok(next),
                _ => pids.binary_search(&record.process),
            };
            let Ok(place) = place else { return };
            next = place + 1;
            let before = if let Told::Figures(before) = told[place] { before } else { Figures::default() };
            let runs = before.runs.wrapping_add(record.runs);
            told[place] =
                Told::Figures(Figures { runs, nanos: before.nanos.wrapping_add(record.nanos), ..before });
        });
        match read {
            Ok(()) if is_ours => Ok(()),
            Ok(()) => Err(Errno::XDEV),
            Err(Errno::MFILE | Errno::NFILE | Errno::NOMEM) => {
                told.fill(Told::Nothing);
                Ok(())
            }
            Err(error) => Err(error),
        }
    }

    /// Reads what the kernel tells of each task.
    fn read(&mut self, mut each: impl FnMut(Record)) -> Result<(), Errno> {
        let iteration = sys::bpf::begin_iteration(self.link.as_fd())?;
        read_all(&iteration, &mut self.buffer, |bytes| {
            each(Record::parse(bytes)?);
            Some(RECORD)
        })
    }
}

/// What is told of a task.
struct Record {
    process: u32,
    /// How deep the namespace is in which the process's number is that.
    level: u32,
    runs: u64,
    nanos: u64,
}

impl Record {
    fn parse(bytes: &[u8]) -> Option<Self> {
        Some(Self {
            process: u32_at(bytes, 0)?,
            level: u32_at(bytes, 4)?,
            runs: u64_at(bytes, 8)?,
            nanos: u64_at(bytes, 16)?,
        })
    }
}

/// Bytes that are written of each task: its process, the depth of our own namespace, how often it got a CPU, and for how long, ns.
const RECORD: usize = 24;

/// `PIDTYPE_TGID` in include/linux/pid_types.h: the second of the pointers in `signal_struct.pids`.
const TGID_POINTER: i16 = 8;
/// `struct bpf_iter__task`: the iteration, then the task.
const TASK: i16 = 8;

/// Where the fields stand that are needed.
#[derive(Clone, Copy, Debug)]
struct Fields {
    pid: i16,
    tgid: i16,
    signal: i16,
    thread_pid: i16,
    runs: i16,
    runtime: i16,
    exited_runtime: i16,
    pids: i16,
    level: i16,
    numbers: i16,
}

impl Fields {
    fn of(btf: &Btf) -> Result<Self, String> {
        let (task, signal, pid) =
            (btf.structure("task_struct")?, btf.structure("signal_struct")?, btf.structure("pid")?);
        Ok(Self {
            pid: task.offset(&["pid"])?,
            tgid: task.offset(&["tgid"])?,
            signal: task.offset(&["signal"])?,
            thread_pid: task.offset(&["thread_pid"])?,
            runs: task.offset(&["sched_info", "pcount"])?,
            runtime: task.offset(&["se", "sum_exec_runtime"])?,
            exited_runtime: signal.offset(&["sum_sched_runtime"])?,
            pids: signal.offset(&["pids"])?,
            level: pid.offset(&["level"])?,
            numbers: pid.offset(&["numbers"])?,
        })
    }
}

/// Puts the program together for a pid namespace `level` deep: a process's number there is what is written. `None` where there is no
/// such depth. Each record is made at the end of the stack.
fn program(fields: &Fields, level: u16) -> Option<Vec<u64>> {
    // `struct upid` has the number first, and 16 bytes.
    let number = i16::try_from(level).ok()?.checked_mul(16)?.checked_add(fields.numbers)?;
    let [context, task, seq, signal] = [R(6), R(7), R(8), R(9)];
    let record = i16::try_from(RECORD).ok()?;
    let body = [
        load64(seq, context, META),
        load64(seq, seq, SEQ),
        load64(signal, task, fields.signal),
        // The process's number.
        load64(R(1), signal, fields.pids + TGID_POINTER),
        load32(R(1), R(1), number),
        store32(STACK, -record, R(1)),
        // How often it ran, and for how long; with the first task of a process goes what its exited ones ran.
        load64(R(1), task, fields.runs),
        store64(STACK, 8 - record, R(1)),
        load64(R(2), task, fields.runtime),
        load32(R(3), task, fields.pid),
        load32(R(4), task, fields.tgid),
        skip_unless_equal(R(3), R(4), 2),
        load64(R(4), signal, fields.exited_runtime),
        add(R(2), R(4)),
        store64(STACK, 16 - record, R(2)),
        // How deep the namespace of whoever reads is.
        call(CURRENT_TASK),
        load64(R(1), R(0), fields.thread_pid),
        load32(R(1), R(1), fields.level),
        store32(STACK, 4 - record, R(1)),
        // Out with it.
        copy(R(1), seq),
        copy(R(2), STACK),
        add_number(R(2), -i32::from(record)),
        set(R(3), i32::from(record)),
        call(SEQ_WRITE),
    ];
    Some(code::program(context, task, TASK, &body))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::netlink::taskstats::Taskstats;
    use std::{
        path::Path,
        process::{Child, Command, Stdio},
    };

    /// Opens the iterator, where the kernel and our rights allow; where not, taskstats tell, and that is tested.
    fn open() -> Option<TaskIterator> {
        let btf = Btf::of_kernel(Path::new("/sys"));
        btf.and_then(|btf| TaskIterator::open(&btf)).inspect_err(|why| eprintln!("not run: {why}")).ok()
    }

    fn told(tasks: &mut TaskIterator, pids: &[u32]) -> Vec<Told> {
        let mut told = Vec::new();
        tasks.of_processes(pids, &mut told).unwrap();
        told
    }

    /// Starts a process that sleeps, and waits until it does.
    fn sleeping() -> Child {
        let child = Command::new("/bin/sleep").arg("1000").spawn().unwrap();
        let stat = format!("/proc/{}/stat", child.id());
        while !std::fs::read_to_string(&stat).unwrap().contains("(sleep) S") {
            std::thread::yield_now();
        }
        child
    }

    #[test]
    fn who_sleeps_has_the_figures_that_taskstats_tell_and_who_runs_has_others() {
        let Some(mut tasks) = open() else { return };
        let mut children = [sleeping(), sleeping()];
        let mut gone = Command::new("/bin/true").stdin(Stdio::null()).spawn().unwrap();
        gone.wait().unwrap();
        let mut pids = vec![children[0].id(), children[1].id(), std::process::id(), gone.id()];
        pids.sort_unstable();
        let place = |pid: u32| pids.binary_search(&pid).unwrap();
        let before = told(&mut tasks, &pids);
        std::thread::sleep(std::time::Duration::from_millis(2));
        let after = told(&mut tasks, &pids);
        let mut by_taskstats = Vec::new();
        let asked = Taskstats::open().map(|mut other| other.of_processes(&pids, &mut by_taskstats).unwrap());
        for child in &children {
            let at = place(child.id());
            let Told::Figures(figures) = before[at] else { panic!("{:?}", before[at]) };
            assert_eq!(before[at], after[at]);
            assert!(figures.runs > 0 && figures.nanos > 0);
            if asked.is_ok() {
                let Told::Figures(other) = by_taskstats[at] else { panic!("{:?}", by_taskstats[at]) };
                assert_eq!((figures.runs, figures.nanos), (other.runs, other.nanos));
            }
        }
        let own = place(std::process::id());
        assert_ne!(before[own], after[own]);
        assert_eq!(after[place(gone.id())], Told::Gone);
        for child in &mut children {
            child.kill().unwrap();
            child.wait().unwrap();
        }
    }

    #[test]
    fn a_thread_that_ran_and_exited_shows() {
        let Some(mut tasks) = open() else { return };
        let pids = [std::process::id()];
        let nanos = |told: Vec<Told>| if let Told::Figures(figures) = told[0] { figures.nanos } else { 0 };
        let before = nanos(told(&mut tasks, &pids));
        let worked = |time: rustix::time::Timespec| time.tv_sec > 0 || time.tv_nsec >= 20_000_000;
        let spun = std::thread::spawn(move || {
            use rustix::time::{ClockId, clock_gettime};
            while !worked(clock_gettime(ClockId::ThreadCPUTime)) {}
        });
        spun.join().unwrap();
        // Tasks of other tests may exit during one reading.
        let after = (0..3).map(|_| nanos(told(&mut tasks, &pids))).max().unwrap();
        assert!(after - before >= 20_000_000, "what an exited task ran is in it: {}", after - before);
    }

    #[test]
    fn another_depth_than_ours_is_refused() {
        let Some(mut tasks) = open() else { return };
        tasks.level += 1;
        assert_eq!(tasks.of_processes(&[std::process::id()], &mut Vec::new()), Err(Errno::XDEV));
    }
}
