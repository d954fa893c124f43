//! Holders: who holds which socket, as the process sampler found it in this tick.

use pofr_core::identity::{Entity, Pid};
use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, PoisonError},
};

/// What the descriptor tables of one tick say of sockets.
#[derive(Debug, Default)]
pub(crate) struct Holders {
    /// Socket inode and holder, `None` for a process that is left out of the record.
    sockets: Vec<(u64, Option<Entity>)>,
    /// Processes in each network namespace, by the namespace's inode.
    pub(crate) namespaces: BTreeMap<u32, Vec<Pid>>,
}

impl Holders {
    /// Adds a descriptor that leads to a socket.
    pub(crate) fn add(&mut self, inode: u64, holder: Option<Entity>) {
        self.sockets.push((inode, holder));
    }

    /// Returns how many descriptors have been added, for [`Self::forget_since`].
    pub(crate) fn mark(&self) -> usize {
        self.sockets.len()
    }

    /// Forgets the descriptors added since `mark`.
    pub(crate) fn forget_since(&mut self, mark: usize) {
        self.sockets.truncate(mark);
    }

    /// Makes the table ready to be asked.
    fn settle(&mut self) {
        self.sockets.sort_unstable();
        self.sockets.dedup();
    }

    /// Returns the holders of a socket, each once; empty where none is known.
    pub(crate) fn of(&self, inode: u64) -> &[(u64, Option<Entity>)] {
        let from = self.sockets.partition_point(|(i, _)| *i < inode);
        let length = self.sockets[from..].partition_point(|(i, _)| *i == inode);
        &self.sockets[from..from + length]
    }
}

/// Where the process sampler leaves what it found for the endpoint sampler, which takes it in the same tick.
#[derive(Clone, Debug, Default)]
pub struct SharedHolders(Arc<Mutex<Option<Holders>>>);

impl SharedHolders {
    /// Leaves what was found; `None` where the processes could not be read.
    pub(crate) fn leave(&self, holders: Option<Holders>) {
        let holders = holders.map(|mut holders| {
            holders.settle();
            holders
        });
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = holders;
    }

    /// Takes what was left; `None` where nothing was since it was last taken.
    pub(crate) fn take(&self) -> Option<Holders> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).take()
    }
}
