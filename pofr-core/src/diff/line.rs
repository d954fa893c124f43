//! A line: what one source shows, and what of it the bundle's stream has told.
//!
//! The two differ in between: an event tells of what no reading has shown yet, or ends what the last reading showed; and a
//! bundle begins with nothing told. The next sample makes them agree again.

use crate::{
    collector::{Numbering, Reread},
    fact::{ByKeyRef, Fact, Subject},
    identity::Entity,
    record::{Added, FactId, Learned},
    time::WallMicros,
};
use hashbrown::{HashMap, HashSet};

/// A fact that was shown, or told, or both.
#[derive(Debug)]
pub(super) struct Entry {
    pub(super) fact: Fact,
    /// Its number, while it is live in the stream.
    pub(super) told: Option<FactId>,
    /// Whether the last reading of its subject showed it.
    pub(super) shown: bool,
}

/// One source's facts.
#[derive(Debug, Default)]
pub(super) struct Line {
    subjects: HashMap<Subject, Vec<Entry>>,
    /// Subjects that events told of since the last sample.
    disturbed: HashSet<Subject>,
    /// How many entries are shown.
    pub(super) count: usize,
    /// The last sample's stamp.
    pub(super) stamp: Option<WallMicros>,
    /// Whether the bundle has a sample of this source to go on from.
    pub(super) begun: bool,
    /// Whether what was shown is known, so that a reading of some subjects can be understood.
    pub(super) known: bool,
    /// Processes whose files the last reading could not tell.
    pub(super) veiled: HashSet<Entity>,
}

/// What must be written for a line's stream to agree with what is shown.
#[derive(Debug, Default)]
pub(super) struct Changes {
    pub(super) removed: Vec<FactId>,
    pub(super) lost: Vec<FactId>,
    pub(super) learned: Vec<Learned>,
    pub(super) added: Vec<Added>,
}

impl Line {
    /// Returns the entries, in no order.
    pub(super) fn entries(&self) -> impl Iterator<Item = &Entry> {
        self.subjects.values().flatten()
    }

    /// Returns what is shown or told of a subject.
    pub(super) fn of(&self, subject: &Subject) -> &[Entry] {
        self.subjects.get(subject).map_or(&[], Vec::as_slice)
    }

    /// Returns the entries of a subject, to add to what is known of them: nothing that is shown or told changes.
    pub(super) fn known_of(&mut self, subject: &Subject) -> &mut [Entry] {
        self.subjects.get_mut(subject).map_or(&mut [], Vec::as_mut_slice)
    }

    /// Forgets what the stream has told: the next sample tells all that is shown.
    pub(super) fn untell(&mut self) {
        self.begun = false;
        self.disturbed.clear();
        self.subjects.retain(|_, entries| {
            entries.retain_mut(|entry| {
                entry.told = None;
                entry.shown
            });
            !entries.is_empty()
        });
    }

    /// Forgets everything: the next reading must be a whole one.
    pub(super) fn forget(&mut self) {
        self.untell();
        self.subjects.clear();
        self.count = 0;
        self.veiled.clear();
        self.known = false;
    }

    /// Takes it that nothing is shown, until [`show`](Self::show) says otherwise.
    pub(super) fn hide_all(&mut self) {
        self.subjects.values_mut().flatten().for_each(|entry| entry.shown = false);
        self.count = 0;
    }

    /// Takes it that these are the facts shown of `subject`; returns what details became known of those told.
    pub(super) fn show(&mut self, subject: Subject, facts: Vec<Fact>, learned: &mut Vec<Learned>) {
        let entries = self.subjects.entry(subject).or_default();
        for entry in entries.iter_mut() {
            self.count -= usize::from(std::mem::take(&mut entry.shown));
        }
        let places = places(entries, &facts);
        for (fact, place) in facts.into_iter().zip(places) {
            let entry = match place {
                Place::Known(at) => &mut entries[at],
                Place::New => {
                    entries.push(Entry { fact, told: None, shown: true });
                    self.count += 1;
                    continue;
                }
                Place::Twice => continue,
            };
            self.count += usize::from(!std::mem::replace(&mut entry.shown, true));
            if entry.fact.learn(&fact)
                && let Some(id) = entry.told
            {
                learned.push(Learned { id, fact: entry.fact.clone() });
            }
        }
        if entries.is_empty() {
            self.subjects.remove(&subject);
        }
    }

