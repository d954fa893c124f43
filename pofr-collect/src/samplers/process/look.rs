//! A look at one process: its files in `/proc/PID`, put together to one fact.

use super::{
    answers::{Answers, Asked},
    files::{Behind, Told},
    stat::{self, Stat},
    status,
};
use crate::{HostView, iterators::FileIterator, namespaces, samplers::process::files, sys};
use hashbrown::HashMap;
use pofr_core::{
    fact::{Fact, Files, Namespaces, Process, ProcessDetails, ProcessKey, ProcessMarks},
    identity::{Entity, Pid, StartTicks},
    raw::{RawText, Reading},
};
use rustix::io::Errno;
use std::{
    ffi::CString,
    hash::{BuildHasher as _, RandomState},
    os::fd::{AsFd, BorrowedFd, OwnedFd},
};

/// A process may run another program while it is read; then it is read again, up to so many times.
const TRIES: usize = 3;

/// Threads that have exited and that their tracer has not released stand before the living ones: so many are passed over.
const THREADS: usize = 64;

/// A thread that speaks for its process, whose first one has exited.
#[derive(Debug)]
struct Living {
    tid: Pid,
    dir: OwnedFd,
    stat: Stat,
}

/// Buffers for looking at processes, one after the other.
#[derive(Debug, Default)]
pub(super) struct Look {
    buffers: sys::Buffers,
    listing: sys::ListingBuffer,
    /// Tells what is open; `None` where `/proc` must.
    iterator: Option<FileIterator>,
    /// Draws the prints of what is behind descriptors.
    keys: RandomState,
    /// What may wait for others, which a child reads.
    pub(super) answers: Answers,
    /// Directory and namespaces of kernel threads, as of the last sample and of this one; `None` where they are read whenever they
    /// are asked for. A kernel thread takes them from its creator, or changes them when it starts (kdevtmpfs does), and never
    /// again.
    kernel_threads: Option<[HashMap<Entity, Surroundings>; 2]>,
}

/// Where a process lives.
type Surroundings = (Reading<RawText>, Reading<Namespaces>);

/// Whom to look at, beyond its directory.
pub(super) struct Whom<'a> {
    /// The process that it is a thread of, if it is one with something of its own.
    pub(super) thread_of: Option<Pid>,
    /// Says whose the descriptor table is, once it is known who it is.
    pub(super) table: &'a mut dyn FnMut(&Stat, &mut Answers) -> Table,
}

/// Whose a descriptor table is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Table {
    /// Its own, or one that is told with it.
    Own,
    /// That of another, with which it is told.
    Of(Entity),
    /// That of another: it is not told with this one.
    Elsewhere,
}

/// What a look shows.
#[derive(Debug)]
pub(super) struct Seen {
    /// When the process started.
    pub(super) start: StartTicks,
    /// The process; `None` for one that the record leaves out.
    pub(super) process: Option<Process>,
    /// Its parent.
    pub(super) ppid: Pid,
    /// Whether it is a kernel thread.
    pub(super) kernel_thread: bool,
    /// Whether it has more than one thread: then others may have run while the one that is looked at slept.
    pub(super) threads: bool,
    /// The thread through which it was read: its first one as a rule.
    pub(super) speaker: Pid,
    /// With whom its files are told, 0 for itself; whoever asked knows.
    pub(super) files_of: u32,
    /// What is behind its descriptors, where that was told with them.
    pub(super) behind: Option<Behind>,
    /// Whether it was changing while it was looked at, or may have been: it ran, or was about to, or was on its way out.
    pub(super) moving: bool,
}

impl Look {
    /// Has the kernel's iterator tell what is open, if there is one.
    pub(super) fn by_iterator(iterator: Option<FileIterator>) -> Self {
        Self { iterator, ..Self::default() }
    }

    /// Keeps where kernel threads live from one sample of all processes to the next.
    pub(super) fn keeping() -> Self {
        Self { kernel_threads: Some(Default::default()), ..Self::default() }
    }

