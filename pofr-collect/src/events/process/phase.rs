//! A phase: what a process was from one event to the next, put together from what it inherited, what looks at it showed and what
//! its exit told.

use super::{exits::Who, moment::Moment};
use crate::samplers::{Brief, steady_name};
use pofr_core::{
    fact::{Files, Ids, Process, ProcessDetails, ProcessKey, ProcessMarks},
    identity::{Entity, Pid},
    raw::{RawText, Reading},
};

/// The number of the thread that makes kernel threads.
const KTHREADD: Pid = Pid(2);

/// What a process was for a while.
#[derive(Clone, Debug)]
pub(super) struct Phase {
    /// Since when; `None` for longer than anybody has listened.
    pub(super) from: Option<Moment>,
    /// What can be said without a look: what it inherited, or was before, and what the event said.
    assumed: Process,
    /// Whether the name in that is its own: not so after it ran another program.
    named: bool,
    /// Whether it began with another program.
    executed: bool,
    /// The first and the last look.
    first: Option<Look>,
    last: Option<Look>,
}

/// What a look showed, and when it began.
#[derive(Clone, Debug)]
struct Look {
    at: Moment,
    process: Process,
}

impl Phase {
    /// Begins a process that `parent` made, which it is a copy of; `None` where nothing is known of that.
    pub(super) fn forked(at: Moment, entity: Entity, ppid: Pid, parent: Option<(Process, bool)>) -> Self {
        let (mut assumed, named) = parent.unwrap_or_else(|| (nothing_known(entity), false));
        assumed.details = ProcessDetails::default();
        let key = &mut assumed.key;
        (key.entity, key.ppid, key.zombie) = (entity, ppid, false);
        // Program and arguments are the parent's still.
        key.marks = ProcessMarks {
            arguments_cut: key.marks.arguments_cut,
            exe_named_deleted: key.marks.exe_named_deleted,
            ..ProcessMarks::default()
        };
        if ppid != KTHREADD {
            key.files = Files::Unknown;
        }
        Self { from: Some(at), assumed, named, executed: false, first: None, last: None }
    }

    /// Begins with a process that was there before.
    pub(super) const fn of(process: Process) -> Self {
        Self { from: None, assumed: process, named: true, executed: false, first: None, last: None }
    }

    /// Begins with a process of which nothing is known but that it is there.
    pub(super) fn unknown(entity: Entity) -> Self {
        Self {
            from: None,
            assumed: nothing_known(entity),
            named: false,
            executed: false,
            first: None,
            last: None,
        }
    }

    /// Begins what follows on this one when the process runs another program.
    pub(super) fn executed(&mut self, at: Moment) -> Self {
        let later = self.take_later(at);
        let before = self.before();
        let ahead = if later.is_none() { self.take_ahead() } else { None };
        let mut assumed = self.fact();
        assumed.details = ProcessDetails::default();
        let key = &mut assumed.key;
        (key.comm, key.arguments, key.exe) = (RawText::default(), None, Reading::Unknown);
        (key.files, key.marks) = (Files::Unknown, ProcessMarks::default());
        let mut named = false;
        if let Some(Process { key: ahead, .. }) = ahead {
            // It may have been taken in the very middle: what is as before may be what was before.
            let before = before.as_ref().map(|before| &before.key);
            if before.is_none_or(|before| before.comm != ahead.comm) {
                (key.comm, named) = (ahead.comm, true);
            }
            if before.is_none_or(|before| before.arguments != ahead.arguments) {
                (key.arguments, key.marks.arguments_cut) = (ahead.arguments, ahead.marks.arguments_cut);
            }
            if before.is_none_or(|before| before.exe != ahead.exe) {
                (key.exe, key.marks.exe_named_deleted) = (ahead.exe, ahead.marks.exe_named_deleted);
            }
        }
        Self { from: Some(at), assumed, named, executed: true, first: later.clone(), last: later }
    }

    /// Takes out the last look if it came after `at`, when this phase ended: looks may be quicker than the events before them.
    fn take_later(&mut self, at: Moment) -> Option<Look> {
        let later = self.last.take_if(|look| look.at >= at)?;
        self.first.take_if(|look| look.at >= at);
        self.last.clone_from(&self.first);
        Some(later)
    }