    /// Makes the stream agree with what is shown: of `subjects` and those that events told of, or of all. A fact new in a
    /// subject with a stamp was last known not to be there at that. Files of the processes `was_veiled` may have been there before,
    /// those of the `veiled` may still be. `None` where the numbers are used up.
    pub(super) fn agree(
        &mut self,
        subjects: Option<Vec<Reread>>,
        [was_veiled, veiled]: [&HashSet<Entity>; 2],
        numbering: &mut Numbering,
        changes: &mut Changes,
    ) -> Option<()> {
        let disturbed = std::mem::take(&mut self.disturbed);
        let begun = self.begun;
        let mut one = |subject: &Subject, since: Option<WallMicros>, entries: &mut Vec<Entry>| {
            let unsure = begun && is_veiled(subject, was_veiled);
            let unknown = is_veiled(subject, veiled);
            for entry in entries.iter_mut() {
                match (entry.shown, entry.told) {
                    (true, None) => {
                        entry.told = Some(numbering.next_id()?);
                        let fact = entry.fact.clone();
                        let unsure = unsure && matches!(fact, Fact::File(_));
                        changes.added.push(Added { fact, unsure, since });
                    }
                    (false, Some(id)) => {
                        let lost = unknown && matches!(entry.fact, Fact::File(_));
                        if lost { &mut changes.lost } else { &mut changes.removed }.push(id);
                    }
                    _ => {}
                }
            }
            entries.retain(|entry| entry.shown);
            Some(!entries.is_empty())
        };
        match subjects {
            Some(subjects) => {
                let read: HashSet<Subject> = subjects.iter().map(|reread| reread.subject).collect();
                let others = disturbed.into_iter().filter(|s| !read.contains(s)).map(Reread::from);
                for Reread { subject, since } in subjects.into_iter().chain(others) {
                    if let Some(entries) = self.subjects.get_mut(&subject)
                        && !one(&subject, since, entries)?
                    {
                        self.subjects.remove(&subject);
                    }
                }
            }
            None => {
                let mut full = false;
                self.subjects.retain(|subject, entries| {
                    one(subject, None, entries).unwrap_or_else(|| {
                        full = true;
                        true
                    })
                });
                if full {
                    return None;
                }
            }
        }
        changes.removed.sort_unstable();
        changes.lost.sort_unstable();
        Some(())
    }

    /// Returns what the stream has told of a subject and not ended, to be changed.
    pub(super) fn disturb(&mut self, subject: Subject) -> &mut Vec<Entry> {
        self.disturbed.insert(subject);
        self.subjects.entry(subject).or_default()
    }
}

impl Entry {
    /// Makes the entry of a fact that no reading has shown.
    pub(super) const fn told(fact: Fact, id: FactId) -> Self {
        Self { fact, told: Some(id), shown: false }
    }
}

/// Where a fact of a reading stands among the entries.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Place {
    Known(usize),
    New,
    /// The reading has shown it already.
    Twice,
}

/// Looks up the facts of a reading of one subject.
fn places(entries: &[Entry], facts: &[Fact]) -> Vec<Place> {
    // A reading lists facts in the order of the one before as a rule: then each stands where it is looked for.
    if facts.len() <= entries.len() && facts.iter().zip(entries).all(|(fact, entry)| entry.fact.same(fact)) {
        return (0..facts.len()).map(Place::Known).collect();
    }
    let mut index: HashMap<ByKeyRef<'_>, Place> =
        (0..).zip(entries).map(|(at, entry)| (ByKeyRef(&entry.fact), Place::Known(at))).collect();
    facts
        .iter()
        .map(|fact| *index.entry(ByKeyRef(fact)).and_modify(seen_again).or_insert(Place::New))
        .collect()
}

/// Marks a new fact that is there once more.
fn seen_again(place: &mut Place) {
    if *place == Place::New {
        *place = Place::Twice;
    }
}

/// Tells whether it is one of the processes.
fn is_veiled(subject: &Subject, veiled: &HashSet<Entity>) -> bool {
    matches!(subject, Subject::Entity(entity) if veiled.contains(entity))
}
