//! Incremental sampling: what cannot have changed is not read again, what may have is.
//!
//! A process changes what is recorded of it only by running, and the kernel counts when one of its tasks gets or leaves a CPU
//! ([`ran`](crate::ran)). So a process is read again where
//!
//! - its figures changed, or another process has its number;
//! - it ran when it was last read, or may have: it was in state R, on its way out, or has several threads and ran lately;
//! - it shares a descriptor table, directory or memory with one that is read again ([`sharing`](super::sharing));
//! - its parent ended, which gives it another, or the leader of its session did, which takes its terminal;
//! - it was not read for a while: the [`audit`](super::audit), for what others do to it.
//!
//! Of a kernel thread that ran `stat` is read first, and the rest only where that is not as before.
//!
//! Nothing is kept open for a process: a descriptor would spare a microsecond of the sixty that reading one takes, and make our
//! own table longer, which is read at every tick.

use super::{
    answers::Answers,
    births::Births,
    known::{Due, Known},
    look::{Look, Seen, Whom},
    prints::Printer,
    quota::Quota,
    scan::{open_proc, pass_over},
    sharing::{self, Compare, Groups, place},
    stat::{self, Stat},
    table,
    tables::{self, Tables},
    threads::{Comparer, Walk},
};
use crate::{HostView, figures::Told, iterators::Iterators, ran::Ran, samplers::holders::Holders, sys};
use hashbrown::{HashMap, HashSet};
use pofr_core::{
    collector::{Extent, Observation, Reread},
    fact::{Fact, Subject},
    gap::{Gap, Severity},
    identity::Pid,
    source::Source,
    time::WallMicros,
};
use rustix::{
    fs::{PROC_SUPER_MAGIC, fstatfs},
    io::Errno,
};
use std::os::fd::{AsFd as _, BorrowedFd, OwnedFd};

/// Samples incrementally.
#[derive(Debug)]
pub(super) struct Incremental {
    /// `/proc`; `None` where it is to be opened.
    proc: Option<OwnedFd>,
    pub(super) ran: Ran,
    pub(super) look: Look,
    pub(super) printer: Printer,
    pub(super) listing: sys::ListingBuffer,
    pub(super) births: Births,
    groups: Groups,
    tables: Tables,
    quota: Quota,
    /// Processes over whose directories something is mounted, and whether that has been said.
    covered: HashMap<u32, bool>,
    /// All processes, and threads that have something of their own, by their numbers.
    pub(super) table: Vec<Known>,
    pub(super) comparer: Comparer,
    /// The process whose threads were looked at last.
    pub(super) walked: u32,
    /// Since when threads that have something of their own are read by turns, and the last one that was.
    pub(super) rationed: Option<WallMicros>,
    pub(super) last_read: u32,
    /// When the last tick was, on `CLOCK_BOOTTIME`, µs; `None` where the next reading is a whole one.
    pub(super) last: Option<i64>,
    pub(super) grace: i64,
    /// Why it cannot go on in this way.
    pub(super) broken: Option<String>,
    /// Processes that were left out at the last tick.
    excluded: Vec<Pid>,
    stirred: Stirred,
    // What is used in a tick, kept for its room.
    pub(super) spare: Vec<Known>,
    pub(super) listed: Vec<(u32, u64)>,
    pub(super) pids: Vec<u32>,
    pub(super) told: Vec<Told>,
    sockets: Vec<u64>,
}

/// What concerns other processes of what was found in this tick.
#[derive(Debug, Default)]
struct Stirred {
    /// Processes that have ended: their children have another parent.
    ended: HashSet<u32>,
    /// Sessions whose leader ended or has another terminal.
    sessions: HashSet<u32>,
    /// Groups of which one was read.
    groups: HashSet<u32>,
    /// Those with whom the table of others was told, and who have it no more.
    tables: HashSet<u32>,
}

/// A tick in progress.
pub(super) struct Tick<'a> {
    pub(super) view: &'a HostView,
    pub(super) proc: OwnedFd,
    pub(super) out: &'a mut Observation,
    pub(super) read: Vec<Reread>,
    pub(super) holders: &'a mut Holders,
    /// `CLOCK_BOOTTIME`, µs, and the run's time at the beginning.
    pub(super) now: i64,
    pub(super) stamp: WallMicros,
    /// Whether a process was seen for the first time.
    came: bool,
    unread: u64,
}

