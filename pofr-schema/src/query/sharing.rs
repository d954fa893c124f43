//! Shared descriptor tables: processes whose files are told with another process (clone(2), `CLONE_FILES`).

use super::{QueryError, Span, conditions::Conditions, processes::Processes};
use pofr_core::{
    fact::{Fact, FactKind},
    identity::{Entity, Pid},
    lifetime::Row,
    store::{ClientReader, Narrow, Search},
};
use std::{
    collections::{BTreeMap, BTreeSet},
    ops::ControlFlow,
};

/// Who has the descriptor table of whom.
#[derive(Clone, Debug, Default)]
pub(super) struct Sharing {
    /// For each process with which files are told: the others that have its table.
    sharers: BTreeMap<Entity, BTreeSet<Entity>>,
    processes: Processes,
}

impl Sharing {
    /// Reads the processes of a span that may satisfy the conditions and whose files are told with another.
    pub(super) fn read(
        reader: &mut dyn ClientReader,
        conditions: &Conditions,
        span: Span,
    ) -> Result<Self, QueryError> {
        let pids = &conditions.filter.pids;
        let narrow = if pids.is_empty() { Narrow::Sharing } else { Narrow::Pids(pids.clone()) };
        let span = if conditions.ask_of_what_is_learned() { Span::ALL } else { span };
        let mut sharing = Self::default();
        let search = Search::all(FactKind::Process).narrow(narrow).within(span.from, span.until);
        reader.search(&search, &mut |row| {
            if let Fact::Process(process) = &row.fact
                && let Some(holder) = process.key.marks.files_of
                && conditions.row_may(&row)
            {
                sharing.sharers.entry(holder).or_default().insert(process.key.entity);
                sharing.processes.add(process.key.entity, row);
            }
            ControlFlow::Continue(())
        })?;
        sharing.processes.sort();
        Ok(sharing)
    }

    /// Tells whether the files of others are told with this process.
    pub(super) fn has(&self, holder: &Entity) -> bool {
        self.sharers.contains_key(holder)
    }

    /// Returns the ids of the processes with which files of others are told.
    pub(super) fn pids(&self) -> impl Iterator<Item = Pid> {
        self.sharers.keys().map(Entity::pid)
    }

    /// Returns a process that has the table of `holder` and of which a fact is as wanted.
    pub(super) fn sharer(&self, holder: &Entity, is_wanted: impl Fn(&Row) -> bool) -> Option<Entity> {
        let shares =
            |row: &Row| matches!(&row.fact, Fact::Process(p) if p.key.marks.files_of == Some(*holder));
        let mut sharers = self.sharers.get(holder)?.iter();
        sharers.find(|one| self.processes.of(one).iter().any(|row| shares(row) && is_wanted(row))).copied()
    }
}
