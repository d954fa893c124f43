//! What a sampler's readings come to: each of all that there is, or of the subjects read again.

use pofr_core::{
    Collector,
    collector::{Audit, Extent, Observation},
    fact::{Fact, Subject},
    gap::Gap,
    time::WallMicros,
};
use std::collections::{BTreeMap, BTreeSet};

/// What holds, as far as the readings tell.
#[derive(Debug, Default)]
pub(crate) struct State {
    pub(crate) subjects: BTreeMap<Subject, Vec<Fact>>,
    /// What the readings' audits found.
    pub(crate) audit: Audit,
    /// The gaps that the readings told of.
    pub(crate) gaps: Vec<Gap>,
    /// Since when a subject may have been as it was last reported, where that is said to be longer than since the last reading.
    pub(crate) late: BTreeMap<Subject, Option<WallMicros>>,
}

impl State {
    /// Asks a sampler once, and takes what it reports. Returns how many subjects it had read again; `None` for all.
    pub(crate) fn take(&mut self, sampler: &mut dyn Collector) -> Option<usize> {
        let mut seen = Observation::default();
        sampler.sample(&mut seen).unwrap();
        let reread = match &seen.extent {
            Extent::Whole => {
                self.subjects.clear();
                None
            }
            Extent::Subjects(subjects) => {
                for reread in subjects {
                    let before = self.subjects.remove(&reread.subject).unwrap_or_default();
                    if reread.since.is_some() {
                        // Only seen where a test fails.
                        let facts: Vec<_> =
                            seen.facts.iter().filter(|f| f.subject() == reread.subject).collect();
                        println!("found late: {:?}", seen.gaps);
                        before
                            .iter()
                            .filter(|b| !facts.iter().any(|f| f.same(b)))
                            .for_each(|f| println!("- {f:?}"));
                        facts
                            .iter()
                            .filter(|f| !before.iter().any(|b| f.same(b)))
                            .for_each(|f| println!("+ {f:?}"));
                    }
                    self.late.insert(reread.subject, reread.since);
                }
                let told: BTreeSet<Subject> = subjects.iter().map(|reread| reread.subject).collect();
                assert!(seen.facts.iter().all(|fact| told.contains(&fact.subject())), "said to be read");
                Some(told.len())
            }
        };
        for fact in seen.facts {
            self.subjects.entry(fact.subject()).or_default().push(fact);
        }
        self.audit += seen.audit;
        self.gaps.extend(seen.gaps);
        reread
    }

    /// Returns all facts.
    pub(crate) fn facts(&self) -> Vec<Fact> {
        self.subjects.values().flatten().cloned().collect()
    }
}
