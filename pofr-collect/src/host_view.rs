//! The host as the samplers see it: roots, units, identity and clocks, so that a captured tree can be read on any machine.

use crate::{
    clock::{KernelClock, RunClock},
    effort::Effort,
    family::{Families, ProgramFile},
    peers::Peers,
    programs::Programs,
    samplers::process_start,
    sys,
    zone::Zone,
};
use pofr_core::{
    identity::{BootId, Pid, StartTicks},
    raw::RawText,
    time::{WallMicros, ZoneOffset},
};
use rustix::{
    fs::{CWD, Mode, OFlags},
    io::Errno,
};
use std::{
    collections::BTreeSet,
    os::fd::{AsRawFd as _, OwnedFd},
    path::{Path, PathBuf},
    sync::{Arc, Mutex, PoisonError, RwLock},
};

/// What keeps a host from being looked at.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum HostViewError {
    /// The boot id is not to be had.
    #[error("cannot read {path}: {cause}")]
    Read {
        /// The file.
        path: PathBuf,
        /// Why not.
        cause: std::io::Error,
    },
    /// The boot id makes no sense.
    #[error("{path} does not hold a boot id: {found:?}")]
    BootId {
        /// The file.
        path: PathBuf,
        /// What it holds.
        found: String,
    },
}

/// So many threads may wait to be looked at; the others are found in their turn.
const SUSPECTS: usize = 256;

/// A host to look at. Clones are views of the same host and share its run clock.
#[derive(Clone, Debug)]
pub struct HostView {
    /// Where proc(5) is mounted.
    pub proc_root: PathBuf,
    /// Where sysfs(5) is mounted.
    pub sys_root: PathBuf,
    /// Where os-release(5), passwd(5), group(5), machine-id(5) and localtime(5) are.
    pub etc_root: PathBuf,
    /// Where utmp(5) and what systemd-logind keeps of sessions are.
    pub run_root: PathBuf,
    /// Bytes of a memory page.
    pub page_size: u64,
    /// The unit of start times: ticks in a second, `sysconf(_SC_CLK_TCK)`.
    pub ticks_per_second: u64,
    /// The boot.
    pub boot: BootId,
    /// The machine's architecture (uname(2)).
    pub architecture: RawText,
    /// Whether this is the machine that runs the program, so that its kernel can be asked by netlink.
    pub live: bool,
    /// The run's clock.
    pub clock: RunClock,
    zone: Zone,
    own_pid: Option<Pid>,
    /// The root of a proc filesystem of our own, and why there is none where one was asked for.
    own_proc: Option<Arc<OwnedFd>>,
    no_own_proc: Option<String>,
    excluded: Arc<RwLock<BTreeSet<(Pid, StartTicks)>>>,
    /// Those that are left out with their children.
    families: Arc<Families>,
    /// Cookies of sockets that are left out, as of the last reading and the one before.
    excluded_sockets: Arc<RwLock<[BTreeSet<u64>; 2]>>,
    /// Threads that an event told to have ids of their own, with their processes.
    suspects: Arc<Mutex<Vec<(u32, u32)>>>,
    /// What is known of the programs that run.
    pub(crate) programs: Programs,
    /// What the recorder may use of the machine.
    pub(crate) effort: Effort,
    /// The network namespaces besides ours whose sockets' ends are heard of.
    pub(crate) peers: Peers,
}

impl HostView {
    /// Looks at the machine that runs this program.
    ///
    /// # Errors
    /// Where `/proc` is not mounted or has no boot id.
    pub fn live() -> Result<Self, HostViewError> {
        let architecture = rustix::system::uname().machine().to_bytes().into();
        let zone = Zone::of_system(Path::new("/etc"));
        Self::new(Path::new("/"), architecture, zone, true)
    }

    /// Has `/proc` read in a mount of our own, which nobody can hide anything in (`own_proc`); where there can be
    /// none, the given one is read, and a note says so. Must be called before privileges go.
    #[must_use]
    pub fn with_own_proc(mut self) -> Self {
        match self.mount_proc() {
            Ok(root) => {
                self.proc_root = PathBuf::from(format!("/proc/self/fd/{}", root.as_raw_fd()));
                self.own_proc = Some(Arc::new(root));
            }
            Err(why) => {
                tracing::info!("the system's /proc is read: {why}");
                self.no_own_proc = Some(why);
            }
        }
        self
    }

