//! Users: who is behind each process, and how much of what that user does is told.
//!
//! Each user has allowances: of processes that are told, of bytes of arguments, of time in which new processes are looked at.
//! Who uses one up is recorded thinner until it fills again, and nobody else is. What that leaves out is counted, and told once for
//! some seconds and user ([`Flood`]). Of a process that is only counted nothing is told but its end, and that only where a sample
//! showed it.
//!
//! A user is charged with what its processes become: a child with its parent's user, and a change of ids counts where root made
//! it. So nobody gets allowances by a set-user-ID program, or by the many ids of a user namespace.

mod flood;
mod member;
#[cfg(test)]
mod tests;

pub(super) use flood::{Flood, Left, unheard};

use super::{
    message::{Message, What},
    moment::Moment,
};
use crate::{
    HostView,
    allowance::Allowance,
    effort::Effort,
    events::real_user,
    limits,
    samplers::{Sight, cut_arguments},
    sys,
};
use hashbrown::HashMap;
use member::Member;
use rustix::{
    fs::{CWD, Mode, OFlags},
    io::Errno,
};
use std::os::fd::{AsFd as _, OwnedFd};

/// Who is charged with processes of which nobody knows whose they are.
const NOBODY: u32 = u32::MAX;
const ROOT: u32 = 0;
/// So many users without a flood are kept in mind.
const MOST_USERS: usize = 1_024;
/// So many processes are kept in mind; beyond that, as where ends were lost, all are asked for anew.
const MOST_MEMBERS: usize = 1 << 17;

/// What becomes of an event.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Verdict {
    /// It is told.
    Tell,
    /// It is told, but nothing of what the process is now.
    Blur,
    /// It is counted.
    Count,
    /// The end of a process of which nothing was told: of interest where a sample showed the process.
    EndIfShown,
    /// The end of a process of which changes were counted: this was its last name.
    EndNamed([u8; 16]),
}

/// How closely a new process is looked at.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Closeness {
    /// Not at all.
    Not,
    /// At what tells most, once.
    Briefly,
    /// As closely as there is time for, once.
    Once,
    /// The same, and some ms later again.
    Repeatedly,
}

/// All users of whom processes are heard.
#[derive(Debug)]
pub(super) struct Users {
    proc: OwnedFd,
    buffers: sys::Buffers,
    effort: Effort,
    /// What looks may use was reckoned for this many µs a second.
    looks: u64,
    users: HashMap<u32, User>,
    members: HashMap<u32, Member>,
}

/// One user's allowances.
#[derive(Debug)]
struct User {
    processes: Allowance,
    changes: Allowance,
    bytes: Allowance,
    looks: Allowance,
    flood: Option<Flood>,
}

impl Users {
    pub(super) fn new(view: &HostView) -> Result<Self, Errno> {
        let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
        let proc = rustix::fs::openat(CWD, &view.proc_root, flags, Mode::empty())?;
        Ok(Self {
            proc,
            buffers: sys::Buffers::default(),
            looks: view.effort.looks(),
            effort: view.effort.clone(),
            users: HashMap::new(),
            members: HashMap::new(),
        })
    }