impl Incremental {
    /// Finds out whether the kernel tells what is needed; `iterators` are those that could be had.
    ///
    /// # Errors
    /// The reason why not, in words.
    pub(super) fn open(view: &HostView, iterators: Iterators) -> Result<Self, String> {
        // The kernel is asked by the numbers of our namespace.
        if view.own_pid() != Some(Pid(std::process::id())) {
            return Err(format!("{} is that of another pid namespace", view.proc_root.display()));
        }
        sharing::probe().map_err(|error| format!("kcmp: {}", std::io::Error::from(error)))?;
        Ok(Self {
            proc: None,
            ran: Ran::open(iterators.tasks)?,
            look: Look::by_iterator(iterators.files.filter(|_| sys::may_list_all())),
            printer: Printer::default(),
            listing: sys::ListingBuffer::default(),
            births: Births::default(),
            groups: Groups::default(),
            tables: Tables::default(),
            covered: HashMap::new(),
            comparer: Comparer::default(),
            walked: 0,
            quota: Quota::new(view.effort.clone()),
            rationed: None,
            last_read: 0,
            table: Vec::new(),
            last: None,
            grace: 0,
            broken: None,
            excluded: Vec::new(),
            stirred: Stirred::default(),
            spare: Vec::new(),
            listed: Vec::new(),
            pids: Vec::new(),
            told: Vec::new(),
            sockets: Vec::new(),
        })
    }

    /// Says why it cannot go on in this way, if so.
    pub(super) fn broken(&self) -> Option<&str> {
        self.broken.as_deref()
    }

    /// Forgets everything: the next reading is a whole one.
    pub(super) fn restart(&mut self) {
        self.table.clear();
        self.last = None;
        self.births.forget();
        self.quota.begin();
    }

    /// Reads what may have changed; returns how many processes could not be read at all.
    pub(super) fn sample(
        &mut self,
        view: &HostView,
        out: &mut Observation,
        holders: &mut Holders,
    ) -> Result<u64, Errno> {
        let now = view.clock.boot_micros();
        let whole = self.last.is_none();
        if whole {
            self.grace = table::grace(&view.sys_root);
        }
        let proc = self.proc.take().map_or_else(|| open_proc(view), Ok)?;
        let stamp = view.clock.at_boot(now);
        let mut tick =
            Tick { view, proc, out, read: Vec::new(), holders, now, stamp, came: false, unread: 0 };
        if let Err(error) = self.tick(&mut tick) {
            self.restart();
            return Err(error);
        }
        let Tick { proc, read, unread, holders, out, .. } = tick;
        self.proc = Some(proc);
        if whole {
            holders.keep(&self.table.iter().map(|known| Pid(known.pid)).collect());
        } else {
            out.extent = Extent::Subjects(read);
        }
        self.last = Some(now);
        Ok(unread)
    }

    fn tick(&mut self, tick: &mut Tick<'_>) -> Result<(), Errno> {
        self.notice_exclusions(tick.view);
        self.tables.begin();
        let since = self.take_stock(tick)?;
        self.ration(tick);
        self.ask_ahead(tick);
        let mut all = Stirred::default();
        loop {
            for at in 0..self.table.len() {
                if matches!(self.table[at].due, Due::New | Due::Moved) {
                    self.visit(at, tick)?;
                }
            }
            let stirred = std::mem::take(&mut self.stirred);
            let reached = self.table.iter_mut().filter_map(|known| stirred.reach(known)).count();
            all.ended.extend(stirred.ended);
            all.sessions.extend(stirred.sessions);
            all.tables.extend(stirred.tables);
            if reached == 0 {
                break;
            }
        }
        if let Some(from) = since.filter(|_| tick.came) {
            tick.out.gaps.push(unannounced(from, tick.stamp));
        }
        self.audit(tick)?;
        self.walk(tick)?;
        self.quota.tell(tick.stamp, &mut tick.out.gaps);
        // What an audit stumbles on has happened since the listing: all that it concerns are read in the next tick, as are those
        // that were read just before the end of the parent that they still name.
        let late = std::mem::take(&mut self.stirred);
        all.ended.extend(late.ended);
        all.sessions.extend(late.sessions);
        all.tables.extend(late.tables);
        all.groups = late.groups;
        self.table.retain(|known| !known.gone);
        for at in 0..self.table.len() {
            let known = &self.table[at];
            let again = all.concerns(known);
            // A parent that is not known has come since the listing, or has gone since.
            let orphan = known.due == Due::Done
                && known.ppid != 0
                && self.table.binary_search_by_key(&known.ppid, |other| other.pid).is_err();
            let known = &mut self.table[at];
            known.again |= again || (orphan && !known.orphan);
            known.orphan = orphan || (known.orphan && known.due != Due::Done);
        }
        Ok(())
    }

