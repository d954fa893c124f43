//! Programs: the SHA-256 of the executables that run, each file once.
//!
//! A look at a process asks here by what stat(2) says of `/proc/PID/exe`: device, inode, size, times of modification and
//! change. What is known is answered at once; what is not is noted down, and the `hasher`, a thread of its own, opens and reads
//! it when it gets to it: the smallest first, within a share of a core and so many bytes a second. The `source` then tells the
//! recorder, as a late detail of every process that asked. So no sample ever waits for a file, and a process that is gone by
//! then still leaves its program's digest to the next that runs it.
//!
//! Not read, and so without a digest: files of filesystems whose answers come from elsewhere and may never come (network,
//! FUSE), those above [`MOST_BYTES`], and those whose filesystem does not answer in time.

pub(crate) mod file_id;
mod hasher;
mod source;

pub use source::ProgramEvents;
pub(crate) use source::make;

use crate::sys;
pub(crate) use file_id::{FileId, open_program};
use pofr_core::{
    digest::Sha256,
    identity::Entity,
    raw::{RawText, Reading},
};
use std::{
    collections::HashMap,
    os::fd::{BorrowedFd, OwnedFd},
    sync::{
        Arc, Condvar, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
};

/// Files larger than this are not read.
pub const MOST_BYTES: u64 = 512 << 20;

/// How many files are remembered at least; twice as many at most.
const REMEMBERED: usize = 4096;

/// How many files may wait, and how many processes for one file. What comes beyond asks again at its next look.
const MOST_WAITING: usize = 1024;
const MOST_ASKING: usize = 256;

/// The share of one core that reading may take where no budget is set, in millionths.
const SHARE: u64 = 20_000;

/// What is known of the programs of a host; clones share it.
#[derive(Clone, Debug, Default)]
pub(crate) struct Programs(Arc<Shared>);

#[derive(Debug, Default)]
struct Shared {
    /// Whether anyone reads what is noted down.
    working: AtomicBool,
    /// The share of one core, in millionths; 0 for the usual one.
    share: AtomicU64,
    /// How many files did not answer.
    given_up: AtomicU64,
    state: Mutex<State>,
    wanted: Condvar,
}

#[derive(Debug, Default)]
struct State {
    /// What is known: `None` of a file that will not be read. The older half goes when the newer is full.
    known: [HashMap<FileId, Option<Sha256>>; 2],
    /// Who asked for what is not known yet.
    waiting: HashMap<FileId, Vec<Asking>>,
    /// What has come out and was not told yet.
    answers: Vec<Answer>,
    /// Nobody is there to be told any more.
    stopped: bool,
}

/// A process that asked.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Asking {
    entity: Entity,
    exe: RawText,
}

/// What came out for a process that asked.
#[derive(Debug)]
struct Answer {
    asking: Asking,
    sha256: Sha256,
}

impl Programs {
    /// Tells whether anyone reads programs: else none need to be asked for.
    pub(crate) fn is_working(&self) -> bool {
        self.0.working.load(Ordering::Relaxed)
    }

    /// Returns the digest of a program, if it is known; else sees to it that it will be. `file` is its file's state, as it was read
    /// with the arguments of the process.
    pub(crate) fn digest(
        &self,
        file: Option<FileId>,
        entity: Entity,
        exe: &Reading<RawText>,
    ) -> Option<Sha256> {
        let Reading::Known(exe) = exe else { return None };
        if !self.is_working() {
            return None;
        }
        let file = file?;
        let mut state = self.state();
        if let Some(known) = state.known(&file) {
            return known;
        }
        let full = state.waiting.len() >= MOST_WAITING;
        if full && !state.waiting.contains_key(&file) {
            return None;
        }
        let asking = state.waiting.entry(file).or_default();
        let one = Asking { entity, exe: exe.clone() };
        if asking.len() < MOST_ASKING && !asking.contains(&one) {
            asking.push(one);
            self.0.wanted.notify_one();
        }
        None
    }

    /// Keeps the reading within a twentieth of the recorder's share of a core.
    pub(crate) fn keep_to(&self, max_cpu: Option<f64>) {
        #[expect(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "a share is small and positive"
        )]
        let millionths = max_cpu.map_or(0, |share| ((share * 50_000.0) as u64).clamp(100, SHARE));
        self.0.share.store(millionths, Ordering::Relaxed);
    }

    /// Returns the share of one core that reading may take, in millionths.
    fn share(&self) -> u64 {
        match self.0.share.load(Ordering::Relaxed) {
            0 => SHARE,
            share => share,
        }
    }

    /// Takes note that a file did not answer in time.
    fn give_up(&self) {
        self.0.given_up.fetch_add(1, Ordering::Relaxed);
    }

    /// Returns how many files did not answer in time.
    fn given_up(&self) -> u64 {
        self.0.given_up.load(Ordering::Relaxed)
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.0.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Lets looks ask from now on.
    fn begin(&self) {
        self.state().stopped = false;
        self.0.working.store(true, Ordering::Relaxed);
    }

    /// Takes what has come out since this was last asked.
    fn take_answers(&self) -> Vec<Answer> {
        std::mem::take(&mut self.state().answers)
    }

    /// Ends the reading; what waits is forgotten.
    fn stop(&self) {
        self.0.working.store(false, Ordering::Relaxed);
        let mut state = self.state();
        state.stopped = true;
        state.waiting.clear();
        drop(state);
        self.0.wanted.notify_all();
    }
}

impl State {
    /// Returns what is known of a file, and keeps it among the newer ones.
    fn known(&mut self, file: &FileId) -> Option<Option<Sha256>> {
        if let Some(known) = self.known[1].get(file) {
            return Some(*known);
        }
        let known = self.known[0].remove(file)?;
        self.remember(*file, known);
        Some(known)
    }

    fn remember(&mut self, file: FileId, sha256: Option<Sha256>) {
        if self.known[1].len() >= REMEMBERED {
            self.known.swap(0, 1);
            self.known[1].clear();
        }
        self.known[1].insert(file, sha256);
    }

    /// Takes what came out of reading a file, for all who asked.
    fn answer(&mut self, file: FileId, sha256: Option<Sha256>) {
        self.remember(file, sha256);
        let asked = self.waiting.remove(&file).unwrap_or_default();
        if let Some(sha256) = sha256 {
            self.answers.extend(asked.into_iter().map(|asking| Answer { asking, sha256 }));
        }
    }
}

/// Opens the directory of a process, if it still is the one that asked.
fn open_asking(proc: BorrowedFd<'_>, asking: &Asking) -> Option<OwnedFd> {
    let dir = sys::open_process(proc, asking.entity.pid().0).ok()?;
    let start = crate::samplers::start_in(&dir)?;
    (asking.entity.start() == Some(start)).then_some(dir)
}