    /// Looks at single processes, as soon as it is asked.
    pub(super) fn at_once() -> Self {
        Self { answers: Answers::at_once(), ..Self::default() }
    }

    /// Begins a sample of all processes: forgets the kernel threads that the last one did not see.
    pub(super) fn begin(&mut self) {
        self.answers.begin();
        if let Some(kept) = &mut self.kernel_threads {
            kept.swap(0, 1);
            kept[1].clear();
        }
    }

    /// Reads what the process has open, and takes what the iterator tells besides.
    fn files(
        &mut self,
        dir: BorrowedFd<'_>,
        thread: Pid,
        entity: Entity,
        facts: &mut Vec<Fact>,
        sockets: &mut Vec<u64>,
    ) -> Result<(Files, Option<Told>), Errno> {
        if let Some(iterator) = &mut self.iterator {
            let before = (facts.len(), sockets.len());
            match files::iterate(iterator, thread, entity, facts, sockets, self.keys.build_hasher()) {
                Ok(told) => return Ok((Files::Read, Some(told))),
                Err(error @ (Errno::MFILE | Errno::NFILE | Errno::NOMEM)) => return Err(error),
                Err(error) => {
                    tracing::warn!("the iterator of open files: {}", std::io::Error::from(error));
                    facts.truncate(before.0);
                    sockets.truncate(before.1);
                    self.iterator = None;
                }
            }
        }
        Ok((files::read(&mut self.buffers, &mut self.listing, dir, entity, facts, sockets)?, None))
    }

    /// Reads only what a process's `stat` tells; `proc` is the directory of all.
    pub(super) fn stat_of(&mut self, proc: BorrowedFd<'_>, pid: u32) -> Result<Stat, Errno> {
        let path = CString::new(format!("{pid}/stat")).map_err(|_| Errno::INVAL)?;
        Ok(stat::parse(self.buffers.read(proc, &path)?).ok_or(stat::Malformed)?)
    }

    /// Returns when the process in `dir` started; `None` where its line cannot be understood.
    pub(super) fn start(&mut self, dir: &OwnedFd) -> Result<Option<StartTicks>, Errno> {
        Ok(stat::parse(self.buffers.read(dir.as_fd(), c"stat")?).map(|stat| stat.start))
    }