    /// Returns what surely was before anything that a later look may show.
    fn before(&self) -> Option<Process> {
        let first = || self.first.as_ref().map(|look| look.process.clone());
        if self.named { Some(self.assumed.clone()) } else { first() }
    }

    /// Takes out what the last look showed if that was the program that comes next: the kernel exchanges the program some time
    /// before it tells of that, and a look in between belongs to what follows.
    fn take_ahead(&mut self) -> Option<Process> {
        let before = self.before()?;
        let ahead = self.last.take_if(|look| !same_program(&before, &look.process))?;
        self.first.take_if(|look| !same_program(&before, &look.process));
        self.last.clone_from(&self.first);
        Some(ahead.process)
    }

    /// Begins what follows on this one when an event tells of a change; `None` where that changes nothing.
    pub(super) fn changed(&mut self, at: Moment, change: impl Fn(&mut ProcessKey)) -> Option<Self> {
        let changed = |key: &ProcessKey| {
            let mut key = key.clone();
            change(&mut key);
            key
        };
        let is_changed = |key: &ProcessKey| changed(key) == *key;
        let (first, last) = (self.first.clone(), self.last.clone());
        let mut later = self.take_later(at);
        // One that began before may have read the one thing before and the other after the change.
        let knows = self.named || changed(&self.assumed.key).comm == self.assumed.key.comm;
        if knows && self.knows_ids() == (true, true) && !is_changed(&self.assumed.key) {
            let torn = self.last.take_if(|look| is_changed(&look.process.key));
            self.first.take_if(|look| is_changed(&look.process.key));
            if torn.is_some() {
                self.last.clone_from(&self.first);
            }
            later = later.or(torn);
        }
        let mut next = self.clone();
        (next.from, next.executed) = (Some(at), false);
        next.assumed.key = changed(&self.assumed.key);
        next.named |= next.assumed.key.comm != self.assumed.key.comm;
        for look in [&mut next.first, &mut next.last].into_iter().flatten() {
            look.process.key = changed(&look.process.key);
        }
        if next.fact().key == self.fact().key {
            // Nobody is anything else than before.
            (self.first, self.last) = (first, last);
            return None;
        }
        if let Some(later) = later {
            next.first.get_or_insert_with(|| later.clone());
            next.last = Some(later);
        }
        Some(next)
    }

    /// Takes what a brief look showed.
    pub(super) fn looked_briefly(&mut self, at: Moment, brief: &Brief) {
        if brief.arguments.is_none() && !matches!(brief.exe, Reading::Known(_)) {
            // It has let go of its program already; its name stays.
            if !self.named && self.last.is_none() {
                self.assumed.key.comm = brief.comm.clone();
                self.named = true;
            }
            return;
        }
        let mut process = self.last.as_ref().map_or(&self.assumed, |look| &look.process).clone();
        let key = &mut process.key;
        (key.ppid, key.session, key.tty) = (brief.ppid, brief.session, brief.tty);
        key.comm.clone_from(&brief.comm);
        key.exe.clone_from(&brief.exe);
        if brief.arguments.is_some() {
            key.arguments.clone_from(&brief.arguments);
            key.marks.arguments_cut = brief.cut;
        }
        self.see(Look { at, process });
    }

    /// Takes what a whole look showed.
    pub(super) fn looked(&mut self, at: Moment, process: Process) {
        let is_on_its_way_out = process.key.arguments.is_none() && process.key.exe == Reading::Unknown;
        if !(process.key.zombie || is_on_its_way_out && self.last.is_some()) {
            self.see(Look { at, process });
        }
    }

    fn see(&mut self, look: Look) {
        self.first.get_or_insert_with(|| look.clone());
        self.last = Some(look);
    }