    /// Has those read again that are left out now and were not before, or the other way round.
    fn notice_exclusions(&mut self, view: &HostView) {
        let excluded = view.excluded();
        if excluded != self.excluded {
            for known in &mut self.table {
                let pid = Pid(known.pid);
                known.again |= excluded.contains(&pid) || self.excluded.contains(&pid);
            }
            self.excluded = excluded;
        }
    }

    /// Reads a process that may have changed, and reports it if it has.
    fn visit(&mut self, at: usize, tick: &mut Tick<'_>) -> Result<(), Errno> {
        let known = &self.table[at];
        let since = known.put_off.then_some(known.looked);
        if known.kernel_thread && known.due == Due::Moved && !known.again && self.glance(at, tick) {
            return Ok(());
        }
        let before = tick.out.facts.len();
        match self.read(at, tick)? {
            Some((_, seen)) => self.take(at, seen, before, since, tick),
            None => self.lose(at, tick),
        }
        Ok(())
    }

    /// Tells whether a kernel thread that ran is what it was, by its `stat` alone: name, parent, session, terminal and end. The
    /// rest no thread of the kernel changes of itself once it is at work; others' doing is for the audit to find, and that such
    /// a thread has become a program's process its `stat` tells.
    fn glance(&mut self, at: usize, tick: &Tick<'_>) -> bool {
        let known = &mut self.table[at];
        let Ok(stat) = self.look.stat_of(tick.proc.as_fd(), known.pid) else { return false };
        let is_same = known.start == stat.start
            && stat.kernel_thread
            && !stat.exiting
            && self.printer.brief(&stat.comm, stat.ppid, stat.session, stat.tty) == known.prints.brief;
        if is_same {
            known.again = stat::is_running(stat.state) || known.figures.is_zero();
            known.due = Due::Done;
        }
        is_same
    }

    /// Reads a process; `None` where it is gone or cannot be read. Its files are then the last of the facts.
    pub(super) fn read(&mut self, at: usize, tick: &mut Tick<'_>) -> Result<Option<(OwnedFd, Seen)>, Errno> {
        let (pid, before) = (self.table[at].pid, tick.out.facts.len());
        self.sockets.clear();
        let Self { table, tables, look, sockets, .. } = self;
        let (boot, mut files_of) = (tick.view.boot, 0);
        let mut whose = |stat: &Stat, answers: &mut Answers| {
            files_of = tables.find(table, at, stat, Compare { view: tick.view, answers });
            tables::told_with(table, files_of, boot)
        };
        let thread_of = Some(table[at].thread_of).filter(|process| *process != 0).map(Pid);
        let dir = match thread_of {
            Some(process) => sys::open_thread(tick.proc.as_fd(), process.0, pid),
            None => sys::open_process(tick.proc.as_fd(), pid),
        };
        let read = dir.and_then(|dir| {
            let whom = Whom { thread_of, table: &mut whose };
            let seen = look.at(tick.view, &dir, Pid(pid), whom, &mut tick.out.facts, sockets)?;
            Ok((dir, seen))
        });
        let read = read.map(|(dir, seen)| (dir, Seen { files_of, ..seen }));
        match read {
            Ok((dir, mut seen)) => {
                if let Some(process) = &mut seen.process {
                    self.quota.admit(process, &mut tick.out.facts, before, &mut self.sockets);
                }
                Ok(Some((dir, seen)))
            }
            Err(error) => {
                tick.out.facts.truncate(before);
                if thread_of.is_none() && is_covered(tick.proc.as_fd(), pid, error) {
                    self.covered.entry(pid).or_insert(false);
                    return Ok(None);
                }
                tick.unread += u64::from(pass_over(error)?);
                Ok(None)
            }
        }
    }