    /// Reads the process whose directory is `dir`; adds its files to `facts` and its sockets' inodes to `sockets`.
    ///
    /// `stat` is read first and `status` last: where the two disagree the process changed in between, and what was read could
    /// be the name of one program with the arguments of another.
    ///
    /// Where the first thread has exited and others have not, the process lives: then all but its name and its start is read
    /// through one of those.
    pub(super) fn at(
        &mut self,
        view: &HostView,
        dir: &OwnedFd,
        pid: Pid,
        whom: Whom<'_>,
        facts: &mut Vec<Fact>,
        sockets: &mut Vec<u64>,
    ) -> Result<Seen, Errno> {
        let leader_dir = dir.as_fd();
        let before = (facts.len(), sockets.len());
        let mut ahead = self.answers.take(dir, pid);
        for attempt in 1.. {
            let (mut stat, asked) = match ahead.take() {
                Some((stat, asked)) => (stat, asked),
                None => self.answers.stat(view, pid)?,
            };
            if stat.pid != Some(pid.0) {
                // Another's directory is mounted there.
                return Err(Errno::STALE);
            }
            let entity = Entity::Started { boot: view.boot, pid, start: stat.start };
            let other = match whom.thread_of {
                // Such a thread is gone with its exit.
                Some(_) if stat.is_zombie() => return Err(Errno::SRCH),
                None if stat.is_zombie() && stat.threads > 1 => self.living_thread(leader_dir, pid),
                _ => None,
            };
            let (dir, speaker, thread_comm) = match &other {
                Some(living) => {
                    (stat.state, stat.exiting) = (living.stat.state, living.stat.exiting);
                    (living.dir.as_fd(), living.tid, &living.stat.comm)
                }
                None => (leader_dir, pid, &stat.comm),
            };
            if view.leaves_out(pid, stat.start, stat.ppid) {
                if view.own_pid() == Some(pid) {
                    files::own_sockets(&mut self.listing, dir, sockets);
                } else if !self.answers.is_child(pid) {
                    files::sockets(&mut self.buffers, &mut self.listing, dir, sockets);
                }
                let (threads, moving) = (stat.threads > 1, stat::is_running(stat.state));
                let (ppid, kernel_thread) = (stat.ppid, stat.kernel_thread);
                let start = stat.start;
                return Ok(Seen {
                    start,
                    process: None,
                    ppid,
                    kernel_thread,
                    threads,
                    speaker,
                    files_of: 0,
                    behind: None,
                    moving,
                });
            }
            let zombie = stat.is_zombie();
            // A kernel thread has no program, and so none of this to be read; whoever asks is told EACCES or nothing.
            let (asked, mut exe) = if stat.kernel_thread {
                (Asked::nothing(), Reading::Absent)
            } else {
                // One that has exited has no arguments any more.
                let asked = match asked {
                    _ if zombie => Asked::nothing(),
                    Some(asked) if speaker == pid => asked,
                    _ => self.answers.of_process(view, speaker, &stat)?,
                };
                (asked, self.buffers.link(dir, c"exe"))
            };
            let Asked { mut arguments, mut cut, file, mut unreadable } = asked;
            // The kernel asks for the same right before it tells where any of these links leads (ptrace_may_access, ptrace(2)).
            let denied = exe == Reading::Denied;
            let table = (whom.table)(&stat, &mut self.answers);
            let (files, told) = match () {
                () if stat.kernel_thread => (Files::Read, None),
                () if denied => (Files::Denied, None),
                () if table == Table::Elsewhere => (Files::Unknown, None),
                () if table != Table::Own => (Files::Read, None),
                () => self.files(dir, speaker, entity, facts, sockets)?,
            };
            let names = self.answers.names(view, speaker, &exe, &mut facts[before.0..])?;
            unreadable |= names.unreadable || self.answers.is_unreadable(pid);
            let behind = told.map(|told| told.behind);
            let (mut cwd, mut namespaces) = match told.and_then(|told| told.namespaces) {
                Some(namespaces) => (self.buffers.link(dir, c"cwd"), Reading::Known(namespaces)),
                None if stat.kernel_thread => self.kept(dir, entity),
                None if denied => (Reading::Denied, Reading::Denied),
                None => self.surroundings(dir),
            };
            let cgroup = sys::reading(self.buffers.read(dir, c"cgroup").map(|text| trimmed(text).into()));
            let login_uid = self.login_uid(dir);
            let status = status::parse(self.buffers.read(dir, c"status")?).ok_or(stat::Malformed)?;
            let mut is_changing = arguments.is_none() && !unreadable;
            // Whoever points its arguments at what cannot be read does not exchange its program.
            let is_pointless = is_changing && attempt >= TRIES && stat.arguments > 0 && !stat.exiting;
            (unreadable, is_changing) = (unreadable || is_pointless, is_changing && !is_pointless);
            if attempt < TRIES && (!status.still(&stat, thread_comm) || is_changing) {
                facts.truncate(before.0);
                sockets.truncate(before.1);
                continue;
            }
            let moving = stat::is_running(stat.state)
                || status.is_running()
                || (stat.exiting && !zombie)
                || is_changing;
            if stat.exiting && !zombie {
                // It has let go of its program, and is letting go of the rest: what is missing was there.
                (arguments, cut) = (None, None);
                exe = known_or_unknown(exe);
                cwd = known_or_unknown(cwd);
                namespaces = Reading::Unknown;
            }
            // The exit code is told to whom the program may be shown, to others as 0 (do_task_stat in fs/proc/array.c).
            let exit_code = (zombie && exe != Reading::Denied).then_some(stat.exit_code);
            let started = Some(view.clock.started(stat.start, view.ticks_per_second));
            let ppid = status.ppid();
            let exe_sha256 =
                if view.live && !zombie { view.programs.digest(file, entity, &exe) } else { None };
            let files_of = match table {
                Table::Of(holder) if !zombie => Some(holder),
                _ => None,
            };
            let process = Process {
                key: ProcessKey {
                    entity,
                    ppid,
                    ids: status.ids,
                    comm: stat.comm,
                    arguments,
                    exe,
                    cwd,
                    session: stat.session,
                    tty: stat.tty,
                    login_uid,
                    cgroup,
                    namespaces,
                    zombie,
                    files,
                    marks: ProcessMarks {
                        unreadable,
                        arguments_cut: cut,
                        exe_named_deleted: names.exe,
                        thread_of: whom.thread_of,
                        files_of,
                    },
                },
                details: ProcessDetails { started, exit_code, exe_sha256, ..ProcessDetails::default() },
            };
            return Ok(Seen {
                start: stat.start,
                process: Some(process),
                ppid,
                kernel_thread: stat.kernel_thread,
                threads: stat.threads > 1,
                speaker,
                files_of: 0,
                behind,
                moving,
            });
        }
        unreachable!("the last attempt returns")
    }

