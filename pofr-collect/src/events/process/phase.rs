//! A phase: what a process was from one event to the next, put together from what it inherited, what looks at it showed and what
//! its exit told.

use super::{exits::Who, moment::Moment};
use crate::samplers::{Brief, steady_name};
use pofr_core::{
    fact::{Files, Ids, Process, ProcessDetails, ProcessKey},
    identity::{Entity, Pid},
    raw::{RawText, Reading},
};

/// The number of the thread that makes kernel threads.
const KTHREADD: Pid = Pid(2);
/// An id that nobody has: `(uid_t)-1`.
const NOBODY: u32 = u32::MAX;

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
    /// What the first and the last look showed.
    first: Option<Process>,
    last: Option<Process>,
}

impl Phase {
    /// Begins a process that `parent` made, which it is a copy of; `None` where nothing is known of that.
    pub(super) fn forked(at: Moment, entity: Entity, ppid: Pid, parent: Option<(Process, bool)>) -> Self {
        let (mut assumed, named) = parent.unwrap_or_else(|| (nothing_known(entity), false));
        assumed.details = ProcessDetails::default();
        let key = &mut assumed.key;
        (key.entity, key.ppid, key.zombie) = (entity, ppid, false);
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
        let before = self.before();
        let ahead = self.take_ahead();
        let mut assumed = self.fact();
        assumed.details = ProcessDetails::default();
        let key = &mut assumed.key;
        (key.comm, key.arguments, key.exe) = (RawText::default(), None, Reading::Unknown);
        key.files = Files::Unknown;
        let named = ahead.is_some();
        if let Some(ahead) = ahead {
            // It may have been taken in the very middle: what is as before may be what was before.
            key.comm = ahead.key.comm;
            if before.as_ref().is_none_or(|before| before.key.arguments != ahead.key.arguments) {
                key.arguments = ahead.key.arguments;
            }
            if before.as_ref().is_none_or(|before| before.key.exe != ahead.key.exe) {
                key.exe = ahead.key.exe;
            }
        }
        Self { from: Some(at), assumed, named, executed: true, first: None, last: None }
    }

    /// Returns what surely was before anything that a later look may show.
    fn before(&self) -> Option<Process> {
        if self.named { Some(self.assumed.clone()) } else { self.first.clone() }
    }

    /// Takes out what the last look showed if that was the program that comes next: the kernel exchanges the program some time
    /// before it tells of that, and a look in between belongs to what follows.
    fn take_ahead(&mut self) -> Option<Process> {
        let before = self.before()?;
        let ahead = self.last.take_if(|last| !same_program(&before, last))?;
        self.first.take_if(|first| !same_program(&before, first));
        self.last.clone_from(&self.first);
        Some(ahead)
    }

    /// Begins what follows on this one when an event tells of a change; `None` where that changes nothing.
    pub(super) fn changed(&self, at: Moment, change: impl Fn(&mut ProcessKey)) -> Option<Self> {
        let mut next = self.clone();
        (next.from, next.executed) = (Some(at), false);
        let before = self.fact();
        change(&mut next.assumed.key);
        next.named |= next.assumed.key.comm != self.assumed.key.comm;
        for look in [&mut next.first, &mut next.last].into_iter().flatten() {
            change(&mut look.key);
        }
        (next.fact().key != before.key).then_some(next)
    }

    /// Takes what a brief look showed.
    pub(super) fn looked_briefly(&mut self, brief: &Brief) {
        if brief.arguments.is_none() && !matches!(brief.exe, Reading::Known(_)) {
            // It has let go of its program already; its name stays.
            if !self.named && self.last.is_none() {
                self.assumed.key.comm = brief.comm.clone();
                self.named = true;
            }
            return;
        }
        let mut process = self.last.clone().unwrap_or_else(|| self.assumed.clone());
        let key = &mut process.key;
        (key.ppid, key.session, key.tty) = (brief.ppid, brief.session, brief.tty);
        key.comm.clone_from(&brief.comm);
        key.exe.clone_from(&brief.exe);
        if brief.arguments.is_some() {
            key.arguments.clone_from(&brief.arguments);
        }
        self.see(process);
    }