    fn mount_proc(&self) -> Result<OwnedFd, String> {
        // One that is made shows our pid namespace; the given one may be of another.
        let status = std::fs::read_to_string(self.proc_root.join("self/status")).unwrap_or_default();
        let numbers = status.lines().find_map(|line| line.strip_prefix("NSpid:")).unwrap_or_default();
        if !self.live || !numbers.split_whitespace().eq([std::process::id().to_string()]) {
            return Err(format!("{} is that of another pid namespace", self.proc_root.display()));
        }
        crate::own_proc::mount().map_err(|error| std::io::Error::from(error).to_string())
    }

    /// Returns why `/proc` is not read in a mount of our own, where that was asked for.
    pub(crate) fn no_own_proc(&self) -> Option<&str> {
        self.no_own_proc.as_deref()
    }

    /// Opens `/proc`.
    pub(crate) fn open_proc(&self, flags: OFlags) -> Result<OwnedFd, Errno> {
        let flags = flags | OFlags::DIRECTORY | OFlags::CLOEXEC;
        match &self.own_proc {
            Some(root) => rustix::fs::openat(root, ".", flags, Mode::empty()),
            None => rustix::fs::openat(CWD, &self.proc_root, flags, Mode::empty()),
        }
    }

    /// Looks at a tree that has the `proc`, `sys`, `etc` and `run` of some machine below it, in the units of this machine.
    ///
    /// # Errors
    /// Where the tree has no `proc/sys/kernel/random/boot_id`.
    pub fn of_tree(root: &Path) -> Result<Self, HostViewError> {
        let zone = Zone::of_file(&root.join("etc"));
        Self::new(root, RawText::default(), zone, false)
    }

    fn new(root: &Path, architecture: RawText, zone: Zone, live: bool) -> Result<Self, HostViewError> {
        let proc_root = root.join("proc");
        let path = proc_root.join("sys/kernel/random/boot_id");
        let boot = match std::fs::read_to_string(&path) {
            Ok(text) => BootId::from_kernel(&text).ok_or(HostViewError::BootId { path, found: text })?,
            Err(cause) => return Err(HostViewError::Read { path, cause }),
        };
        let own_pid = std::fs::read_link(proc_root.join("self")).ok().filter(|_| live);
        let own_pid = own_pid.and_then(|link| sys::parse(link.as_os_str().as_encoded_bytes()).map(Pid));
        Ok(Self {
            own_pid,
            own_proc: None,
            no_own_proc: None,
            proc_root,
            sys_root: root.join("sys"),
            etc_root: root.join("etc"),
            run_root: root.join("run"),
            page_size: rustix::param::page_size() as u64,
            ticks_per_second: rustix::param::clock_ticks_per_second(),
            boot,
            architecture,
            live,
            clock: RunClock::new(Arc::new(KernelClock)),
            zone,
            excluded: Arc::default(),
            families: Arc::default(),
            excluded_sockets: Arc::default(),
            suspects: Arc::default(),
            programs: Programs::default(),
            effort: Effort::default(),
            peers: Peers::default(),
        })
    }

    /// Returns the offset at `time` of the zone that the machine had at the last look.
    #[must_use]
    pub fn zone_offset(&self, time: WallMicros) -> ZoneOffset {
        self.zone.offset(time)
    }

    /// Looks whether the machine's zone is another now.
    pub fn look_at_zone(&self) {
        self.zone.look_again();
    }

    /// Leaves the process out of the record, by its id and start time: a later process with its id is recorded.
    pub fn exclude(&self, pid: Pid, start: StartTicks) {
        self.excluded.write().unwrap_or_else(PoisonError::into_inner).insert((pid, start));
    }

    /// Leaves the process out of the record, and those of its descendants that run one of these programs, as long as they do; tells
    /// whether it runs one itself, without which nothing is left out.
    pub fn exclude_family(&self, pid: Pid, start: StartTicks, programs: &[ProgramFile]) -> bool {
        self.families.begin(self, pid, start, programs)
    }

    /// Tells whether the process is left out, by itself or as one of a family.
    pub(crate) fn leaves_out(&self, pid: Pid, start: StartTicks, parent: Pid) -> bool {
        self.is_excluded_alone(pid, start) || self.families.leave_out(self, pid, start, parent)
    }