    /// Takes note of an event and says what becomes of it.
    pub(super) fn judge(&mut self, message: &Message, now: Moment) -> Verdict {
        match message.what {
            What::Fork { parent, child } if child.leads() => self.forked(parent.process, child.process, now),
            What::Exec(of) => {
                self.changed(of.process, now, |member, is_told| match (is_told, member.blurred) {
                    (true, _) => {
                        member.blurred = false;
                        Verdict::Tell
                    }
                    (false, true) => Verdict::Count,
                    (false, false) => {
                        member.blurred = true;
                        Verdict::Blur
                    }
                })
            }
            What::Name { of, name } if of.leads() => self.changed(of.process, now, |member, is_told| {
                member.name = (!is_told).then_some(name);
                if is_told { Verdict::Tell } else { Verdict::Count }
            }),
            What::Users { of, real, .. } if of.leads() => {
                self.becomes(of.process, real, now);
                self.changed(
                    of.process,
                    now,
                    |_, is_told| if is_told { Verdict::Tell } else { Verdict::Count },
                )
            }
            What::Groups { of, .. } | What::Session(of) if of.leads() => self.changed(
                of.process,
                now,
                |_, is_told| if is_told { Verdict::Tell } else { Verdict::Count },
            ),
            What::Exit { of, .. } => match self.members.get(&of.process) {
                Some(member) if member.is_counted(now) => Verdict::EndIfShown,
                Some(Member { name: Some(name), .. }) => Verdict::EndNamed(*name),
                _ => Verdict::Tell,
            },
            _ => Verdict::Tell,
        }
    }

    /// Returns whose processes rename themselves most in a batch.
    pub(super) fn most_named(&mut self, batch: &[Message], now: Moment) -> u32 {
        let mut names: HashMap<u32, usize> = HashMap::new();
        for message in batch {
            if let What::Name { of, .. } = message.what {
                *names.entry(self.of(of.process, now)).or_default() += 1;
            }
        }
        names.into_iter().max_by_key(|(_, count)| *count).map_or(NOBODY, |(user, _)| user)
    }

    fn forked(&mut self, parent: u32, child: u32, now: Moment) -> Verdict {
        let user = self.of(parent, now);
        let dearness = self.effort.dearness();
        let is_told = self.user(user, now).processes.take(dearness, now.0);
        self.members.insert(child, Member::new(user, !is_told, now));
        if is_told {
            Verdict::Tell
        } else {
            self.leave_out(user, now, |left| left.processes += 1);
            Verdict::Count
        }
    }

    /// Takes note of a change of a process; `decide` says what becomes of it, told whether it may be told.
    fn changed(
        &mut self,
        pid: u32,
        now: Moment,
        decide: impl FnOnce(&mut Member, bool) -> Verdict,
    ) -> Verdict {
        let user = self.of(pid, now);
        let Some(member) = self.members.get_mut(&pid) else { return Verdict::Tell };
        let is_counted = member.is_counted(now);
        let may = !is_counted && member.changes.take(1, now.0);
        let dearness = self.effort.dearness();
        let is_told = may && self.user(user, now).changes.take(dearness, now.0);
        let Some(member) = self.members.get_mut(&pid) else { return Verdict::Tell };
        let verdict = if is_counted { Verdict::Count } else { decide(member, is_told) };
        if verdict != Verdict::Tell && !is_counted {
            self.leave_out(user, now, |left| left.changes += 1);
        }
        verdict
    }

    /// Takes note of other ids: what root's process becomes counts.
    fn becomes(&mut self, pid: u32, real: u32, now: Moment) {
        let user = self.of(pid, now);
        if let Some(member) = self.members.get_mut(&pid)
            && matches!(user, ROOT | NOBODY)
        {
            member.user = real;
        }
    }

    /// Forgets a process that has ended.
    pub(super) fn ended(&mut self, pid: u32) {
        self.members.remove(&pid);
    }

    /// Says how closely a process may be looked at. `spare` is what the listening thread has left, in percent.
    pub(super) fn closeness(&mut self, pid: u32, spare: i64, now: Moment) -> Closeness {
        let user = self.of(pid, now);
        if self.members.get(&pid).is_some_and(|member| member.is_counted(now)) {
            return Closeness::Not;
        }
        match (self.user(user, now).looks.percent(now.0), spare) {
            (..=0, _) | (..50, ..=0) => Closeness::Not,
            (..50, _) | (_, ..25) => Closeness::Briefly,
            (..75, _) | (_, ..50) => Closeness::Once,
            _ => Closeness::Repeatedly,
        }
    }

    /// Takes note that a process ran a program and was not looked at.
    pub(super) fn unlooked(&mut self, pid: u32, now: Moment) {
        let user = self.of(pid, now);
        self.leave_out(user, now, |left| left.looks += 1);
    }

