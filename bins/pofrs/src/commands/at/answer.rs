//! What the store answers for a moment, and how sure it is.

use crate::output::json;
use pofr_core::{
    fact::{Fact, FactKind, Process},
    identity::{Entity, Pid, RunId},
    lifetime::{Row, Standing},
    store::{ClientReader, RecordAt, StoreError},
    time::WallMicros,
};
use serde::Serialize;
use std::{
    collections::{BTreeSet, HashMap},
    io::Write,
};

/// The facts of one kind, or of several of one source, at a moment.
#[derive(Debug)]
pub(crate) struct Answer {
    /// The moment.
    pub(crate) at: WallMicros,
    /// The kinds.
    pub(crate) kinds: &'static [FactKind],
    /// Rows with how sure they are.
    pub(crate) rows: Vec<(Standing, Row)>,
    /// The runs whose record has this moment.
    pub(crate) covered: BTreeSet<RunId>,
    /// The time before which everything has been forgotten, where the moment lies before it.
    pub(crate) forgotten: Option<WallMicros>,
    /// For each run and source that may tell: the nearest stamps.
    pub(crate) record: Vec<RecordAt>,
    /// The process that alone is asked for.
    pub(crate) asked: Option<Pid>,
}

/// A row of an answer.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Shown<'a> {
    /// Whether it held for certain.
    pub(crate) certain: bool,
    /// The row.
    pub(crate) row: &'a Row,
}

impl Shown<'_> {
    /// Returns `?` for what may or may not have held.
    pub(crate) fn mark(&self) -> String {
        if self.certain { String::new() } else { "?".to_owned() }
    }
}

impl Answer {
    /// Asks the store for facts of these kinds, all of one source.
    pub(crate) fn ask(
        reader: &mut dyn ClientReader,
        kinds: &'static [FactKind],
        at: WallMicros,
    ) -> Result<Self, StoreError> {
        let (mut certain, mut maybe, mut record) = (Vec::new(), Vec::new(), Vec::new());
        let mut forgotten = None;
        for kind in kinds {
            let state = reader.state_at(*kind, at)?;
            certain.extend(state.certain.into_iter().map(|row| (Standing::Certain, row)));
            maybe.extend(state.maybe.into_iter().map(|row| (Standing::Maybe, row)));
            record = state.record;
            forgotten = state.forgotten;
        }
        let rows: Vec<(Standing, Row)> = certain.into_iter().chain(maybe).collect();
        let covered = record.iter().filter(|r| r.covered).map(|r| r.run).collect();
        Ok(Self { at, kinds, rows, covered, forgotten, record, asked: None })
    }

    /// Drops the rows whose facts do not satisfy `wanted`.
    pub(crate) fn keep(&mut self, wanted: impl Fn(&Fact) -> bool) {
        self.rows.retain(|(_, row)| wanted(&row.fact));
    }

    /// Returns the runs that have something to say: those with a record of the moment, and those with rows.
    pub(crate) fn runs(&self) -> BTreeSet<RunId> {
        self.rows.iter().map(|(_, row)| row.run).chain(self.covered.iter().copied()).collect()
    }

    /// Returns the rows of one run.
    pub(crate) fn of_run(&self, run: RunId) -> Vec<Shown<'_>> {
        self.shown().filter(|s| s.row.run == run).collect()
    }

    /// Returns all rows.
    pub(crate) fn shown(&self) -> impl Iterator<Item = Shown<'_>> {
        self.rows.iter().map(|(standing, row)| Shown { certain: *standing == Standing::Certain, row })
    }

    /// Returns the processes by their entities; one that is certain goes before one that is not.
    pub(crate) fn processes(&self) -> HashMap<(RunId, Entity), &Process> {
        let mut by_entity = HashMap::new();
        // Certain rows come first, so the first one stays.
        for (_, row) in &self.rows {
            if let Fact::Process(process) = &row.fact {
                by_entity.entry((row.run, process.key.entity)).or_insert(&**process);
            }
        }
        by_entity
    }

    /// Prints all rows as JSON lines, or that there is no record.
    pub(crate) fn print_json(&self, out: &mut dyn Write) -> anyhow::Result<()> {
        #[derive(Serialize)]
        struct Line<'a> {
            standing: Standing,
            /// The process asked for, where another tells the files of their descriptor table.
            #[serde(skip_serializing_if = "Option::is_none")]
            shared_by: Option<Pid>,
            #[serde(flatten)]
            row: &'a Row,
        }
        #[derive(Serialize)]
        struct Nothing<'a> {
            standing: &'static str,
            #[serde(skip_serializing_if = "Option::is_none")]
            forgotten_before: Option<WallMicros>,
            at: WallMicros,
            kind: FactKind,
            nearest: &'a [RecordAt],
        }
        if self.covered.is_empty() {
            let Self { at, kinds, record, .. } = self;
            let forgotten_before = self.forgotten;
            let standing = if forgotten_before.is_some() { "forgotten" } else { "no record" };
            for kind in *kinds {
                json::line(
                    out,
                    &Nothing { standing, forgotten_before, at: *at, kind: *kind, nearest: record },
                )?;
            }
        }
        for (standing, row) in &self.rows {
            let shared_by = self.asked.filter(|pid| pid_of(&row.fact) != Some(*pid));
            json::line(out, &Line { standing: *standing, shared_by, row })?;
        }
        Ok(())
    }
}

/// Returns the id of the process that a fact is about.
pub(crate) fn pid_of(fact: &Fact) -> Option<Pid> {
    match fact {
        Fact::Process(process) => Some(process.key.entity.pid()),
        Fact::File(file) => Some(file.key.entity.pid()),
        Fact::Endpoint(endpoint) => endpoint.key.holder.map(|holder| holder.pid()),
        _ => None,
    }
}
