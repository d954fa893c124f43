//! The child: a worker in a process of its own, which can be left behind where a read never ends.

use super::{
    ask::Ask,
    words::Writer,
    worker::{self, Worker},
};
use crate::{
    HostView,
    sys::{self, area::Area, child},
};
use pofr_core::identity::Pid;
use rustix::{
    event::{PollFd, PollFlags, Timespec, poll},
    io::Errno,
};
use std::{
    io::{PipeReader, PipeWriter, pipe},
    os::fd::AsRawFd as _,
    sync::atomic::{AtomicU64, Ordering},
    time::{Duration, Instant},
};

/// How long a child may take to begin, and an answer at most on a machine that gives it no CPU.
const LONGEST: Duration = Duration::from_secs(1);
/// What each question adds to the time that all may take together.
const EACH: Duration = Duration::from_micros(500);

/// The CPU time of all children of this process, µs.
static CPU_MICROS: AtomicU64 = AtomicU64::new(0);

/// Returns the CPU time that the children of this process have used to answer, µs: it is the recorder's, too.
pub(crate) fn cpu_micros() -> u64 {
    CPU_MICROS.load(Ordering::Relaxed)
}

/// A child at work.
#[derive(Debug)]
pub(super) struct Child {
    /// For waitpid(2) and kill(2).
    pub(super) pid: rustix::process::Pid,
    /// In `/proc`.
    pub(super) number: Pid,
    /// What both have in common.
    pub(super) area: Area,
    asks: PipeWriter,
    answers: PipeReader,
    /// How much CPU time it had used when it was last looked at, µs.
    used: AtomicU64,
}

/// How a round ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Round {
    /// The child waits for the next.
    Over,
    /// It did not answer in time.
    Hung,
    /// It is gone.
    Gone,
}

impl Child {
    /// Makes a child, and leaves it out of the record.
    ///
    /// # Errors
    /// What the kernel refuses: a process, memory or descriptors.
    pub(super) fn begin(view: &HostView, worker: &mut Worker, at_once: bool) -> Result<Self, Errno> {
        let area = Area::new(worker::AREA)?;
        let new_pipe = || pipe().map_err(|error| Errno::from_io_error(&error).unwrap_or(Errno::MFILE));
        let (asked, asks) = new_pipe()?;
        let (answers, answered) = new_pipe()?;
        let kept = [asked.as_raw_fd(), answered.as_raw_fd(), worker.proc.as_raw_fd()];
        worker.forget();
        let pid = child::make(|| {
            child::close_all_but(kept);
            if at_once {
                // Where that is not permitted, it runs when it is its turn.
                let _ = sys::run_at_once();
            }
            worker.serve(&area, &asked, &answered);
        })?;
        drop((asked, answered));
        tracing::debug!(child = pid.as_raw_nonzero(), "a child for reads that may wait");
        let used = AtomicU64::default();
        let mut child = Self { pid, number: Pid(0), area, asks, answers, used };
        let until = Instant::now() + LONGEST;
        if child.wait(until) != Round::Over {
            child::kill(pid);
            child::has_ended(pid);
            return Err(Errno::TIME);
        }
        let own = pid.as_raw_nonzero().get().unsigned_abs();
        child.number = Pid(worker::number(&child.area).unwrap_or(own));
        if let Some(start) = crate::samplers::process_start(view, child.number) {
            view.exclude(child.number, start);
        }
        Ok(child)
    }

    /// Asks as many questions as there is room for, and waits for the answers: `patience` for each at most. Returns how many were asked,
    /// how many of them answered, and how it ended.
    pub(super) fn ask(&self, view: &HostView, asks: &[Ask<'_>], patience: Duration) -> (usize, usize, Round) {
        let count = write(&self.area, asks);
        if !matches!(rustix::io::write(&self.asks, &[1]), Ok(1)) {
            return (count, 0, Round::Gone);
        }
        let begun = Instant::now();
        let all = patience + EACH * u32::try_from(count).unwrap_or(u32::MAX);
        let mut done = 0;
        loop {
            let round = self.wait(Instant::now() + patience);
            let now = worker::done(&self.area).min(count);
            // One that is slow time and again holds up as much as one that says nothing.
            let in_time = begun.elapsed() < all;
            if round == Round::Hung
                && ((now > done && in_time) || (self.is_running(view) && begun.elapsed() < LONGEST))
            {
                done = now;
                continue;
            }
            let used = worker::used(&self.area);
            let before = self.used.swap(used, Ordering::Relaxed);
            CPU_MICROS.fetch_add(used.saturating_sub(before), Ordering::Relaxed);
            return (count, now, round);
        }
    }

    fn wait(&self, until: Instant) -> Round {
        loop {
            let left = until.saturating_duration_since(Instant::now());
            let mut fds = [PollFd::new(&self.answers, PollFlags::IN)];
            match poll(&mut fds, Timespec::try_from(left).ok().as_ref()) {
                Ok(0) if left.is_zero() => return Round::Hung,
                Ok(0) | Err(Errno::INTR) => {}
                Ok(_) => {
                    let read = rustix::io::read(&self.answers, &mut [0; 1]);
                    return if read == Ok(1) { Round::Over } else { Round::Gone };
                }
                Err(_) => return Round::Gone,
            }
        }
    }

    /// Tells whether the child is on a CPU or waits for one: then it is the machine that is slow.
    fn is_running(&self, view: &HostView) -> bool {
        let text = std::fs::read(view.proc_root.join(self.number.0.to_string()).join("stat"));
        text.is_ok_and(|text| crate::samplers::state_of(&text) == Some(b'R'))
    }
}

/// Writes as many questions as there is room for; returns how many.
pub(super) fn write(area: &[AtomicU64], asks: &[Ask<'_>]) -> usize {
    let mut to = Writer::new(worker::questions(area));
    let mut count = 0;
    for ask in asks {
        if to.room() < ask.words() {
            break;
        }
        ask.write(&mut to);
        count += 1;
    }
    worker::set_count(area, count);
    count
}
