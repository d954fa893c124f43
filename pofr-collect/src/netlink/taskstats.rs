//! Taskstats: what the kernel counts for a process or a task, asked for or told at its exit
//! (Documentation/accounting/taskstats.rst, include/uapi/linux/taskstats.h).
//!
//! The structure grows at its end from version to version, so a field stands where it always stood. Version 15 (Linux 6.14) broke
//! that rule and 16 mended it: 15 is refused.

use super::{
    Message, NetlinkError, attribute, generic,
    generic::{Family, push_request},
    messages, u16_at, u32_at, u64_at,
};
use rustix::io::Errno;

/// The name of the family.
pub(crate) const NAME: &str = "TASKSTATS";
/// `TASKSTATS_CMD_GET`.
const GET: u8 = 1;
/// `TASKSTATS_CMD_ATTR_TGID`.
const ASK_PROCESS: u16 = 2;
/// `TASKSTATS_CMD_ATTR_REGISTER_CPUMASK`.
const LISTEN: u16 = 3;
/// `TASKSTATS_TYPE_PID` and `TASKSTATS_TYPE_TGID`, whose numbers those of the two wholes follow.
const ID: [u16; 2] = [1, 2];
/// `TASKSTATS_TYPE_STATS`.
const STATS: u16 = 3;
/// `TASKSTATS_TYPE_AGGR_PID`.
const OF_TASK: u16 = 4;
/// `TASKSTATS_TYPE_AGGR_TGID`.
const OF_PROCESS: u16 = 5;
/// The version whose fields stand elsewhere.
const MISLAID: u16 = 15;
/// Bytes up to and with the last field that is read here from every version.
const LEAST: usize = 288;

/// Requests that are sent at once: their answers fit the queue that netlink gives anyone (net.core.rmem_default).
const BATCH: usize = 128;
/// Bytes of the queue that is asked for, so that not even larger structures to come would overflow it.
const QUEUE: usize = 1 << 20;

/// What tells whether a process has run: all that the kernel counts when one of its tasks gets or leaves a CPU.
///
/// Equal numbers at two moments mean that no task of the process *began* to run in between; one that was on a CPU at the first
/// moment may have gone on for less than a tick of the kernel's.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Figures {
    /// How often a task got a CPU, and for how long, ns (`cpu_count`, `cpu_run_virtual_total`).
    runs: (u64, u64),
    /// CPU time as the tick counts it, ns (`cpu_run_real_total`).
    real: u64,
    /// Switches to other tasks, of its own will and not.
    switches: (u64, u64),
}

impl Figures {
    /// Tells whether nothing is counted: so it is for a process that has not run yet, and for one whose tasks have all exited if
    /// it never had more than one.
    pub(crate) fn is_zero(&self) -> bool {
        *self == Self::default()
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
        if after.runs.0 > before.runs.0 && after.runs.1 > before.runs.1 {
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

/// Statistics, and whose they are.
#[derive(Clone, Copy, Debug)]
pub(crate) struct About<'a> {
    /// The task, or the process.
    pub(crate) id: u32,
    /// Whether they are those of a whole process (what its exited tasks left behind, and what the living have).
    pub(crate) of_process: bool,
    /// What is told.
    pub(crate) stats: Stats<'a>,
}

/// Returns the statistics in a message: those of an exit are of a task and, where that was the last of several in its process, of
/// the process too.
pub(crate) fn stats_of<'a>(message: &Message<'a>) -> impl Iterator<Item = About<'a>> {
    let wholes = super::attributes(message.payload.get(generic::HEADER..).unwrap_or_default());
    wholes.filter_map(|(kind, content)| {
        let of_process = match kind {
            OF_TASK => false,
            OF_PROCESS => true,
            _ => return None,
        };
        let id = u32_at(attribute(content, ID[usize::from(of_process)])?, 0)?;
        Some(About { id, of_process, stats: Stats::new(attribute(content, STATS)?)? })
    })
}

/// `struct taskstats`, of a version that can be read.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Stats<'a>(&'a [u8]);

impl<'a> Stats<'a> {
    fn new(bytes: &'a [u8]) -> Option<Self> {
        (u16_at(bytes, 0)? != MISLAID && bytes.len() >= LEAST).then_some(Self(bytes))
    }

    /// Reads a field that every version has.
    fn u32(&self, offset: usize) -> u32 {
        u32_at(self.0, offset).unwrap_or(0)
    }

    /// Reads a field that every version has.
    fn u64(&self, offset: usize) -> u64 {
        u64_at(self.0, offset).unwrap_or(0)
    }

    fn figures(&self) -> Figures {
        Figures {
            runs: (self.u64(16), self.u64(72)),
            real: self.u64(64),
            switches: (self.u64(272), self.u64(280)),
        }
    }
}

/// What is told of a task at its exit. Of a process, only CPU time and switches are told.
impl<'a> Stats<'a> {
    /// Returns what kind of an exit it was (`ac_flag`): the bits of include/uapi/linux/acct.h.
    pub(crate) fn flags(&self) -> u8 {
        self.0.get(8).copied().unwrap_or(0)
    }

    /// Returns the name.
    pub(crate) fn comm(&self) -> &'a [u8] {
        let name = self.0.get(80..112).unwrap_or_default();
        name.split(|byte| *byte == 0).next().unwrap_or_default()
    }

    /// Returns the real user and group.
    pub(crate) fn uid_and_gid(&self) -> (u32, u32) {
        (self.u32(120), self.u32(124))
    }

    /// Returns the task's own number.
    #[cfg(test)]
    pub(crate) fn pid(&self) -> u32 {
        self.u32(128)
    }

    /// Returns the parent process.
    pub(crate) fn ppid(&self) -> u32 {
        self.u32(132)
    }

    /// Returns when it began: seconds since 1970 by the wall clock now, to the second.
    #[cfg(test)]
    pub(crate) fn began_seconds(&self) -> u64 {
        // The field of 64 bits came with version 10.
        if self.version() >= 10 { self.u64(344) } else { self.u32(136).into() }
    }

    /// Returns how long it has been there, µs.
    pub(crate) fn elapsed_micros(&self) -> u64 {
        self.u64(144)
    }

    /// Returns the CPU time in user and in kernel mode, µs.
    pub(crate) fn cpu_micros(&self) -> (u64, u64) {
        (self.u64(152), self.u64(160))
    }

    /// Returns the CPU time of all tasks that a process ever had, where these are of a process, ns.
    pub(crate) fn cpu_real_nanos(&self) -> u64 {
        self.u64(64)
    }

    /// Returns the bytes read from and written to storage.
    pub(crate) fn storage_bytes(&self) -> (u64, u64) {
        (self.u64(248), self.u64(256))
    }

    /// Returns the process that the task belongs to, told from version 12 on.
    pub(crate) fn process(&self) -> Option<u32> {
        (self.version() >= 12).then(|| u32_at(self.0, 368))?
    }

    fn version(&self) -> u16 {
        u16_at(self.0, 0).unwrap_or(0)
    }
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

    #[test]
    fn a_version_that_mislays_its_fields_is_refused() {
        let mut bytes = vec![0; 416];
        for (version, good) in [(8_u16, true), (14, true), (15, false), (16, true)] {
            bytes[..2].copy_from_slice(&version.to_ne_bytes());
            assert_eq!(Stats::new(&bytes).is_some(), good);
        }
        assert!(Stats::new(&bytes[..LEAST - 1]).is_none() && Stats::new(&[]).is_none());
    }
}