    /// Takes what was seen of a process, whose files are the facts from `before` on: reports it if it is not what it was.
    pub(super) fn take(
        &mut self,
        at: usize,
        seen: Seen,
        before: usize,
        since: Option<WallMicros>,
        tick: &mut Tick<'_>,
    ) {
        let known = &mut self.table[at];
        if known.due != Due::New && known.start != seen.start {
            // Another process has the number.
            let thread_of = known.thread_of;
            let new = Known { thread_of, ..Known::new(known.pid, known.inode, known.figures, tick.now) };
            let gone = std::mem::replace(known, new);
            self.bury(&gone, tick);
        }
        if self.table[at].thread_of != 0 && !self.is_apart(at, &seen) {
            tick.out.facts.truncate(before);
            self.lose(at, tick);
            return;
        }
        self.covered.remove(&self.table[at].pid);
        let boot = tick.view.boot;
        let known = &mut self.table[at];
        let new = known.due == Due::New;
        let was_shown = !new && !known.left_out;
        (known.start, known.kernel_thread, known.threads) = (seen.start, seen.kernel_thread, seen.threads);
        (known.speaker, known.files_of) = (seen.speaker.0, seen.files_of);
        // A kernel thread gets its name and its place just after it was made.
        known.again = seen.moving || (new && seen.kernel_thread);
        // Asked before it first ran, and after its only task has exited, a process has the same figures: none.
        known.again |= known.figures.is_zero() && !seen.process.as_ref().is_some_and(|p| p.key.zombie);
        known.ppid = seen.ppid.0;
        (known.due, known.put_off) = (Due::Done, false);
        (known.behind, known.looked) = (seen.behind, tick.stamp);
        known.plan_audit(tick.now, new);
        known.left_out = seen.process.is_none();
        tick.came |= new;
        let entity = known.entity(boot);
        let namespaces = seen.process.as_ref().and_then(|p| p.key.namespaces.known());
        let place_of = namespaces.map(|n| (n.net, seen.speaker));
        known.namespaces = namespaces.copied();
        known.ids = seen.process.as_ref().map(|p| p.key.ids);
        let holder = (!known.left_out).then_some(entity);
        tick.holders.set(Pid(known.pid), holder, &mut self.sockets, place_of);
        let mut reread = || tick.read.push(Reread { subject: Subject::Entity(entity), since });
        match seen.process {
            Some(process) => {
                let prints = self.printer.take(&process, &tick.out.facts[before..]);
                let has_changed = !was_shown || prints.whole != known.prints.whole;
                let key = &process.key;
                let has_ended = key.zombie && !known.zombie;
                if has_ended {
                    self.stirred.ended.insert(known.pid);
                }
                if known.session == known.pid && (has_ended || key.tty != known.tty) {
                    self.stirred.sessions.insert(known.pid);
                }
                (known.session, known.tty, known.zombie) = (key.session, key.tty, key.zombie);
                known.prints = prints;
                if known.has_threads() {
                    known.walk = Some(Walk::begin(known.walk, tick.stamp));
                }
                self.tables.opened(known.pid, tick.out.facts.len() - before);
                if has_changed {
                    tick.out.facts.push(Fact::from(process));
                    reread();
                } else {
                    tick.out.facts.truncate(before);
                }
            }
            None if was_shown => reread(),
            None => {}
        }
        self.lend(at, tick.view);
        if new {
            let compare = Compare { view: tick.view, answers: &mut self.look.answers };
            self.groups.join(&mut self.table, at, compare);
        } else if self.table[at].group != 0 {
            self.stirred.groups.insert(self.table[at].group);
            let compare = Compare { view: tick.view, answers: &mut self.look.answers };
            Groups::check(&mut self.table, at, compare);
        }
        if self.table[at].group != 0 {
            self.stirred.groups.insert(self.table[at].group);
        }
    }

