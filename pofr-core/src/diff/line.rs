//! A line: what one source shows, and what of it the bundle's stream has told.
//!
//! The two differ in between: an event tells of what no reading has shown yet, or ends what the last reading showed; and a
//! bundle begins with nothing told. The next sample makes them agree again.

use super::{
    cut::{Missing, Standing},
    touched::Touched,
};
use crate::{
    collector::{Numbering, Reread},
    fact::{ByKeyRef, Fact, Subject},
    identity::Entity,
    limits,
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
    /// How many bytes of a message it may take.
    pub(super) weight: u32,
}

/// One source's facts.
#[derive(Debug, Default)]
pub(super) struct Line {
    pub(super) subjects: HashMap<Subject, Vec<Entry>>,
    /// Subjects that events told of since the last sample.
    pub(super) disturbed: HashMap<Subject, Touched>,
    /// How many entries are shown.
    pub(super) count: usize,
    /// What all entries weigh.
    pub(super) weight: u64,
    /// How many facts events began since the last sample.
    pub(super) begun_since: usize,
    /// The last sample's stamp.
    pub(super) stamp: Option<WallMicros>,
    /// Whether the bundle has a sample of this source to go on from.
    pub(super) begun: bool,
    /// Whether what was shown is known, so that a reading of some subjects can be understood.
    pub(super) known: bool,
    /// Processes whose files the last reading could not tell.
    pub(super) veiled: HashSet<Entity>,
    /// Subjects of which facts were left out when they were read last.
    pub(super) cut: HashMap<Subject, Missing>,
    /// What gaps have said of that.
    pub(super) standing: Option<Standing>,
    /// Entries that notices had to look at.
    pub(super) work: u64,
}

/// What must be written for a line's stream to agree with what is shown.
#[derive(Debug, Default)]
pub(super) struct Changes {
    pub(super) removed: Vec<FactId>,
    pub(super) lost: Vec<FactId>,
    pub(super) learned: Vec<Learned>,
    pub(super) added: Vec<Added>,
}

/// What the reading before could not tell, and what this one cannot.
pub(super) struct Unknown<'a> {
    /// Processes whose files may have been there before.
    pub(super) was_veiled: &'a HashSet<Entity>,
    /// Processes whose files may still be there.
    pub(super) veiled: &'a HashSet<Entity>,
    /// Subjects whose facts may have been there before.
    pub(super) was_cut: &'a HashMap<Subject, Missing>,
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
        self.begun_since = 0;
        let mut freed = 0;
        self.subjects.retain(|_, entries| {
            entries.retain_mut(|entry| {
                entry.told = None;
                freed += if entry.shown { 0 } else { u64::from(entry.weight) };
                entry.shown
            });
            !entries.is_empty()
        });
        self.weight -= freed;
    }

    /// Forgets everything: the next reading must be a whole one.
    pub(super) fn forget(&mut self) {
        self.untell();
        self.subjects.clear();
        self.count = 0;
        self.weight = 0;
        self.veiled.clear();
        self.cut.clear();
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
                    let entry = Entry { shown: true, ..Entry::new(fact) };
                    self.weight += u64::from(entry.weight);
                    self.count += 1;
                    entries.push(entry);
                    continue;
                }
                Place::Twice => continue,
            };
            if std::mem::replace(&mut entry.shown, true) {
                // The reading has shown it already.
                continue;
            }
            self.count += 1;
            if entry.is_hole() {
                self.weight += entry.weigh_again();
            }
            if entry.fact.learn(&fact) {
                self.weight += entry.weigh_again();
                learned.extend(entry.told.map(|id| Learned { id, fact: entry.fact.clone() }));
            }
        }
        if entries.is_empty() {
            self.subjects.remove(&subject);
        }
    }

    /// Makes the stream agree with what is shown: of `subjects` and those that events told of or facts were left out of, or of
    /// all. A fact new in a subject with a stamp was last known not to be there at that. `None` where the numbers are used up.
    pub(super) fn agree(
        &mut self,
        subjects: Option<Vec<Reread>>,
        unknown: &Unknown<'_>,
        numbering: &mut Numbering,
        changes: &mut Changes,
    ) -> Option<()> {
        let disturbed = std::mem::take(&mut self.disturbed);
        self.begun_since = 0;
        let (begun, cut) = (self.begun, &self.cut);
        let mut freed = 0;
        let mut one = |subject: &Subject, since: Option<WallMicros>, entries: &mut Vec<Entry>| {
            let is_cut = |cut: &HashMap<Subject, Missing>| !cut.is_empty() && cut.contains_key(subject);
            let (was_cut, is_cut) = (begun && is_cut(unknown.was_cut), is_cut(cut));
            let was_veiled = begun && is_veiled(subject, unknown.was_veiled);
            let is_veiled = is_veiled(subject, unknown.veiled);
            for entry in entries.iter_mut() {
                let is_file = || matches!(entry.fact, Fact::File(_));
                match (entry.shown, entry.told) {
                    (true, None) => {
                        let unsure = was_cut || was_veiled && is_file();
                        entry.told = Some(numbering.next_id()?);
                        changes.added.push(Added { fact: entry.fact.clone(), unsure, since });
                    }
                    (false, Some(id)) => {
                        let lost = is_cut || is_veiled && is_file();
                        if lost { &mut changes.lost } else { &mut changes.removed }.push(id);
                    }
                    _ => {}
                }
            }
            entries.retain(|entry| {
                freed += if entry.shown { 0 } else { u64::from(entry.weight) };
                entry.shown
            });
            Some(!entries.is_empty())
        };
        match subjects {
            Some(subjects) => {
                let read: HashSet<Subject> = subjects.iter().map(|reread| reread.subject).collect();
                let disturbed = disturbed.into_keys().chain(cut.keys().copied());
                let others = disturbed.filter(|s| !read.contains(s)).map(Reread::from);
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
        self.weight -= freed;
        changes.removed.sort_unstable();
        changes.lost.sort_unstable();
        Some(())
    }
}

impl Entry {
    fn new(fact: Fact) -> Self {
        let weight = weigh(&fact);
        Self { fact, told: None, shown: false, weight }
    }

    /// Makes the entry of a fact that no reading has shown.
    pub(super) fn told(fact: Fact, id: FactId) -> Self {
        Self { told: Some(id), ..Self::new(fact) }
    }

    /// Tells whether it is neither told nor shown any more, and waits for another to take its place.
    pub(super) const fn is_hole(&self) -> bool {
        self.weight == 0
    }

    /// Weighs an entry again of which more is known now; returns by how much it has grown.
    pub(super) fn weigh_again(&mut self) -> u64 {
        let before = std::mem::replace(&mut self.weight, weigh(&self.fact));
        self.weight.saturating_sub(before).into()
    }
}

fn weigh(fact: &Fact) -> u32 {
    u32::try_from(limits::weight(fact)).unwrap_or(u32::MAX)
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
