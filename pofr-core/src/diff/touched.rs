//! A subject that events tell of: where its entries stand, so that ten thousand events of one process are no more work each than
//! the first was.
//!
//! Made when an event first tells of a subject after a sample, and dropped at the next one. An entry that is neither told nor shown
//! is a hole, without weight, which the next fact that begins takes.

use super::line::{Entry, Line};
use crate::{
    fact::{ByKeyRef, Fact, Subject},
    record::{Event, FactId, Learned, Record},
    time::WallMicros,
};
use hashbrown::{DefaultHashBuilder, HashTable};
use std::hash::BuildHasher as _;

/// Where the entries of a subject stand.
#[derive(Debug, Default)]
pub(super) struct Touched {
    /// The process facts.
    processes: Vec<usize>,
    /// Holes.
    free: Vec<usize>,
    /// How many entries are live in the stream.
    live: usize,
    /// All entries by their keys, where there are so many that this pays.
    by_key: Option<(DefaultHashBuilder, HashTable<usize>)>,
}

/// So many entries are compared one by one.
const FEW: usize = 16;

/// Which entries of a subject may end.
#[derive(Clone, Copy, Debug)]
pub(super) enum Which {
    /// The one of the same key.
    Same,
    /// Process facts.
    Processes,
    /// All.
    All,
}

impl Touched {
    fn of(entries: &[Entry]) -> Self {
        let processes = (0..).zip(entries).filter(|(_, e)| is_process(&e.fact)).map(|(at, _)| at).collect();
        let live = entries.iter().filter(|entry| entry.told.is_some()).count();
        Self { processes, live, ..Self::default() }
    }

    /// Finds the entry of a fact.
    fn find(&mut self, entries: &[Entry], fact: &Fact, work: &mut u64) -> Option<usize> {
        let is_same = |at: &usize| entries[*at].fact.same(fact);
        if is_process(fact) {
            *work += self.processes.len() as u64;
            return self.processes.iter().copied().find(is_same);
        }
        if entries.len() <= FEW && self.by_key.is_none() {
            *work += entries.len() as u64;
            return (0..entries.len()).find(|at| !entries[*at].is_hole() && is_same(at));
        }
        let (hasher, table) = self.by_key.get_or_insert_with(|| {
            *work += entries.len() as u64;
            let hasher = DefaultHashBuilder::default();
            let mut table = HashTable::with_capacity(entries.len());
            for (at, entry) in entries.iter().enumerate().filter(|(_, entry)| !entry.is_hole()) {
                let hash = |at: &usize| hasher.hash_one(ByKeyRef(&entries[*at].fact));
                table.insert_unique(hasher.hash_one(ByKeyRef(&entry.fact)), at, hash);
            }
            (hasher, table)
        });
        *work += 1;
        table.find(hasher.hash_one(ByKeyRef(fact)), is_same).copied()
    }

    /// Adds an entry.
    fn add(&mut self, entries: &mut Vec<Entry>, entry: Entry) {
        let at = match self.free.pop() {
            Some(at) => {
                entries[at] = entry;
                at
            }
            None => {
                entries.push(entry);
                entries.len() - 1
            }
        };
        if is_process(&entries[at].fact) {
            self.processes.push(at);
        }
        if let Some((hasher, table)) = &mut self.by_key {
            let hash = |at: &usize| hasher.hash_one(ByKeyRef(&entries[*at].fact));
            table.insert_unique(hash(&at), at, hash);
        }
    }

    /// Makes a hole of an entry that is neither told nor shown.
    fn bury(&mut self, entries: &[Entry], at: usize) {
        self.processes.retain(|place| *place != at);
        if let Some((hasher, table)) = &mut self.by_key {
            let hash = hasher.hash_one(ByKeyRef(&entries[at].fact));
            if let Ok(found) = table.find_entry(hash, |place| *place == at) {
                found.remove();
            }
        }
        self.free.push(at);
    }
}

