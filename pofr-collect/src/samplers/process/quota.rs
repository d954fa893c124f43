//! Quotas: how many open files of a process, of a user and in all are told, so that memory is bounded.
//!
//! A reading stops a file after the most that one process may have ([`limits::FILES`]). What is kept of it is bounded by what there
//! is memory for: a quarter of all for a process, half of all for a user, and what is left of all. The lowest descriptors are kept.
//! Who has more is named in a thin gap that begins with `cut:` when that begins, and each half minute while it lasts.

use crate::{effort::Effort, limits};
use hashbrown::{HashMap, HashSet};
use pofr_core::{
    Source,
    fact::{Fact, Process},
    gap::{Gap, Severity},
    identity::Entity,
    time::WallMicros,
};

/// A cut that lasts is told again after so long, µs.
const AGAIN: i64 = 30_000_000;
/// So many processes are named in one tick; of others their number is told.
const NAMED: usize = 8;
/// Users from this number on are those of user namespaces as a rule (subuid(5)): so many numbers are one user.
const OF_NAMESPACES: u32 = 100_000;
const IDS: u32 = 65_536;
/// The user of a process whose ids are not known.
const UNKNOWN: u32 = u32::MAX;

/// What is held of each process.
#[derive(Debug, Default)]
pub(super) struct Quota {
    effort: Effort,
    held: HashMap<Entity, Held>,
    /// Those that were cut in the reading before, where all are read again.
    were: HashSet<Entity>,
    users: HashMap<u32, u64>,
    all: u64,
    /// Those whose files are cut and were not told of.
    new: Vec<Entity>,
    /// When those that are cut were told of last.
    told: Option<WallMicros>,
}

#[derive(Clone, Copy, Debug)]
struct Held {
    user: u32,
    files: u64,
    cut: bool,
}

impl Quota {
    pub(super) fn new(effort: Effort) -> Self {
        Self { effort, ..Self::default() }
    }

    /// Begins a reading of all processes.
    pub(super) fn begin(&mut self) {
        self.were = self.held.iter().filter(|(_, held)| held.cut).map(|(entity, _)| *entity).collect();
        self.all = 0;
        self.held.clear();
        self.users.clear();
        self.new.clear();
    }

    /// Keeps of the facts from `before` on, which are the files of `process`, as many as may be.
    pub(super) fn admit(&mut self, process: &Process, facts: &mut Vec<Fact>, before: usize) {
        let (entity, user) = (process.key.entity, account(process));
        let was_cut = self.were.contains(&entity) || self.held.get(&entity).is_some_and(|held| held.cut);
        self.gone(entity);
        let most = self.effort.memory() / 2 / limits::FILE_BYTES;
        let of_user = self.users.entry(user).or_default();
        let room = (most / 4).min((most / 2).saturating_sub(*of_user)).min(most.saturating_sub(self.all));
        let open = facts.len().saturating_sub(before) as u64;
        let (files, cut) = (open.min(room), open > room);
        if cut {
            facts.truncate(before + usize::try_from(files).unwrap_or(usize::MAX));
            if !was_cut {
                self.new.push(entity);
            }
        }
        *of_user += files;
        self.all += files;
        self.held.insert(entity, Held { user, files, cut });
    }

    /// Takes note that a process is gone.
    pub(super) fn gone(&mut self, entity: Entity) {
        let Some(Held { user, files, .. }) = self.held.remove(&entity) else { return };
        self.all -= files;
        if let Some(of_user) = self.users.get_mut(&user) {
            *of_user -= files;
            if *of_user == 0 {
                self.users.remove(&user);
            }
        }
    }

    /// Says whose files are cut, where that is new, or was said long ago.
    pub(super) fn tell(&mut self, now: WallMicros, out: &mut Vec<Gap>) {
        let mut new = std::mem::take(&mut self.new);
        new.retain(|entity| self.held.get(entity).is_some_and(|held| held.cut));
        let from = *self.told.get_or_insert(now);
        if !new.is_empty() {
            for entity in new.iter().take(NAMED) {
                let Held { user, files, .. } = self.held[entity];
                let pid = entity.pid().0;
                let text =
                    format!("cut: process {pid} of {} has more files open than are told: {files}", of(user));
                out.push(gap(text, now, now));
            }
            if new.len() > NAMED {
                self.tell_all(now, now, out);
            }
        } else if now.since(from) >= AGAIN {
            self.tell_all(from, now, out);
            self.told = Some(now);
        }
    }

    /// Says of each user how many processes' files are cut.
    fn tell_all(&self, from: WallMicros, to: WallMicros, out: &mut Vec<Gap>) {
        let mut users: HashMap<u32, (u64, u32)> = HashMap::new();
        for (entity, held) in self.held.iter().filter(|(_, held)| held.cut) {
            let (count, pid) = users.entry(held.user).or_insert((0, entity.pid().0));
            *count += 1;
            *pid = entity.pid().0.min(*pid);
        }
        for (user, (count, pid)) in users {
            let text = format!(
                "cut: {count} processes of {} have more files open than are told, process {pid} among them",
                of(user)
            );
            out.push(gap(text, from, to));
        }
    }
}

/// Returns who is charged with the files of a process.
fn account(process: &Process) -> u32 {
    let user = process.key.ids.ruid.unwrap_or(UNKNOWN);
    match user {
        UNKNOWN => UNKNOWN,
        OF_NAMESPACES.. => user - (user - OF_NAMESPACES) % IDS,
        _ => user,
    }
}

fn of(user: u32) -> String {
    match user {
        UNKNOWN => "an unknown user".to_owned(),
        OF_NAMESPACES.. => format!("users {user} to {}", user.saturating_add(IDS - 1)),
        _ => format!("user {user}"),
    }
}

fn gap(reason: String, from: WallMicros, to: WallMicros) -> Gap {
    Gap { source: Some(Source::Process), severity: Severity::Thin, reason, from, to: Some(to), lost: None }
}
