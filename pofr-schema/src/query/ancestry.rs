//! Whose child a process was.

use super::{QueryError, processes::Processes};
use pofr_core::{
    fact::{Fact, Process},
    identity::{BootId, Entity, Pid},
    lifetime::Row,
    store::ClientReader,
    time::WallMicros,
};
use std::collections::HashMap;

/// So many ids' processes are remembered.
const KNOWN: usize = 1_000;
/// No process has more ancestors than this; a chain that bites its tail does (v1's processes have no start).
const ANCESTORS: usize = 256;

/// Looks parents up, and remembers them: the same few are asked for again and again.
#[derive(Debug, Default)]
pub(super) struct Ancestry {
    known: HashMap<Pid, Processes>,
}

/// Returns the boot of a process; `None` for one of v1.
pub(super) const fn boot(entity: &Entity) -> Option<BootId> {
    match entity {
        Entity::Started { boot, .. } => Some(*boot),
        Entity::Described { .. } => None,
    }
}

impl Ancestry {
    /// Returns what the parent of a process was at a time; `None` where the record has none.
    pub(super) fn parent(
        &mut self,
        reader: &mut dyn ClientReader,
        child: &Process,
        t: WallMicros,
    ) -> Result<Option<Row>, QueryError> {
        let pid = child.key.ppid;
        if pid == Pid(0) || pid == child.key.entity.pid() {
            return Ok(None);
        }
        if !self.known.contains_key(&pid) {
            if self.known.len() >= KNOWN {
                self.known.clear();
            }
            self.known.insert(pid, Processes::of_pid(reader, pid)?);
        }
        let Some(processes) = self.known.get(&pid) else { return Ok(None) };
        let same_boot = processes.all().filter(|(entity, _)| boot(entity) == boot(&child.key.entity));
        // Of those that had the id in turn the last that began before; what it was then.
        let before = |facts: &[Row]| facts.first().is_some_and(|first| first.life.earliest() <= t);
        let parent = same_boot
            .filter(|(_, facts)| before(facts))
            .max_by_key(|(_, facts)| facts.first().map(|first| first.life.position()));
        Ok(parent.and_then(|(entity, _)| processes.at(entity, t)).cloned())
    }

    /// Returns the parent, that one's parent, and so on, as they were at a time: the nearest first.
    pub(super) fn ancestors(
        &mut self,
        reader: &mut dyn ClientReader,
        child: &Process,
        t: WallMicros,
    ) -> Result<Vec<Row>, QueryError> {
        let mut ancestors: Vec<Row> = Vec::new();
        let mut child = child.clone();
        while ancestors.len() < ANCESTORS
            && let Some(row) = self.parent(reader, &child, t)?
        {
            let Fact::Process(parent) = &row.fact else { break };
            if ancestors.iter().any(|known| known.digest == row.digest) {
                break;
            }
            child = (**parent).clone();
            ancestors.push(row);
        }
        Ok(ancestors)
    }
}