    /// Tells whether the process that has the number now, or had it, is left out together with its children.
    pub(crate) fn is_of_a_family(&self, pid: Pid) -> bool {
        self.families.has(pid)
    }

    /// Tells whether a child of a family that has just run a program is still left out.
    pub(crate) fn still_of_a_family(&self, pid: Pid) -> bool {
        self.families.runs_a_program(self, pid)
    }

    /// Forgets the processes that were left out and are gone, so that others may have their numbers.
    pub fn release_gone(&self) {
        let all = self.all_excluded();
        let is_gone = |(pid, start): &(Pid, StartTicks)| process_start(self, *pid) != Some(*start);
        let gone: BTreeSet<_> = all.into_iter().filter(is_gone).collect();
        self.excluded.write().unwrap_or_else(PoisonError::into_inner).retain(|one| !gone.contains(one));
        self.families.retain(|pid, start| !gone.contains(&(pid, start)));
    }

    /// Returns the number of this very process in `/proc`, which may be that of another pid namespace than ours; `None` where it is
    /// not shown there, or this is not the machine that runs it.
    pub(crate) const fn own_pid(&self) -> Option<Pid> {
        self.own_pid
    }

    /// Leaves this very process out of the record; nothing where this is not the machine that runs it.
    pub fn exclude_self(&self) {
        if let Some(pid) = self.own_pid()
            && let Some(start) = process_start(self, pid)
        {
            self.exclude(pid, start);
        }
    }

    fn is_excluded_alone(&self, pid: Pid, start: StartTicks) -> bool {
        self.excluded.read().unwrap_or_else(PoisonError::into_inner).contains(&(pid, start))
    }

    fn all_excluded(&self) -> BTreeSet<(Pid, StartTicks)> {
        let mut all = self.excluded.read().unwrap_or_else(PoisonError::into_inner).clone();
        all.extend(self.families.members());
        all
    }

    /// Tells whether the process was left out when it was last looked at.
    #[must_use]
    pub fn is_excluded(&self, pid: Pid, start: StartTicks) -> bool {
        self.is_excluded_alone(pid, start) || self.families.has_exactly(pid, start)
    }

    /// Tells whether the process that has the number now, or had it, is left out.
    #[must_use]
    pub fn excludes(&self, pid: Pid) -> bool {
        let excluded = self.excluded.read().unwrap_or_else(PoisonError::into_inner);
        excluded.range((pid, StartTicks(0))..).next().is_some_and(|(excluded, _)| *excluded == pid)
            || self.families.has(pid)
    }

    /// Forgets a process that was left out and is gone.
    pub fn release(&self, pid: Pid) {
        let others = |(excluded, _): &(Pid, StartTicks)| *excluded != pid;
        self.excluded.write().unwrap_or_else(PoisonError::into_inner).retain(others);
        self.families.retain(|member, _| member != pid);
    }

    /// Returns the processes that are left out.
    #[must_use]
    pub fn excluded(&self) -> Vec<Pid> {
        self.all_excluded().into_iter().map(|(pid, _)| pid).collect()
    }

    /// Has the process sampler look at a thread that may have something of its own.
    pub(crate) fn suspect(&self, process: u32, thread: u32) {
        let mut suspects = self.suspects.lock().unwrap_or_else(PoisonError::into_inner);
        if suspects.len() < SUSPECTS && !suspects.contains(&(process, thread)) {
            suspects.push((process, thread));
        }
    }

    /// Takes the threads to look at.
    pub(crate) fn take_suspects(&self) -> Vec<(u32, u32)> {
        std::mem::take(&mut *self.suspects.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// Says which sockets, by their cookies, only processes hold that are left out. What the reading before the last one said is
    /// forgotten: until then, their ends may still be announced.
    pub fn exclude_sockets(&self, cookies: BTreeSet<u64>) {
        let mut excluded = self.excluded_sockets.write().unwrap_or_else(PoisonError::into_inner);
        excluded.swap(0, 1);
        excluded[0] = cookies;
    }

    /// Tells whether the socket is left out.
    #[must_use]
    pub fn is_socket_excluded(&self, cookie: u64) -> bool {
        let excluded = self.excluded_sockets.read().unwrap_or_else(PoisonError::into_inner);
        excluded.iter().any(|cookies| cookies.contains(&cookie))
    }
}