    /// Takes what was told of the process at its exit.
    pub(super) fn exited(&mut self, who: &Who) {
        if self.assumed.key.ppid != KTHREADD {
            // Each change of the name is told: a look that shows another began before the program was exchanged and ended after.
            let is_torn = |look: &mut Look| look.process.key.comm != who.comm;
            self.first.take_if(is_torn);
            self.last.take_if(is_torn);
            if self.first.is_none() {
                self.first.clone_from(&self.last);
            } else if self.last.is_none() {
                self.last.clone_from(&self.first);
            }
        }
        let comm = who.comm.as_bytes();
        let comm =
            if self.assumed.key.ppid == KTHREADD { steady_name(comm).into() } else { who.comm.clone() };
        self.named = true;
        let key = &mut self.assumed.key;
        if key.ppid == Pid(0) {
            key.ppid = who.ppid;
        }
        for process in
            std::iter::once(&mut self.assumed).chain(self.last.as_mut().map(|look| &mut look.process))
        {
            process.key.comm.clone_from(&comm);
            let ids = &mut process.key.ids;
            if ids.ruid.is_none() {
                (ids.ruid, ids.euid) = (Some(who.uid), Some(who.uid));
            }
            if ids.rgid.is_none() {
                (ids.rgid, ids.egid) = (Some(who.gid), Some(who.gid));
            }
        }
    }

    /// Returns what the process was: as it was last seen, with the arguments that it had when it was first.
    pub(super) fn fact(&self) -> Process {
        let Some(Look { process: last, .. }) = &self.last else { return self.assumed.clone() };
        let first = self.first.as_ref().map_or(last, |look| &look.process);
        let known = if first.key.arguments.is_some() { &first.key } else { &last.key };
        let mut fact = last.clone();
        fact.key.arguments.clone_from(&known.arguments);
        fact.key.marks.arguments_cut = known.marks.arguments_cut;
        fact
    }

    /// Forgets what looks showed if that is what `next` was, which ran another program: they came too late, or while it was
    /// exchanged.
    pub(super) fn disown(&mut self, next: &Self) {
        let Some(last) = self.shown().filter(|_| next.executed) else { return };
        let followed = next.fact();
        let is_followed = if self.named {
            last.key.comm == followed.key.comm && last.key.comm != self.assumed.key.comm
        } else {
            // Of a process that was made by one that is not known nothing else tells.
            next.is_named() && last.key.comm == followed.key.comm && same_program(last, &followed)
        };
        if is_followed {
            (self.first, self.last) = (None, None);
        }
    }

    /// Returns what the last look showed.
    fn shown(&self) -> Option<&Process> {
        self.last.as_ref().map(|look| &look.process)
    }

    /// Tells whether nothing at all is known of it, not even when it began.
    pub(super) const fn is_nothing(&self) -> bool {
        self.from.is_none() && !self.is_named()
    }

    /// Returns whether the user and the group ids in [`fact`](Self::fact) are known.
    pub(super) fn knows_ids(&self) -> (bool, bool) {
        let ids = self.shown().unwrap_or(&self.assumed).key.ids;
        (ids.ruid.is_some(), ids.rgid.is_some())
    }

    /// Tells whether the name in [`fact`](Self::fact) is its own.
    pub(super) const fn is_named(&self) -> bool {
        self.named || self.last.is_some()
    }

    /// Tells whether a sample that shows `key` shows this phase, though it may show one before it that is the same.
    pub(super) fn is_shown_by(&self, key: &ProcessKey) -> bool {
        self.shown().is_some_and(|last| {
            last.key.comm == key.comm && last.key.exe == key.exe && last.key.arguments == key.arguments
        })
    }
}

/// Tells whether the two show one program, as far as both could be read. The name does not tell: what a thread makes is called like
/// the thread.
fn same_program(a: &Process, b: &Process) -> bool {
    let (a, b) = (&a.key, &b.key);
    let exe = a.exe == b.exe || [&a.exe, &b.exe].contains(&&Reading::Unknown);
    let arguments = a.arguments == b.arguments || a.arguments.is_none() || b.arguments.is_none();
    exe && arguments
}

/// Returns a process that nobody knows anything of.
fn nothing_known(entity: Entity) -> Process {
    Process {
        key: ProcessKey {
            entity,
            ppid: Pid(0),
            ids: Ids::default(),
            comm: RawText::default(),
            arguments: None,
            exe: Reading::Unknown,
            cwd: Reading::Unknown,
            session: 0,
            tty: 0,
            login_uid: None,
            cgroup: Reading::Unknown,
            namespaces: Reading::Unknown,
            zombie: false,
            files: Files::Unknown,
            marks: ProcessMarks::default(),
        },
        details: ProcessDetails::default(),
    }
}
