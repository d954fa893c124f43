//! Holders: who holds which socket, as the process sampler last found it.
//!
//! The table stays from tick to tick: a process that is not read again holds what it held. The endpoint sampler is told which
//! sockets' holders have changed since it last asked.

use hashbrown::{HashMap, HashSet};
use pofr_core::identity::{Entity, Pid};
use std::{
    collections::{BTreeMap, BTreeSet},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

/// What the descriptor tables of all processes say of sockets.
#[derive(Debug, Default)]
pub(crate) struct Holders {
    processes: HashMap<Pid, Held>,
    /// The holders of each socket, by its inode, in no order.
    sockets: HashMap<u64, Vec<Holder>>,
    /// Processes and threads in each network namespace, by the namespace's inode: of each a task that has not exited.
    namespaces: BTreeMap<u32, BTreeSet<Pid>>,
    /// Sockets whose holders have changed since that was last asked.
    changed: HashSet<u64>,
    /// Namespaces of which a process has run since that was last asked.
    stirred: HashSet<u32>,
}

/// Who holds a socket: `None` for a process that is left out of the record.
pub(crate) type Holder = Option<Entity>;

/// A network namespace, and a task that is in it.
pub(crate) type Place = (u32, Pid);

/// What one process holds, or a thread that has files or a network namespace of its own.
///
/// Of processes that share a descriptor table one holds what is in it: that with which its files are told.
#[derive(Debug, Default)]
struct Held {
    holder: Holder,
    /// Inodes, sorted, each once.
    sockets: Vec<u64>,
    place: Option<Place>,
}

impl Holders {
    /// Takes note of what a process holds and where it lives, in place of what was known of its number.
    pub(crate) fn set(&mut self, pid: Pid, holder: Holder, sockets: &mut Vec<u64>, place: Option<Place>) {
        sockets.sort_unstable();
        sockets.dedup();
        if let Some((namespace, _)) = place {
            self.stirred.insert(namespace);
        }
        let held = self.processes.entry(pid).or_default();
        if held.place != place {
            leave(&mut self.namespaces, held.place);
            if let Some((namespace, task)) = place {
                self.namespaces.entry(namespace).or_default().insert(task);
            }
            held.place = place;
        }
        if held.holder == holder && held.sockets == *sockets {
            return;
        }
        let before = std::mem::replace(held, Held { holder, sockets: sockets.clone(), place });
        self.take_away(&before);
        for socket in &*sockets {
            self.sockets.entry(*socket).or_default().push(holder);
            self.changed.insert(*socket);
        }
    }

    /// Takes note that a process is gone.
    pub(crate) fn remove(&mut self, pid: Pid) {
        if let Some(held) = self.processes.remove(&pid) {
            leave(&mut self.namespaces, held.place);
            if let Some((namespace, _)) = held.place {
                self.stirred.insert(namespace);
            }
            self.take_away(&held);
        }
    }

    /// Forgets the processes that are not `there`.
    pub(crate) fn keep(&mut self, there: &HashSet<Pid>) {
        let gone: Vec<_> = self.processes.keys().filter(|pid| !there.contains(*pid)).copied().collect();
        gone.into_iter().for_each(|pid| self.remove(pid));
    }

    fn take_away(&mut self, held: &Held) {
        for socket in &held.sockets {
            self.changed.insert(*socket);
            if let Some(holders) = self.sockets.get_mut(socket) {
                // A process that is left out is one of those that are, whichever.
                holders.iter().position(|h| *h == held.holder).map(|at| holders.swap_remove(at));
                if holders.is_empty() {
                    self.sockets.remove(socket);
                }
            }
        }
    }

    /// Returns the holders of a socket; empty where none is known.
    pub(crate) fn of(&self, inode: u64) -> &[Holder] {
        self.sockets.get(&inode).map_or(&[], Vec::as_slice)
    }

    /// Returns the tasks in each network namespace: of every process one that has not exited, and each thread that is in another
    /// than its process.
    pub(crate) const fn namespaces(&self) -> &BTreeMap<u32, BTreeSet<Pid>> {
        &self.namespaces
    }

    /// Returns the sockets whose holders have changed since this was last asked.
    pub(crate) fn take_changed(&mut self) -> HashSet<u64> {
        std::mem::take(&mut self.changed)
    }

    /// Returns the namespaces of which a process has run, come or gone since this was last asked.
    pub(crate) fn take_stirred(&mut self) -> HashSet<u32> {
        std::mem::take(&mut self.stirred)
    }
}

/// Takes a task out of its namespace.
fn leave(namespaces: &mut BTreeMap<u32, BTreeSet<Pid>>, place: Option<Place>) {
    if let Some((namespace, task)) = place
        && let Some(tasks) = namespaces.get_mut(&namespace)
    {
        tasks.remove(&task);
        if tasks.is_empty() {
            namespaces.remove(&namespace);
        }
    }
}

/// The table that the process sampler keeps and the endpoint sampler asks, which it may do once for each tick.
#[derive(Clone, Debug, Default)]
pub struct SharedHolders(Arc<Mutex<State>>);

#[derive(Debug, Default)]
struct State {
    holders: Holders,
    /// Whether the table is that of this tick.
    fresh: bool,
}

impl SharedHolders {
    /// Has the process sampler work on the table. It holds for this tick if that succeeds.
    pub(crate) fn update<E>(&self, work: impl FnOnce(&mut Holders) -> Result<(), E>) -> Result<(), E> {
        let mut state = self.lock();
        state.fresh = false;
        work(&mut state.holders)?;
        state.fresh = true;
        Ok(())
    }

    /// Has the endpoint sampler ask the table; `None` where the processes of this tick could not be read.
    pub(crate) fn ask<T>(&self, work: impl FnOnce(&mut Holders) -> T) -> Option<T> {
        let mut state = self.lock();
        std::mem::take(&mut state.fresh).then(|| work(&mut state.holders))
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use pofr_core::identity::{BootId, StartTicks};

    #[test]
    fn who_is_told_again_replaces_what_was_told() {
        let entity = |pid, start| {
            Some(Entity::Started { boot: BootId([1; 16]), pid: Pid(pid), start: StartTicks(start) })
        };
        let mut holders = Holders::default();
        holders.set(Pid(7), entity(7, 1), &mut vec![20, 10, 20], Some((5, Pid(7))));
        holders.set(Pid(8), None, &mut vec![20], Some((5, Pid(8))));
        assert_eq!(holders.of(10), [entity(7, 1)]);
        assert_eq!((holders.of(20).len(), holders.take_changed().len()), (2, 2));
        // The same again is no change; another process under the number is.
        holders.set(Pid(7), entity(7, 1), &mut vec![10, 20], Some((5, Pid(7))));
        assert!(holders.take_changed().is_empty());
        holders.set(Pid(7), entity(7, 2), &mut vec![20], Some((6, Pid(7))));
        assert_eq!(holders.of(10), []);
        assert!(holders.of(20).contains(&entity(7, 2)) && !holders.of(20).contains(&entity(7, 1)));
        assert_eq!(holders.take_changed(), HashSet::from([10, 20]));
        assert_eq!(holders.namespaces().keys().copied().collect::<Vec<_>>(), [5, 6]);
        assert_eq!(holders.take_stirred(), HashSet::from([5, 6]));
        holders.keep(&HashSet::from([Pid(8)]));
        assert_eq!((holders.of(20), holders.namespaces().len()), (&[None][..], 1));
        holders.remove(Pid(8));
        assert!(holders.of(20).is_empty() && holders.namespaces().is_empty());
    }

    #[test]
    fn a_table_holds_for_one_tick_and_not_after_a_failure() {
        let shared = SharedHolders::default();
        assert_eq!(shared.ask(|_| ()), None);
        shared.update(|_| Ok::<_, ()>(())).unwrap();
        assert_eq!((shared.ask(|_| ()), shared.ask(|_| ())), (Some(()), None));
        assert_eq!(shared.update(|_| Err("no")), Err("no"));
        assert_eq!(shared.ask(|_| ()), None);
    }
}
