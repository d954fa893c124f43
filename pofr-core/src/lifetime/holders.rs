//! Who holds what in a stream: the live process fact of each process, and its live files.

use crate::{identity::Entity, record::FactId};
use hashbrown::HashMap;

/// Live process facts and files of each process.
#[derive(Debug, Default)]
pub(super) struct Holders(HashMap<Entity, Holder>);

#[derive(Debug, Default)]
struct Holder {
    process: Option<FactId>,
    /// Files, some of which may have been closed since the list was last cleared of those.
    files: Vec<FactId>,
    /// How many of them are open.
    open: usize,
}

impl Holders {
    /// Notes a process's live fact. Where a process changes, its new fact may be told before its old one is removed.
    pub(super) fn add_process(&mut self, entity: Entity, id: FactId) {
        self.0.entry(entity).or_default().process = Some(id);
    }

    /// Notes an open file.
    pub(super) fn add_file(&mut self, entity: Entity, id: FactId) {
        let holder = self.0.entry(entity).or_default();
        holder.files.push(id);
        holder.open += 1;
    }

    /// Returns a process's live fact.
    pub(super) fn process(&self, entity: Entity) -> Option<FactId> {
        self.0.get(&entity)?.process
    }

    /// Returns a process's files, some of which may have been closed.
    pub(super) fn files(&self, entity: Entity) -> &[FactId] {
        self.0.get(&entity).map_or(&[], |holder| &holder.files)
    }

    /// Forgets a process's fact that has ended.
    pub(super) fn remove_process(&mut self, entity: Entity, id: FactId) {
        self.change(entity, |holder| {
            holder.process.take_if(|process| *process == id);
        });
    }

    /// Notes that a file was closed: one of those that `live` does not have any more.
    pub(super) fn remove_file(&mut self, entity: Entity, live: &[Option<u32>]) {
        self.change(entity, |holder| {
            holder.open = holder.open.saturating_sub(1);
            // Now and then only, so that closing one file of many costs little.
            if holder.files.len() > 2 * holder.open + 8 {
                holder.files.retain(|id| live.get(id.0 as usize).is_some_and(Option::is_some));
            }
        });
    }

    fn change(&mut self, entity: Entity, how: impl FnOnce(&mut Holder)) {
        if let Some(holder) = self.0.get_mut(&entity) {
            how(holder);
            if holder.process.is_none() && holder.open == 0 {
                self.0.remove(&entity);
            }
        }
    }
}
