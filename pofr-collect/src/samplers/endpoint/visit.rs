//! Visits to other network namespaces: what each is, whose it is, and what sockets it has.
//!
//! Where we have CAP_SYS_ADMIN, a thread that is made for that enters the namespace (setns(2)), asks sock_diag there, and ends: so
//! nothing of ours keeps a namespace alive. Where we have not, `/proc` tells the sockets of a namespace through a thread in it, and
//! one without any cannot be read.
//!
//! The name of a namespace may lie where a lookup waits for somebody (a filesystem in user space): the thread that opens it is left
//! behind then, and while some are, no more names are tried.

use super::{
    FAMILIES, Family, Socket,
    diag::{Diag, DiagError, States},
};
use crate::{clock, netlink::NetlinkError, peers, sys};
use pofr_core::{collector::CollectError, identity::Pid};
use rustix::{
    fs::{Mode, OFlags},
    io::Errno,
    process::{PidfdFlags, PidfdGetfdFlags, pidfd_getfd, pidfd_open},
};
use std::{
    os::fd::{AsFd, OwnedFd},
    path::{Path, PathBuf},
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
        mpsc,
    },
    thread,
    time::Duration,
};

/// What a lookup may take.
const LOOKUP: Duration = Duration::from_millis(500);
/// So many threads may be left behind.
const MOST_LEFT: usize = 2;

/// A way to a namespace.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Way {
    /// A process or a thread that lives in it.
    Task(Pid),
    /// A file that is bound to it.
    Name(PathBuf),
    /// A socket of it: a process and its descriptor.
    Socket(Pid, u32),
}

/// Why a namespace could not be visited.
#[derive(Debug, thiserror::Error)]
pub(super) enum VisitError {
    #[error("{0}")]
    Open(Errno),
    #[error("another namespace is there now")]
    Another,
    #[error("opening it took too long")]
    Slow,
    #[error("no thread lives there, and entering it takes CAP_SYS_ADMIN")]
    Empty,
    #[error("it cannot be entered: {0}")]
    Enter(Errno),
    #[error("sock_diag is refused there: {0}")]
    Refused(std::io::Error),
    #[error("{0}")]
    Read(CollectError),
}

/// What a visit tells.
#[derive(Debug)]
pub(super) struct Visit {
    /// The uid that owns it, where that can be told.
    pub(super) owner: Option<u32>,
    /// The number that our own namespace has for it, where that was asked for.
    pub(super) number: Option<Result<i32, NetlinkError>>,
    /// Its sockets, where they were asked for.
    pub(super) sockets: Option<Result<Vec<Socket>, VisitError>>,
    /// The CPU time that it took, µs.
    pub(super) micros: i64,
}

/// What is asked for.
#[derive(Clone, Copy, Debug)]
pub(super) struct Wanted {
    /// Its number, so that we hear of it.
    pub(super) number: bool,
    /// Its sockets, for which it has to be entered.
    pub(super) sockets: bool,
}

/// Makes visits.
#[derive(Debug, Default)]
pub(super) struct Visitor {
    /// How many threads are under way.
    away: Arc<AtomicUsize>,
    /// Whether the kernel has let nobody enter.
    shut: bool,
}

impl Visitor {
    /// Tells whether namespaces can be entered.
    pub(super) fn may_enter(&self) -> bool {
        !self.shut && sys::may_enter_namespaces()
    }

