//! Cuts: facts that are left out because there are too many, and the thin gaps that say whose.
//!
//! Those who have most lose first, down to one level for all of them; whoever has less is told in full.
//!
//! ```text
//! facts of   a 900   b 500   c 20      room for 500
//! level 240: a 240   b 240   c 20
//! ```

use super::line::{Entry, Line};
use crate::{
    fact::{Fact, SocketId, Subject},
    gap::{Gap, Severity},
    limits,
    source::Source,
    time::WallMicros,
};
use hashbrown::HashMap;

/// A gap of what is left out is told in pieces no longer than this, µs.
const PIECE_MICROS: i64 = 10_000_000;
/// So many holders are named.
const NAMED: usize = 3;

/// How much the facts of one source may be.
#[derive(Clone, Copy, Debug)]
pub(super) struct Room {
    /// How many there may be.
    pub(super) facts: usize,
    /// What they may weigh, so that one message holds all of them.
    pub(super) bytes: u64,
}

impl Default for Room {
    fn default() -> Self {
        Self { facts: limits::FACTS.most(), bytes: limits::SHOWN_BYTES }
    }
}

/// What is left out of a subject.
#[derive(Clone, Copy, Debug)]
pub(super) struct Missing {
    facts: u64,
    /// Who has too many: the process that holds a socket, else the subject itself.
    holder: Subject,
}

/// What gaps have said while facts are left out.
#[derive(Debug)]
pub(super) struct Standing {
    holders: Vec<Subject>,
    reason: String,
    /// Up to where.
    told: WallMicros,
}

/// Returns the level to which the `sizes` must go down for their sum to be no more than `room`; 1 at least.
pub(super) fn level(mut sizes: Vec<u64>, room: u64) -> u64 {
    sizes.sort_unstable();
    let (mut left, mut many) = (room, sizes.len() as u64);
    for size in sizes {
        let level = left / many.max(1);
        if size > level {
            return level.max(1);
        }
        left -= size;
        many -= 1;
    }
    u64::MAX
}

/// Returns who has a fact.
fn holder(subject: Subject, fact: &Fact) -> Subject {
    match fact {
        Fact::Endpoint(endpoint) => endpoint.key.holder.map_or(Subject::Rest, Subject::Entity),
        _ => subject,
    }
}

impl Line {
    /// Hides facts where more are shown than there is room for: of the holders that have most, so that all others are whole. What
    /// is hidden is in [`cut`](Self::cut).
    pub(super) fn keep_within(&mut self, room: Room) {
        if self.count > room.facts {
            self.thin_out((room.facts - room.facts / 8) as u64, |_| 1);
        }
        if self.weight > room.bytes {
            let shown: u64 = self.entries().filter(|e| e.shown).map(|e| u64::from(e.weight)).sum();
            if shown > room.bytes {
                self.thin_out(room.bytes - room.bytes / 8, |entry| entry.weight.into());
            }
        }
    }

    fn thin_out(&mut self, mut room: u64, measure: impl Fn(&Entry) -> u64) {
        let mut sizes: HashMap<Subject, u64> = HashMap::new();
        for (subject, entries) in &self.subjects {
            for entry in entries.iter().filter(|entry| entry.shown) {
                *sizes.entry(holder(*subject, &entry.fact)).or_default() += measure(entry);
            }
        }
        let level = level(sizes.values().copied().collect(), room);
        let mut spent: HashMap<Subject, u64> = HashMap::new();
        // A process outlasts its files.
        for of_process in [true, false] {
            for (subject, entries) in &mut self.subjects {
                let those =
                    |entry: &&mut Entry| entry.shown && matches!(entry.fact, Fact::Process(_)) == of_process;
                for entry in entries.iter_mut().filter(those) {
                    let (holder, size) = (holder(*subject, &entry.fact), measure(entry));
                    let spent = spent.entry(holder).or_default();
                    *spent += size;
                    if *spent <= level && size <= room {
                        room -= size;
                        continue;
                    }
                    entry.shown = false;
                    self.count -= 1;
                    self.cut.entry(*subject).or_insert(Missing { facts: 0, holder }).facts += 1;
                }
            }
        }
    }

