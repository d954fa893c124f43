//! Taskstats: what the kernel counts for a process or a task, asked for or told at its exit
//! (Documentation/accounting/taskstats.rst, include/uapi/linux/taskstats.h).

pub(crate) mod stats;

use super::{
    NetlinkError,
    generic::{Family, push_request},
    messages,
};
use crate::figures::{Figures, Told};
use rustix::io::Errno;
use stats::Stats;
pub(crate) use stats::{About, stats_of};

/// The name of the family.
pub(crate) const NAME: &str = "TASKSTATS";
/// `TASKSTATS_CMD_GET`.
const GET: u8 = 1;
/// `TASKSTATS_CMD_ATTR_TGID`.
const ASK_PROCESS: u16 = 2;
/// `TASKSTATS_CMD_ATTR_REGISTER_CPUMASK`.
const LISTEN: u16 = 3;
/// Requests that are sent at once. Their answers fit the queue that netlink gives anyone (net.core.rmem_default), and the caches of
/// a CPU: more at once take longer, since the kernel makes all answers before the first is taken.
const BATCH: usize = 32;
/// Bytes of the queue that is asked for, so that not even larger structures to come would overflow it.
const QUEUE: usize = 1 << 20;

/// An answer: statistics if they are of a form that can be read, or what the kernel says instead.
type Answer<'a> = Result<Option<Stats<'a>>, Errno>;

/// Asks for the figures of processes.
#[derive(Debug)]
pub(crate) struct Taskstats {
    family: Family,
    sequence: u32,
    requests: Vec<u8>,
    buffer: Vec<u8>,
}

impl Taskstats {
    /// Connects, and makes sure that what is counted shows that a process ran: that of this very process does.
    ///
    /// # Errors
    /// `ENOENT` where the kernel is built without taskstats, `EPERM` without CAP_NET_ADMIN; an error of ours where it does not
    /// count what is needed.
    pub(crate) fn open() -> Result<Self, NetlinkError> {
        let family = Family::open(NAME)?;
        family.socket.set_queue(QUEUE);
        let mut this = Self { family, sequence: 0, requests: Vec::new(), buffer: vec![0; 4096] };
        let before = this.own()?;
        std::thread::sleep(std::time::Duration::from_millis(1));
        let after = this.own()?;
        if after.has_run_since(&before) {
            return Ok(this);
        }
        Err(NetlinkError::malformed("taskstats", "runs are not counted (CONFIG_TASK_DELAY_ACCT?)"))
    }

    fn own(&mut self) -> Result<Figures, NetlinkError> {
        let process = std::process::id();
        self.ask(&[process])?;
        self.listen(1, |_, told| match told {
            Ok(Some(stats)) => Ok(stats.figures()),
            Ok(None) => Err(NetlinkError::malformed("taskstats", "an answer that is not understood")),
            Err(cause) => Err(NetlinkError::refused("taskstats", cause)),
        })?
        .unwrap_or_else(|| Err(NetlinkError::malformed("taskstats", "no answer")))
    }

    /// Asks for processes, and puts what is told of each at its place in `told`.
    ///
    /// # Errors
    /// Where the kernel does not take the question. What it does not answer is [`Told::Nothing`].
    pub(crate) fn of_processes(&mut self, pids: &[u32], told: &mut Vec<Told>) -> Result<(), NetlinkError> {
        told.clear();
        told.resize(pids.len(), Told::Nothing);
        for (pids, told) in pids.chunks(BATCH).zip(told.chunks_mut(BATCH)) {
            self.ask(pids)?;
            self.listen(pids.len(), |index, answer| {
                told[index] = match answer {
                    Ok(Some(stats)) => Told::Figures(stats.figures()),
                    Err(Errno::SRCH) => Told::Gone,
                    Ok(None) | Err(_) => Told::Nothing,
                };
            })?;
        }
        Ok(())
    }

    /// Sends a batch of questions.
    fn ask(&mut self, pids: &[u32]) -> Result<(), NetlinkError> {
        self.requests.clear();
        for pid in pids {
            self.sequence = self.sequence.wrapping_add(1);
            let number = pid.to_ne_bytes();
            push_request(&mut self.requests, self.family.kind, GET, self.sequence, ASK_PROCESS, &number);
        }
        let sent = self.family.socket.send(&self.requests);
        sent.map_err(|cause| NetlinkError::refused("taskstats", cause))
    }