    /// Visits the namespace `inode` by a way.
    pub(super) fn visit(
        &mut self,
        proc_root: &Path,
        way: &Way,
        inode: u32,
        wanted: Wanted,
    ) -> Result<Visit, VisitError> {
        if matches!(way, Way::Name(_)) && self.away.load(Ordering::Relaxed) >= MOST_LEFT {
            return Err(VisitError::Slow);
        }
        let (opened, is_open) = mpsc::channel();
        let (told, answer) = mpsc::channel();
        let (proc_root, way, away) = (proc_root.to_owned(), way.clone(), self.away.clone());
        away.fetch_add(1, Ordering::Relaxed);
        let work = move || {
            let namespace = open(&proc_root, &way, inode);
            let result = namespace.map(|namespace| {
                let _ = opened.send(());
                look(&namespace, inode, wanted)
            });
            away.fetch_sub(1, Ordering::Relaxed);
            // Nobody may be waiting any more.
            let _ = told.send(result);
        };
        let made = thread::Builder::new().name("pofr-netns".to_owned()).spawn(work);
        if let Err(error) = made {
            self.away.fetch_sub(1, Ordering::Relaxed);
            return Err(VisitError::Open(Errno::from_io_error(&error).unwrap_or(Errno::AGAIN)));
        }
        match is_open.recv_timeout(LOOKUP) {
            Err(mpsc::RecvTimeoutError::Timeout) => return Err(VisitError::Slow),
            // It is open, or could not be opened: the answer comes without waiting for anybody.
            Ok(()) | Err(mpsc::RecvTimeoutError::Disconnected) => {}
        }
        let visit = answer.recv().unwrap_or(Err(VisitError::Open(Errno::IO)))?;
        self.shut |= matches!(visit.sockets, Some(Err(VisitError::Enter(Errno::PERM))));
        Ok(visit)
    }
}

/// Opens a namespace.
fn open(proc_root: &Path, way: &Way, inode: u32) -> Result<OwnedFd, VisitError> {
    let namespace = match way {
        Way::Task(task) => open_file(&proc_root.join(format!("{}/ns/net", task.0))),
        Way::Name(path) => open_file(path),
        Way::Socket(pid, fd) => of_descriptor(*pid, *fd),
    };
    let namespace = namespace.map_err(VisitError::Open)?;
    let found = rustix::fs::fstat(&namespace).map_err(VisitError::Open)?;
    if found.st_ino == u64::from(inode) { Ok(namespace) } else { Err(VisitError::Another) }
}

fn open_file(path: &Path) -> Result<OwnedFd, Errno> {
    let flags = OFlags::RDONLY | OFlags::CLOEXEC | OFlags::NONBLOCK | OFlags::NOCTTY;
    rustix::fs::open(path, flags, Mode::empty())
}

/// Opens the namespace of the socket that a descriptor of a process is. For a moment, the socket is ours, too.
pub(super) fn of_descriptor(pid: Pid, fd: u32) -> Result<OwnedFd, Errno> {
    let pid = i32::try_from(pid.0).ok().and_then(rustix::process::Pid::from_raw).ok_or(Errno::SRCH)?;
    // The holder may be a thread with files of its own: PIDFD_THREAD, since Linux 6.9.
    let thread = PidfdFlags::from_bits_retain(libc::O_EXCL.cast_unsigned());
    let process = pidfd_open(pid, thread).or_else(|_| pidfd_open(pid, PidfdFlags::empty()))?;
    let socket = pidfd_getfd(process, fd.cast_signed(), PidfdGetfdFlags::empty())?;
    sys::nsfs::of_socket(socket)
}

/// Looks at a namespace; the calling thread ends up in it where it has to be read.
fn look(namespace: impl AsFd, inode: u32, wanted: Wanted) -> Visit {
    let owner = sys::nsfs::owner(&namespace).ok();
    let number = wanted.number.then(|| peers::number(&namespace, inode));
    let sockets = wanted.sockets.then(|| {
        sys::nsfs::enter(&namespace).map_err(VisitError::Enter)?;
        list()
    });
    Visit { owner, number, sockets, micros: clock::thread_micros() }
}

/// Lists the sockets of the namespace in which the calling thread is.
fn list() -> Result<Vec<Socket>, VisitError> {
    let mut sockets = Vec::new();
    let answer = Diag::open().and_then(|mut diag| {
        FAMILIES.iter().try_for_each(|family: &Family| diag.dump(*family, States::All, &mut sockets))
    });
    answer.map(|()| sockets).map_err(|error| match error {
        DiagError::Failed(error) => VisitError::Read(error),
        DiagError::Refused(cause) => VisitError::Refused(cause),
    })
}