    /// Finds a thread of a process that has not exited, though the first one has.
    fn living_thread(&mut self, dir: BorrowedFd<'_>, leader: Pid) -> Option<Living> {
        let tasks = sys::open_listing(dir, c"task").ok()?;
        let (buffers, mut tries, mut found) = (&mut self.buffers, 0, None);
        let listed = self.listing.numbers(&tasks, |name, tid| {
            if tid == leader.0 {
                return Ok(());
            }
            tries += 1;
            let read = sys::open_place(tasks.as_fd(), name).and_then(|dir| {
                let stat = stat::parse(buffers.read(dir.as_fd(), c"stat")?).ok_or(stat::Malformed)?;
                Ok((dir, stat))
            });
            match read {
                Ok((dir, stat)) if !stat.is_zombie() => {
                    found = Some(Living { tid: Pid(tid), dir, stat });
                    Err(Errno::CANCELED)
                }
                _ if tries < THREADS => Ok(()),
                _ => Err(Errno::CANCELED),
            }
        });
        listed.err().filter(|error| *error != Errno::CANCELED).map_or(found, |_| None)
    }

    /// Reads the audit login uid (`/proc/PID/loginuid`); a kernel without audit has none.
    fn login_uid(&mut self, dir: BorrowedFd<'_>) -> Option<u32> {
        let text = self.buffers.read(dir, c"loginuid").ok()?;
        sys::parse(trimmed(text)).filter(|uid| *uid != u32::MAX)
    }

    /// Returns the directory and the namespaces of a kernel thread, which are read once if they are kept.
    fn kept(&mut self, dir: BorrowedFd<'_>, entity: Entity) -> Surroundings {
        let known = self.kernel_threads.as_mut().and_then(|[before, _]| before.remove(&entity));
        let known = known.unwrap_or_else(|| self.surroundings(dir));
        if let Some([_, now]) = &mut self.kernel_threads {
            now.insert(entity, known.clone());
        }
        known
    }

    /// Reads directory and namespaces.
    fn surroundings(&mut self, dir: BorrowedFd<'_>) -> Surroundings {
        (self.buffers.link(dir, c"cwd"), namespaces::read(&mut self.buffers, dir))
    }
}

/// Takes the newline off the end.
fn trimmed(text: &[u8]) -> &[u8] {
    text.strip_suffix(b"\n").unwrap_or(text)
}

/// Makes of "not there" that it is not known.
fn known_or_unknown(reading: Reading<RawText>) -> Reading<RawText> {
    if reading == Reading::Absent { Reading::Unknown } else { reading }
}