    /// Takes what a whole look showed.
    pub(super) fn looked(&mut self, process: Process) {
        let is_on_its_way_out = process.key.arguments.is_none() && process.key.exe == Reading::Unknown;
        if !(process.key.zombie || is_on_its_way_out && self.last.is_some()) {
            self.see(process);
        }
    }

    fn see(&mut self, process: Process) {
        if self.first.is_none() {
            self.first = Some(process.clone());
        }
        self.last = Some(process);
    }

    /// Takes what was told of the process at its exit.
    pub(super) fn exited(&mut self, who: &Who) {
        let key = &mut self.assumed.key;
        if !self.named {
            let comm = who.comm.as_bytes();
            key.comm = if key.ppid == KTHREADD { steady_name(comm).into() } else { who.comm.clone() };
            self.named = true;
        }
        if key.ppid == Pid(0) {
            key.ppid = who.ppid;
        }
        for process in std::iter::once(&mut self.assumed).chain(&mut self.last) {
            let ids = &mut process.key.ids;
            if ids.ruid == NOBODY {
                (ids.ruid, ids.euid) = (who.uid, who.uid);
            }
            if ids.rgid == NOBODY {
                (ids.rgid, ids.egid) = (who.gid, who.gid);
            }
        }
    }

    /// Returns what the process was: as it was last seen, with the arguments that it had when it was first.
    pub(super) fn fact(&self) -> Process {
        let Some(last) = &self.last else { return self.assumed.clone() };
        let first = self.first.as_ref().unwrap_or(last);
        let arguments = first.key.arguments.clone().or_else(|| last.key.arguments.clone());
        Process { key: ProcessKey { arguments, ..last.key.clone() }, details: last.details.clone() }
    }

    /// Forgets what looks showed if that is what `next` was: of a process that was made by one that is not known it cannot be
    /// told whether they came before it ran its first program or after.
    pub(super) fn disown(&mut self, next: &Self) {
        if !self.named
            && next.executed
            && let (Some(last), Some(followed)) =
                (&self.last, next.last.as_ref().or(next.named.then_some(&next.assumed)))
            && same_program(last, followed)
        {
            (self.first, self.last) = (None, None);
        }
    }

    /// Tells whether nothing at all is known of it, not even when it began.
    pub(super) const fn is_nothing(&self) -> bool {
        self.from.is_none() && !self.is_named()
    }

    /// Returns whether the user and the group ids in [`fact`](Self::fact) are known.
    pub(super) fn knows_ids(&self) -> (bool, bool) {
        let ids = self.last.as_ref().unwrap_or(&self.assumed).key.ids;
        (ids.ruid != NOBODY, ids.rgid != NOBODY)
    }

    /// Tells whether the name in [`fact`](Self::fact) is its own.
    pub(super) const fn is_named(&self) -> bool {
        self.named || self.last.is_some()
    }

    /// Tells whether a sample that shows `key` shows this phase, though it may show one before it that is the same.
    pub(super) fn is_shown_by(&self, key: &ProcessKey) -> bool {
        self.last.as_ref().is_some_and(|last| {
            last.key.comm == key.comm && last.key.exe == key.exe && last.key.arguments == key.arguments
        })
    }
}

/// Tells whether the two show one program, as far as both could be read.
fn same_program(a: &Process, b: &Process) -> bool {
    let (a, b) = (&a.key, &b.key);
    let exe = a.exe == b.exe || [&a.exe, &b.exe].contains(&&Reading::Unknown);
    let arguments = a.arguments == b.arguments || a.arguments.is_none() || b.arguments.is_none();
    exe && arguments && a.comm == b.comm
}

/// Returns a process that nobody knows anything of.
fn nothing_known(entity: Entity) -> Process {
    Process {
        key: ProcessKey {
            entity,
            ppid: Pid(0),
            ids: Ids { ruid: NOBODY, euid: NOBODY, rgid: NOBODY, egid: NOBODY },
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
        },
        details: ProcessDetails::default(),
    }
}
