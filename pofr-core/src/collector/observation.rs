//! What a sampler reports: facts, and of what these are all.

use crate::{
    fact::{Fact, Subject},
    gap::Gap,
    time::WallMicros,
};
use serde::{Deserialize, Serialize};

/// What one reading shows.
#[derive(Debug, Default)]
pub struct Observation {
    /// The facts that hold.
    pub facts: Vec<Fact>,
    /// Of what these are all the facts.
    pub extent: Extent,
    /// Spans that were less well known than usual, found while reading.
    pub gaps: Vec<Gap>,
    /// What the rolling audit found in this reading.
    pub audit: Audit,
}

/// Of what a reading tells all the facts.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Extent {
    /// Of the whole source.
    #[default]
    Whole,
    /// Of these subjects: what is not told of them is gone. All others hold what they held.
    Subjects(Vec<Reread>),
}

/// A subject that was read again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Reread {
    /// The subject.
    pub subject: Subject,
    /// The stamp at which it was last read, where what is new in it may have been there unnoticed since; `None` for the
    /// source's sample before.
    pub since: Option<WallMicros>,
}

impl From<Subject> for Reread {
    fn from(subject: Subject) -> Self {
        Self { subject, since: None }
    }
}

/// What an audit found: a sampler that skips what seems unchanged reads it now and then all the same.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Audit {
    /// Subjects that were read though nothing said that they had changed.
    pub looks: u64,
    /// Those of them that had changed.
    pub misses: u64,
    /// Those of them of which only what others do to them had changed: the names of their open files.
    pub by_others: u64,
}

impl std::ops::AddAssign for Audit {
    fn add_assign(&mut self, other: Self) {
        self.looks += other.looks;
        self.misses += other.misses;
        self.by_others += other.by_others;
    }
}

impl From<Vec<Fact>> for Observation {
    /// A whole reading.
    fn from(facts: Vec<Fact>) -> Self {
        Self { facts, ..Self::default() }
    }
}

impl Observation {
    /// Reports a fact. Reporting the same fact twice is reporting it once.
    pub fn show(&mut self, fact: Fact) {
        self.facts.push(fact);
    }
}