    /// Takes note of whose descriptor table a process has that was just read, and finds out whether others still have its own.
    fn lend(&mut self, at: usize, view: &HostView) {
        let known = &self.table[at];
        if known.files_of != 0 {
            if let Some(root) = place(&self.table, known.files_of) {
                self.table[root].lends = true;
            }
        } else if known.lends {
            let mut others = self.table.iter().filter(|other| other.files_of == known.pid && !other.gone);
            if known.left_out
                || others.next().is_none_or(|other| {
                    !Compare { view, answers: &mut self.look.answers }
                        .have_table(other, &[known])
                        .contains(&true)
                })
            {
                self.stirred.tables.insert(known.pid);
                self.table[at].lends = false;
            }
        }
    }

    /// Takes note that a process could not be read any more.
    pub(super) fn lose(&mut self, at: usize, tick: &mut Tick<'_>) {
        let known = &mut self.table[at];
        if !known.over
            && let Some(told) = self.covered.get_mut(&known.pid)
        {
            if !std::mem::replace(told, true) && !self.look.answers.is_unreadable(Pid(known.pid)) {
                tick.out.gaps.push(covered(known, tick.stamp));
            }
            // It is there: what was seen of it last stands.
            known.again = true;
            known.gone = std::mem::replace(&mut known.due, Due::Done) == Due::New;
            return;
        }
        let was_new = std::mem::replace(&mut known.due, Due::Done) == Due::New;
        known.gone = true;
        if known.thread_of == 0 {
            // It may be there still and only not be readable now.
            self.births.forget();
        }
        if was_new {
            self.stirred.ended.insert(known.pid);
        } else {
            let known = known.clone();
            self.bury(&known, tick);
        }
    }

    /// Reports that a process is gone, and has those read that this concerns.
    pub(super) fn bury(&mut self, known: &Known, tick: &mut Tick<'_>) {
        let entity = known.entity(tick.view.boot);
        self.stirred.ended.insert(known.pid);
        if known.session == known.pid {
            self.stirred.sessions.insert(known.pid);
        }
        if known.group != 0 {
            self.stirred.groups.insert(known.group);
        }
        if known.lends {
            self.stirred.tables.insert(known.pid);
        }
        self.covered.remove(&known.pid);
        tick.holders.remove(Pid(known.pid));
        self.quota.gone(entity);
        if !known.left_out {
            tick.read.push(Subject::Entity(entity).into());
        }
    }
}

/// Tells whether a process could not be read because something is mounted over its directory.
pub(super) fn is_covered(proc: BorrowedFd<'_>, pid: u32, error: Errno) -> bool {
    let is_other = |dir: OwnedFd| fstatfs(dir).is_ok_and(|found| found.f_type != PROC_SUPER_MAGIC);
    match error {
        // What does not answer the watchdog tells.
        Errno::STALE | Errno::TIME => true,
        Errno::NOTDIR => sys::open_any(proc, pid).is_ok_and(is_other),
        error if sys::is_gone(error) => sys::open_process(proc, pid).is_ok_and(is_other),
        _ => false,
    }
}

/// Says that a process is hidden.
fn covered(known: &Known, now: WallMicros) -> Gap {
    Gap {
        source: Some(Source::Process),
        severity: Severity::Thin,
        reason: format!(
            "unreadable: something is mounted over the directory of process {} in /proc",
            known.pid
        ),
        from: if known.due == Due::New { now } else { known.looked },
        to: None,
        lost: None,
    }
}

/// Says that processes were found that may have been there since an earlier listing.
fn unannounced(from: WallMicros, to: WallMicros) -> Gap {
    Gap {
        source: Some(Source::Process),
        severity: Severity::Thin,
        reason: "processes came under numbers that were chosen for them".to_owned(),
        from,
        to: Some(to),
        lost: None,
    }
}

impl Stirred {
    /// Tells whether a process must be read because of what was found of others.
    fn concerns(&self, known: &Known) -> bool {
        self.ended.contains(&known.ppid)
            || self.sessions.contains(&known.session)
            // What is told with another does not change with the group, but for what all of it show.
            || (known.group != 0
                && (known.close || known.files_of == 0)
                && self.groups.contains(&known.group))
            || (known.files_of != 0 && self.tables.contains(&known.files_of))
    }

    /// Has a process read that has not been yet and must be; `None` for any other.
    fn reach(&self, known: &mut Known) -> Option<()> {
        (known.due == Due::Not && self.concerns(known)).then(|| known.due = Due::Moved)
    }
}
