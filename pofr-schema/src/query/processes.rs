//! Processes by their entities: whom a file or an endpoint belongs to.

use super::QueryError;
use pofr_core::{
    fact::{Fact, FactKind},
    identity::{Entity, Pid},
    lifetime::Row,
    store::{ClientReader, Narrow, Search},
    time::WallMicros,
};
use std::{
    collections::{BTreeSet, HashMap},
    ops::ControlFlow,
};

/// The facts of processes, each over all that the search saw of it, by their begins.
#[derive(Clone, Debug, Default)]
pub(super) struct Processes(HashMap<Entity, Vec<Row>>);

impl Processes {
    /// Reads the facts of these processes that may have held between two times.
    pub(super) fn read(
        reader: &mut dyn ClientReader,
        wanted: &BTreeSet<Entity>,
        from: Option<WallMicros>,
        until: Option<WallMicros>,
    ) -> Result<Self, QueryError> {
        let pids = wanted.iter().map(Entity::pid).collect();
        Self::search(reader, pids, (from, until), |entity| wanted.contains(entity))
    }

    /// Reads the facts of every process that ever had this id.
    pub(super) fn of_pid(reader: &mut dyn ClientReader, pid: Pid) -> Result<Self, QueryError> {
        Self::search(reader, BTreeSet::from([pid]), (None, None), |_| true)
    }

    fn search(
        reader: &mut dyn ClientReader,
        pids: BTreeSet<Pid>,
        (from, until): (Option<WallMicros>, Option<WallMicros>),
        is_wanted: impl Fn(&Entity) -> bool,
    ) -> Result<Self, QueryError> {
        let mut found = Self::default();
        if pids.is_empty() {
            return Ok(found);
        }
        let search = Search::all(FactKind::Process).narrow(Narrow::Pids(pids)).within(from, until);
        reader.search(&search, &mut |row| {
            if let Fact::Process(process) = &row.fact
                && is_wanted(&process.key.entity)
            {
                found.add(process.key.entity, row);
            }
            ControlFlow::Continue(())
        })?;
        found.sort();
        Ok(found)
    }

    /// Puts the facts of each process in order; after the last was added.
    pub(super) fn sort(&mut self) {
        for facts in self.0.values_mut() {
            facts.sort_by_key(|row| (row.life.position(), row.life.reach()));
        }
    }

    /// Adds a row to the facts of its process: to one that goes on with it, or else as one of its own.
    pub(super) fn add(&mut self, entity: Entity, mut row: Row) {
        let facts = self.0.entry(entity).or_default();
        for known in facts.iter_mut().filter(|known| known.digest == row.digest) {
            known.fact.learn(&row.fact);
            row.fact.learn(&known.fact);
            if known.run == row.run && known.life.goes_on() && row.life.comes_from_before() {
                known.life = known.life.joined(&row.life);
                return;
            }
        }
        facts.push(row);
    }

    /// Returns the facts of a process, by their begins.
    pub(super) fn of(&self, entity: &Entity) -> &[Row] {
        self.0.get(entity).map_or(&[], Vec::as_slice)
    }

    /// Returns what a process was at a time, or next to it: what holds then, else what began before, else the first that is known.
    pub(super) fn at(&self, entity: &Entity, t: WallMicros) -> Option<&Row> {
        let facts = self.of(entity);
        let holds = |row: &&Row| row.life.position() <= t && t <= row.life.reach();
        // Of two that hold the later one: a program that was run since.
        let before = |row: &&Row| row.life.position() <= t;
        facts.iter().rev().find(holds).or_else(|| facts.iter().rev().find(before)).or_else(|| facts.first())
    }

    /// Returns all of them.
    pub(super) fn all(&self) -> impl Iterator<Item = (&Entity, &[Row])> {
        self.0.iter().map(|(entity, facts)| (entity, facts.as_slice()))
    }
}
