//! What a sampler's readings come to: each of all that there is, or of the subjects read again.

use pofr_core::{
    Collector,
    collector::{Audit, Extent, Observation},
    fact::{Fact, Subject},
    gap::Gap,
};
use std::collections::{BTreeMap, BTreeSet};

/// What holds, as far as the readings tell.
#[derive(Debug, Default)]
pub(crate) struct State {
    subjects: BTreeMap<Subject, Vec<Fact>>,
    /// What the readings' audits found.
    pub(crate) audit: Audit,
    /// The gaps that the readings told of.
    pub(crate) gaps: Vec<Gap>,
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
                    self.subjects.remove(&reread.subject);
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