    /// Takes note of how long it took to look at a process, and makes what was seen fit into its user's allowance.
    pub(super) fn looked(&mut self, pid: u32, micros: i64, sight: Option<&mut Sight>, now: Moment) {
        let user = self.of(pid, now);
        let dearness = self.effort.dearness();
        let of = self.user(user, now);
        of.looks.spend(micros.max(0).unsigned_abs(), now.0);
        let Some(sight) = sight else { return };
        let bytes = arguments(sight);
        if bytes <= limits::CUT_ARGUMENTS as u64 || of.bytes.take(bytes.saturating_mul(dearness), now.0) {
            return;
        }
        match sight {
            Sight::Whole(process, _) => cut_arguments(&mut process.key),
            Sight::Brief(brief) => brief.arguments = None,
            Sight::Excluded => {}
        }
        self.leave_out(user, now, |left| left.arguments += 1);
    }

    /// Counts something that is left out of the record.
    fn leave_out(&mut self, user: u32, now: Moment, count: impl FnOnce(&mut Left)) {
        let flood = self.user(user, now).flood.get_or_insert_with(|| Flood::begin(user, now));
        flood.to = now;
        count(&mut flood.left);
    }

    /// Returns the floods that are to be told of now, and has the others go on.
    pub(super) fn take_floods(&mut self, now: Moment) -> Vec<Flood> {
        let looks = self.effort.looks();
        if looks != self.looks {
            self.looks = looks;
            let all = self.users.iter_mut();
            all.for_each(|(uid, user)| user.looks = allowance(looks, *uid, now));
        }
        if self.users.len() > MOST_USERS {
            self.users.retain(|_, user| user.flood.is_some());
        }
        if self.members.len() > MOST_MEMBERS {
            self.members.clear();
        }
        let due = |user: &mut User| user.flood.take_if(|flood| flood.is_due(now));
        self.users.values_mut().filter_map(due).collect()
    }

    /// Returns when the next flood is to be told of.
    pub(super) fn due(&self) -> Option<Moment> {
        self.users.values().filter_map(|user| user.flood.as_ref()).map(Flood::due).min()
    }

    fn user(&mut self, user: u32, now: Moment) -> &mut User {
        let looks = self.looks;
        self.users.entry(user).or_insert_with(|| User {
            processes: allowance(limits::PROCESSES, user, now),
            changes: allowance(limits::ALL_CHANGES, user, now),
            bytes: allowance(limits::ARGUMENT_BYTES, user, now),
            looks: allowance(looks, user, now),
            flood: None,
        })
    }

    /// Returns who is charged with a process, which is asked for where it was there before.
    fn of(&mut self, pid: u32, now: Moment) -> u32 {
        if let Some(member) = self.members.get(&pid) {
            return member.user;
        }
        let user = self.read(pid).unwrap_or(NOBODY);
        self.members.insert(pid, Member::new(user, false, now));
        user
    }

    /// Reads the real user of a process.
    fn read(&mut self, pid: u32) -> Option<u32> {
        let dir = sys::open_process(self.proc.as_fd(), pid).ok()?;
        real_user(self.buffers.read(dir.as_fd(), c"status").ok()?)
    }
}

/// Returns how many bytes of arguments a look showed.
fn arguments(sight: &Sight) -> u64 {
    let text = match sight {
        Sight::Whole(process, _) => process.key.arguments.as_ref(),
        Sight::Brief(brief) => brief.arguments.as_ref(),
        Sight::Excluded => None,
    };
    text.map_or(0, |text| text.as_bytes().len() as u64)
}

fn allowance(rate: u64, user: u32, now: Moment) -> Allowance {
    let times = if user == ROOT { limits::ROOT } else { 1 };
    Allowance::new(rate.saturating_mul(times), limits::SAVED_SECONDS, now.0)
}