    /// Says what is left out as of the sample at `stamp`, where that is news or was told too long ago.
    pub(super) fn tell_cut(&mut self, source: &Source, stamp: WallMicros, room: Room) -> Option<Gap> {
        let before = self.stamp.unwrap_or(stamp);
        let now = (!self.cut.is_empty()).then(|| self.describe(source, room));
        match (&mut self.standing, now) {
            (None, None) => None,
            (None, Some((holders, reason))) => {
                let gap = thin(source, reason.clone(), before, stamp);
                self.standing = Some(Standing { holders, reason, told: stamp });
                Some(gap)
            }
            (Some(standing), None) => {
                let gap = thin(source, std::mem::take(&mut standing.reason), standing.told, stamp);
                self.standing = None;
                Some(gap)
            }
            (Some(standing), Some((holders, reason))) => {
                let is_due = stamp.since(standing.told) >= PIECE_MICROS || holders != standing.holders;
                *standing = Standing { holders, reason, told: standing.told };
                is_due.then(|| {
                    let from = std::mem::replace(&mut standing.told, stamp);
                    thin(source, standing.reason.clone(), from, stamp)
                })
            }
        }
    }

    /// Says what has been left out up to the last sample and is not said yet.
    pub(super) fn tell_rest(&mut self, source: &Source) -> Option<Gap> {
        let (standing, last) = (self.standing.as_mut()?, self.stamp?);
        let from = std::mem::replace(&mut standing.told, last);
        (from < last).then(|| thin(source, standing.reason.clone(), from, last))
    }

    fn describe(&self, source: &Source, room: Room) -> (Vec<Subject>, String) {
        let mut by_holder: HashMap<Subject, u64> = HashMap::new();
        for missing in self.cut.values() {
            *by_holder.entry(missing.holder).or_default() += missing.facts;
        }
        let mut holders: Vec<(Subject, u64)> = by_holder.into_iter().collect();
        holders.sort_unstable_by_key(|(subject, missing)| (std::cmp::Reverse(*missing), *subject));
        let all: u64 = holders.iter().map(|(_, missing)| missing).sum();
        let others = holders.len().saturating_sub(NAMED);
        holders.truncate(NAMED);
        let named: Vec<String> =
            holders.iter().map(|(s, missing)| format!("{missing} of {}", self.name(s))).collect();
        let others = if others > 0 { format!(", and those of {others} more") } else { String::new() };
        let reason = format!(
            "cut: {all} facts of {source} are left out, {}{others}: no more than {} facts and {} bytes are told",
            named.join(", "),
            room.facts,
            room.bytes,
        );
        (holders.into_iter().map(|(subject, _)| subject).collect(), reason)
    }

    /// Names a holder for a person.
    fn name(&self, subject: &Subject) -> String {
        match subject {
            Subject::Entity(entity) => {
                let comm = self.of(subject).iter().find_map(|entry| match &entry.fact {
                    Fact::Process(process) => Some(process.key.comm.escaped()),
                    _ => None,
                });
                comm.map_or_else(
                    || format!("pid {}", entity.pid()),
                    |comm| format!("pid {} ({comm})", entity.pid()),
                )
            }
            Subject::Socket(_, SocketId::Cookie(id) | SocketId::Inode(id)) => format!("socket {id}"),
            Subject::Socket(_, SocketId::None) => "sockets without a number".to_owned(),
            Subject::Rest => "no process".to_owned(),
        }
    }
}

pub(super) fn thin(source: &Source, reason: String, from: WallMicros, to: WallMicros) -> Gap {
    let source = Some(source.clone());
    Gap { source, severity: Severity::Thin, reason, from, to: Some(to), lost: None }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_level_leaves_the_small_ones_whole() {
        assert_eq!(level(vec![900, 500, 20], 500), 240);
        assert_eq!(level(vec![900, 500, 20], 1_420), u64::MAX);
        assert_eq!(level(vec![5; 10], 3), 1);
        assert_eq!(level(vec![], 3), u64::MAX);
    }
}