    /// Takes the answers to the last `count` questions, by the place of the question; returns what the last call of `each` did.
    ///
    /// The kernel answers while the question is sent (netlink_rcv_skb in net/netlink/af_netlink.c): what is not in the queue now
    /// was lost.
    fn listen<T>(
        &mut self,
        count: usize,
        mut each: impl FnMut(usize, Answer<'_>) -> T,
    ) -> Result<Option<T>, NetlinkError> {
        let first = self.sequence.wrapping_sub(u32::try_from(count).unwrap_or(u32::MAX)).wrapping_add(1);
        let (mut left, mut result) = (count, None);
        while left > 0 {
            let datagram = match self.family.socket.take(&mut self.buffer) {
                Ok(Some(datagram)) => datagram,
                Ok(None) => break,
                // Answers were lost; those that were not are still there.
                Err(Errno::NOBUFS) => continue,
                Err(cause) => return Err(NetlinkError::refused("taskstats", cause)),
            };
            for message in messages(datagram) {
                let index = message.sequence.wrapping_sub(first) as usize;
                // What is left of an earlier question that was given up.
                if index >= count {
                    continue;
                }
                left = left.saturating_sub(1);
                result = Some(match message.error() {
                    Some(cause) => each(index, Err(cause)),
                    None => each(index, Ok(stats_of(&message).next().map(|about| about.stats))),
                });
            }
        }
        Ok(result)
    }
}

/// Writes the request that has this socket told of every exit on these CPUs, given as a list such as `0-3`. The answers are
/// what [`stats_of`] reads.
pub(crate) fn push_listen(out: &mut Vec<u8>, family: &Family, sequence: u32, cpus: &str) {
    let text = [cpus.as_bytes(), &[0]].concat();
    push_request(out, family.kind, GET, sequence, LISTEN, &text);
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::process::{Command, Stdio};

    /// Tells whether the kernel lets this test ask; where not, the sampler reads everything at every tick, and that is tested.
    fn open() -> Option<Taskstats> {
        match Taskstats::open() {
            Ok(taskstats) => Some(taskstats),
            Err(error) => {
                assert!(!rustix::process::geteuid().is_root(), "root may ask: {error}");
                eprintln!("not run: {error}");
                None
            }
        }
    }

    #[test]
    fn who_sleeps_has_the_same_figures_and_who_runs_has_not() {
        let Some(mut taskstats) = open() else { return };
        let mut sleeping = Command::new("/bin/sleep").arg("1000").spawn().unwrap();
        let mut gone = Command::new("/bin/true").stdin(Stdio::null()).spawn().unwrap();
        gone.wait().unwrap();
        let pids = [sleeping.id(), std::process::id(), gone.id()];
        let mut told = Vec::new();
        let mut look = || {
            taskstats.of_processes(&pids, &mut told).unwrap();
            told.clone()
        };
        let is_asleep =
            || std::fs::read_to_string(format!("/proc/{}/stat", pids[0])).unwrap().contains("(sleep) S");
        while !is_asleep() {
            std::thread::yield_now();
        }
        let before = look();
        std::thread::sleep(std::time::Duration::from_millis(2));
        let after = look();
        assert!(matches!(before[0], Told::Figures(figures) if figures != Figures::default()));
        assert_eq!(before[0], after[0]);
        assert_ne!(before[1], after[1]);
        assert_eq!(after[2], Told::Gone);
        sleeping.kill().unwrap();
        sleeping.wait().unwrap();
    }

    #[test]
    fn more_than_a_batch_is_answered_in_order() {
        let Some(mut taskstats) = open() else { return };
        let own = std::process::id();
        // A number beyond the largest that the kernel gives.
        let pids: Vec<u32> = (0..1000).map(|i| if i % 3 == 0 { own } else { u32::MAX / 4 }).collect();
        let mut told = Vec::new();
        taskstats.of_processes(&pids, &mut told).unwrap();
        for (i, told) in told.iter().enumerate() {
            assert_eq!(matches!(told, Told::Figures(_)), i % 3 == 0, "{told:?}");
            assert_eq!(*told == Told::Gone, i % 3 != 0, "{told:?}");
        }
    }

    #[test]
    fn a_thread_that_ran_and_exited_shows() {
        let Some(mut taskstats) = open() else { return };
        let pids = [std::process::id()];
        let mut told = Vec::new();
        taskstats.of_processes(&pids, &mut told).unwrap();
        let before = told[0];
        std::thread::spawn(|| ()).join().unwrap();
        taskstats.of_processes(&pids, &mut told).unwrap();
        assert_ne!(before, told[0]);
    }

    #[test]
    fn an_exit_is_told_with_what_it_used() {
        // TASKSTATS_CMD_ATTR_PID asks for one task, in the form in which exits are told.
        let Some(mut taskstats) = open() else { return };
        let own = std::process::id();
        taskstats.sequence += 1;
        taskstats.requests.clear();
        let (kind, sequence) = (taskstats.family.kind, taskstats.sequence);
        push_request(&mut taskstats.requests, kind, GET, sequence, 1, &own.to_ne_bytes());
        taskstats.family.socket.send(&taskstats.requests).unwrap();
        let mut buffer = [0; 4096];
        let datagram = taskstats.family.socket.take(&mut buffer).unwrap().unwrap();
        let abouts: Vec<_> = messages(datagram).flat_map(|m| stats_of(&m).collect::<Vec<_>>()).collect();
        let [About { id, of_process: false, stats }] = abouts[..] else { panic!("{abouts:?}") };
        assert_eq!((id, stats.pid()), (own, own));
        let comm = std::fs::read("/proc/self/comm").unwrap();
        assert_eq!(stats.comm(), comm.strip_suffix(b"\n").unwrap());
        assert_eq!(stats.ppid(), std::os::unix::process::parent_id());
        assert_eq!(stats.uid_and_gid().0, rustix::process::getuid().as_raw());
        assert!(stats.process().is_none_or(|process| process == own));
        let now = std::time::SystemTime::UNIX_EPOCH.elapsed().unwrap().as_secs();
        assert!((now - 3600..=now + 1).contains(&stats.began_seconds()), "{}", stats.began_seconds());
        assert!(stats.elapsed_micros() > 0);
    }
}