impl Line {
    /// Tells whether anything of a subject is live.
    pub(super) fn has_live(&mut self, subject: &Subject, which: Which) -> bool {
        let Some((entries, touched, work)) = self.touch(subject) else { return false };
        match which {
            Which::Processes => {
                *work += touched.processes.len() as u64;
                touched.processes.iter().any(|at| entries[*at].told.is_some())
            }
            _ => touched.live > 0,
        }
    }

    /// Tells whether a fact is live.
    pub(super) fn is_live(&mut self, fact: &Fact) -> bool {
        let Some((entries, touched, work)) = self.touch(&fact.subject()) else { return false };
        touched.find(entries, fact, work).is_some_and(|at| entries[at].told.is_some())
    }

    /// Begins a fact that is not live.
    pub(super) fn begin(&mut self, fact: Fact, id: FactId) {
        let subject = fact.subject();
        self.subjects.entry(subject).or_default();
        self.begun_since += 1;
        let Some((entries, touched, work)) = self.touch(&subject) else { return };
        touched.live += 1;
        match touched.find(entries, &fact, work) {
            Some(at) => entries[at].told = Some(id),
            None => {
                let entry = Entry::told(fact, id);
                let weight = u64::from(entry.weight);
                touched.add(entries, entry);
                self.weight += weight;
            }
        }
    }

    /// Ends what is live of the subject of `fact`, is one of `which`, and `ends`; what `learns` takes the details of `fact` first.
    pub(super) fn end(
        &mut self,
        fact: &Fact,
        at: WallMicros,
        which: Which,
        ends: impl Fn(&Fact) -> bool,
        learns: impl Fn(&Fact) -> bool,
    ) -> Vec<Record> {
        let mut records = Vec::new();
        let Some((entries, touched, work)) = self.touch(&fact.subject()) else { return records };
        let (mut grown, mut freed) = (0, 0);
        let places: Vec<usize> = match which {
            Which::Same => touched.find(entries, fact, work).into_iter().collect(),
            Which::Processes => touched.processes.clone(),
            Which::All if touched.live == 0 => Vec::new(),
            Which::All => (0..entries.len()).collect(),
        };
        *work += places.len() as u64;
        for place in places {
            let entry = &mut entries[place];
            let Some(id) = entry.told else { continue };
            if learns(&entry.fact) && entry.fact.learn(fact) {
                grown += entry.weigh_again();
                records.push(learned(entry, id));
            }
            if ends(&entry.fact) {
                entry.told = None;
                touched.live -= 1;
                records.push(Record::Event(Event::Ended { id, at }));
                if !entry.shown {
                    freed += u64::from(std::mem::take(&mut entry.weight));
                    touched.bury(entries, place);
                }
            }
        }
        self.weight = self.weight + grown - freed;
        records
    }

    /// Takes the details of a fact that is live.
    pub(super) fn learn(&mut self, fact: &Fact) -> Option<Record> {
        let (entries, touched, work) = self.touch(&fact.subject())?;
        let place = touched.find(entries, fact, work)?;
        let entry = &mut entries[place];
        let id = entry.told?;
        if !entry.fact.learn(fact) {
            return None;
        }
        let (grown, record) = (entry.weigh_again(), learned(entry, id));
        self.weight += grown;
        Some(record)
    }

    /// Finds out where the entries of a subject stand, unless that is known; `None` where there are none.
    fn touch(&mut self, subject: &Subject) -> Option<(&mut Vec<Entry>, &mut Touched, &mut u64)> {
        let entries = self.subjects.get_mut(subject)?;
        let work = &mut self.work;
        let touched = self.disturbed.entry(*subject).or_insert_with(|| {
            *work += entries.len() as u64;
            Touched::of(entries)
        });
        Some((entries, touched, work))
    }
}

fn learned(entry: &Entry, id: FactId) -> Record {
    Record::Event(Event::Learned(Learned { id, fact: entry.fact.clone() }))
}

pub(super) const fn is_process(fact: &Fact) -> bool {
    matches!(fact, Fact::Process(_))
}
